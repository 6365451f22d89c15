//! `colearn init -- COMMAND`: a first sweep file for a program of the user's own.

use std::path::Path;

use colearn_core::{
    id::SweepName,
    settings::placeholders::shell_quoted,
    sweep::{Plan, Sweep},
};

use super::{name_of, scalar};

/// A command as the user types it, divided into what stays and what becomes a setting.
struct Divided {
    words: Vec<String>,
    /// Names and values, in the order of the command.
    settings: Vec<(String, String)>,
}

/// The name of a sweep that runs a command: that of its script.
pub(super) fn sweep_name(command: &[String]) -> String {
    let script = command.iter().skip(1).find(|word| !word.starts_with('-') && word.contains('.'));
    let script = script.or(command.first()).map(String::as_str).unwrap_or_default();
    let stem =
        Path::new(script).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name_of(&stem);
    if SweepName::new(name.clone()).is_ok() { name } else { "sweep".to_owned() }
}

/// The text of the sweep file.
pub(super) fn sweep_file(sweep: &str, command: &[String]) -> String {
    let Divided { words, settings } = divide(command);
    let words: Vec<String> = words.iter().map(|word| scalar(word)).collect();
    let mut text = format!(
        "\
# A sweep: a grid of settings, for each of which the program runs once for every seed.
# docs/programs.md explains what the program gets and how it reports its result; `colearn settings` lists every key.
name: {}
program:
  # Each setting becomes one argument, then the seed: --name=value --seed=0. In the folder of this file.
  command: [{}]
  # How the result is found if the program is not to be changed: a pattern on its output with named groups.
  # result: 'accuracy[=: ]+(?P<accuracy>\\S+)'
  # The files of the program: all results are made with the same ones. By default those in the command.
  # files: [train.py, model.py]
  # timeout: 2h
",
        scalar(sweep),
        words.join(", "),
    );
    text.push_str("\n# Settings that are the same in all configurations.\n");
    if settings.is_empty() {
        text.push_str("# settings: {epochs: 20}\n");
    } else {
        text.push_str("settings:\n");
        for (name, value) in &settings {
            text.push_str(&format!("  {}: {}\n", scalar(name), value_of(value)));
        }
    }
    let numeric = settings.iter().find(|(_, value)| value.parse::<f64>().is_ok_and(|value| value > 0.0));
    let (name, values) =
        match numeric.and_then(|(name, value)| Some((name.as_str(), value.parse::<f64>().ok()?))) {
            Some((name, value)) => (name, format!("[{}, {value}]", value / 10.0)),
            None => ("lr", "[0.001, 0.01]".to_owned()),
        };
    text.push_str(&format!(
        "
# The grid: uncomment, and every combination of the values is run. A range: {{min: 1e-4, max: 1e-1, count: 4, scale: log}}
# parameters:
#   {}: {values}

seeds: {{count: 5}}

report:
  metrics: [accuracy]      # as the program reports them, such as [accuracy, loss]; the first is the most important
  # baseline: {{{}: ...}}    # the configuration that the others are compared with
  # better: {{error: lower}}
",
        scalar(name),
        scalar(name),
    ));
    text
}

/// The first command that a sweep file runs, as a shell reads it.
pub(super) fn first_command(text: &str) -> Option<String> {
    // The folder is not part of the command.
    let parsed = Sweep::parse_in(text, "", "/").ok()?;
    let words = Plan::of(&parsed, 0).first_command;
    Some(words.iter().map(|word| shell_quoted(word)).collect::<Vec<_>>().join(" "))
}

/// Options with a value become settings. The seed comes from the sweep.
fn divide(command: &[String]) -> Divided {
    let mut divided = Divided { words: Vec::new(), settings: Vec::new() };
    let mut rest = command.iter().peekable();
    // The program itself and options of an interpreter before its script stay.
    let script = command.iter().skip(1).position(|word| !word.starts_with('-')).map_or(0, |at| at + 1);
    for word in rest.by_ref().take(script + 1) {
        divided.words.push(word.clone());
    }
    // The script of a shell gets the settings in its text.
    if let [_, option, script] = command
        && option == "-c"
    {
        let words = [command.get(..2).unwrap_or_default(), &[format!("{script} ${{args}}")]].concat();
        return Divided { words, settings: Vec::new() };
    }
    while let Some(word) = rest.next() {
        let Some(option) = word.strip_prefix("--").filter(|option| !option.is_empty()) else {
            divided.words.push(word.clone());
            continue;
        };
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (option, rest.next_if(|next| !is_option(next)).cloned()),
        };
        match value {
            _ if name == "seed" => {}
            Some(value) => {
                // As for most programs, the last one counts.
                divided.settings.retain(|(other, _)| other != name);
                divided.settings.push((name.to_owned(), value));
            }
            // A flag without a value.
            None => divided.words.push(word.clone()),
        }
    }
    divided.words.push("${args}".to_owned());
    divided
}

/// Whether a word is an option and not a value, such as a negative number.
fn is_option(word: &str) -> bool {
    word.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c == '-' || c.is_ascii_alphabetic()))
}

/// A value as YAML reads it back: a number or boolean as it is, anything else as a text.
fn value_of(text: &str) -> String {
    let is_number = text.parse::<f64>().is_ok_and(f64::is_finite)
        && text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    if is_number || matches!(text, "true" | "false") { text.to_owned() } else { scalar(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_typed_command_becomes_a_sweep_file_that_runs_it() {
        for (typed, words, settings) in [
            ("python3 train.py", "python3 train.py", ""),
            (
                "python3 -u train.py data.csv --lr 1e-3 --batch-size=32 --name no --verbose --seed 3 --amp",
                "python3 -u train.py data.csv --verbose --amp",
                "lr=0.001 batch-size=32 name=\"no\"",
            ),
            ("./train --depth -1 --fast -v --depth=2", "./train --fast -v", "depth=2"),
            ("bash -c exit", "bash -c exit", ""),
            ("torchrun --standalone train.py", "torchrun --standalone train.py", ""),
        ] {
            let command = command(typed);
            let text = sweep_file(&sweep_name(&command), &command);
            let parsed =
                Sweep::parse_in(&text, "x.yaml", "/x").unwrap_or_else(|errors| panic!("{typed}:\n{errors}"));
            assert!(parsed.warnings.is_empty(), "{:?}", parsed.warnings);
            let program = parsed.sweep.configurations[0].settings.program().unwrap();
            assert_eq!(program.command.join(" "), format!("{words} ${{args}}"));
            let own = program.parameters.iter().map(|it| format!("{}={}", it.0, it.1));
            assert_eq!(own.collect::<Vec<_>>().join(" "), settings);
            let with_grid = text.replace("# parameters:\n#", "parameters:\n");
            assert!(Sweep::parse_in(&with_grid, "x.yaml", "/x").is_ok(), "{with_grid}");
        }
    }

    #[test]
    fn a_sweep_is_called_as_its_script() {
        for (typed, name) in [
            ("python3 src/my_net.py", "my_net"),
            ("./a.out", "a"),
            ("julia -t 2 fit.jl x", "fit"),
            ("true", "true"),
        ] {
            assert_eq!(sweep_name(&command(typed)), name, "{typed}");
        }
    }
}
