//! `colearn init DATASET` and `colearn init -- COMMAND`: write a first sweep file.

mod program;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use colearn_core::{id::SweepName, scheduler::is_in_data_folder, settings::schema::MAX_TEXT_BYTES};
use colearn_data_format::{Dataset, Split, Task, resolve};

use crate::{
    args::{InitArgs, is_stdin},
    exit::{Exit, Failure, Outcome},
};

/// Writes a commented sweep file for a data set or a program.
pub(crate) fn init(arguments: &InitArgs) -> Outcome {
    let InitArgs { dataset, data_dir, out, command } = arguments;
    let mut runs = String::new();
    let (sweep, text) = match dataset {
        Some(name) => {
            let path = resolve(name, data_dir);
            let dataset = Dataset::open(&path).map_err(|error| Failure::new(Exit::DataSet, error))?;
            let sweep = sweep_name(name);
            let text = sweep_file(&sweep, name, &dataset);
            (sweep, text)
        }
        None => {
            let sweep = program::sweep_name(command);
            let text = program::sweep_file(&sweep, command);
            runs =
                program::first_command(&text).map(|words| format!("it runs: {words}\n")).unwrap_or_default();
            (sweep, text)
        }
    };
    let file = out.clone().unwrap_or_else(|| PathBuf::from(format!("{sweep}.yaml")));
    let text = format!("{}{text}", for_editors(&file));
    if is_stdin(&file) {
        out!("{text}");
        return Ok(Exit::Success);
    }
    let failed = |error: std::io::Error| {
        let advice = match error.kind() {
            std::io::ErrorKind::AlreadyExists => "; write another file with --out FILE",
            _ => "",
        };
        Failure::new(Exit::Failure, format!("cannot write `{}`: {error}{advice}", file.display()))
    };
    let mut created = fs::File::create_new(&file).map_err(failed)?;
    created.write_all(text.as_bytes()).map_err(failed)?;
    outln!("wrote {0}; {runs}check it, then: colearn plan {0}; colearn run {0}", file.display());
    Ok(Exit::Success)
}

/// The name under which a schema is looked for beside a sweep file.
const SCHEMA: &str = "sweep.schema.json";

/// The first line, by which editors find the schema that lies beside the file. If there is none, nothing: an editor
/// would warn of it.
fn for_editors(file: &Path) -> String {
    let beside = if is_stdin(file) { PathBuf::from(SCHEMA) } else { file.with_file_name(SCHEMA) };
    if beside.is_file() { format!("# yaml-language-server: $schema={SCHEMA}\n") } else { String::new() }
}

/// The name of a sweep on a data set: the data set's name, with other characters replaced.
fn sweep_name(dataset: &str) -> String {
    let stem = dataset.rsplit('/').next().unwrap_or(dataset);
    let stem = stem.strip_suffix(".safetensors").unwrap_or(stem);
    let name = name_of(stem);
    if SweepName::new(name.clone()).is_ok() { name } else { "sweep".to_owned() }
}

/// A text with other characters than those of names replaced.
fn name_of(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.chars().map(|c| if fits(c) { c } else { '-' }).take(60).collect()
}

fn sweep_file(sweep: &str, name: &str, dataset: &Dataset) -> String {
    let modalities: Vec<&str> = dataset.modalities().iter().map(|modality| modality.name.as_str()).collect();
    let samples = dataset.split(Split::Train).len();
    let batch_size = samples.clamp(1, 32);
    let primary = modalities.first().copied().unwrap_or_default();
    let others = modalities.get(1..).unwrap_or_default();
    let metrics = match dataset.task() {
        Task::Classification { .. } => "[accuracy, loss, f_score]",
        Task::Regression => "[mae, accuracy, loss, f_score, pearson_r]",
    };
    let place = if is_in_data_folder(name) { "a file in the data folder" } else { "a path" };
    let mut text = format!(
        "\
# A sweep: a grid of settings, each trained once for every seed. `colearn settings` explains every key.
name: {}
dataset: {:30} # {place}
primary: {:30} # the modality that is present at test time; this data set has {}

model: {{kind: bi-eflstm, hidden: 64, layers: 1, dropout: 0.3}}   # or kind: mfn
training:
  epochs: 30
  batch_size: {batch_size:<29} # of {samples} samples in training
  learning_rate: 0.001
",
        scalar(sweep),
        scalar(name),
        scalar(primary),
        modalities.join(", "),
    );
    if !others.is_empty() {
        text.push_str("\n# The grid. A value is the probability with which a batch gets zeros instead of the modality.\nparameters:\n");
        for other in others {
            let path = scalar(&format!("modality_dropout.{other}"));
            text.push_str(&format!("  {path}: [0, 0.4, 0.8, 0.95]\n"));
        }
        if others.len() > 1 {
            let paths: Vec<String> =
                others.iter().map(|other| scalar(&format!("modality_dropout.{other}"))).collect();
            text.push_str(&format!(
                "\n# These move together. Without this, every level of one is combined with every level of the others.\nzip:\n  - [{}]\n",
                paths.join(", ")
            ));
        }
        text.push_str(
            "\n# One more configuration: the same network, trained on the primary modality alone. The others are compared with it.\ninclude:\n  - {unimodal: true}\n",
        );
    }
    let baseline = if others.is_empty() { "" } else { "\n  baseline: {unimodal: true}" };
    text.push_str(&format!("\nseeds: {{count: 5}}\n\nreport:\n  metrics: {metrics}{baseline}\n"));
    text
}

/// A text as YAML reads it back: quoted unless it is a plain word.
pub(crate) fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let word = text.chars().all(plain) && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let reserved = ["true", "false", "null", "yes", "no", "on", "off"];
    debug_assert!(text.len() <= MAX_TEXT_BYTES, "names of modalities are bounded");
    if word && !reserved.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_yaml_would_read_as_something_else_are_quoted() {
        for (text, written) in [
            ("demo", "demo"),
            ("no", "\"no\""),
            ("1e3", "\"1e3\""),
            ("a: b", "\"a: b\""),
            ("say \"it\"", "\"say \\\"it\\\"\""),
            ("/srv/a-b.safetensors", "/srv/a-b.safetensors"),
        ] {
            assert_eq!(scalar(text), written);
        }
    }

    #[test]
    fn editors_are_told_of_a_schema_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.yaml");
        assert_eq!(for_editors(&file), "");
        fs::write(folder.path().join(SCHEMA), "{}").unwrap();
        assert_eq!(for_editors(&file), "# yaml-language-server: $schema=sweep.schema.json\n");
    }

    #[test]
    fn a_sweep_is_called_as_its_data_set() {
        assert_eq!(sweep_name("utd-mhad"), "utd-mhad");
        assert_eq!(sweep_name("../sets/my set.safetensors"), "my-set");
        assert_eq!(sweep_name("..."), "sweep");
    }
}
