//! How a program is started: its arguments, its environment, its folder.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Read as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use colearn_core::{
    failure::{Failure, FailureReason},
    settings::{
        Parameter, ProgramSettings,
        placeholders::{PlaceholderError, PlaceholderValues, task_name, value_text},
    },
    text::{one_line, shortened},
};
use nix::libc;
use serde_json::json;

/// Prefix of the variables of the parameters.
const PARAMETER: &str = "COLEARN_PARAM_";

/// The files through which the runner and the program speak.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Files<'f> {
    pub(crate) task: &'f str,
    pub(crate) metrics: &'f str,
}

/// What `COLEARN_TASK` holds.
pub(crate) fn task_file(values: &PlaceholderValues<'_>, metrics: &str) -> String {
    let parameters: serde_json::Map<_, _> =
        values.parameters.iter().map(|Parameter(name, value)| (name.clone(), value.clone())).collect();
    let task = json!({
        "sweep": values.task.sweep.0,
        "configuration": values.task.configuration.to_string(),
        "seed": values.task.seed,
        "attempt": values.attempt,
        "task": task_name(values.task),
        "parameters": parameters,
        "checkpoint_dir": values.checkpoint_dir,
        "metrics": metrics,
    });
    format!("{task:#}\n")
}

/// The program as it is started for an attempt.
///
/// # Errors
/// If a placeholder cannot be replaced, or there is no such program.
pub(crate) fn command(
    settings: &ProgramSettings,
    values: &PlaceholderValues<'_>,
    files: Files<'_>,
    warn: &mut dyn FnMut(String),
) -> Result<Command, Failure> {
    let wrong = |text: &str, error: PlaceholderError| {
        Failure::new(FailureReason::Settings, format!("`{text}`: {error}; {}", error.help))
    };
    let mut words = Vec::new();
    for word in &settings.command {
        words.extend(values.word(word).map_err(|error| wrong(word, error))?);
    }
    let mut own = BTreeMap::new();
    for (name, value) in &settings.environment {
        own.insert(name.clone(), values.text(value).map_err(|error| wrong(value, error))?);
    }
    let Some((name, arguments)) = words.split_first() else {
        return Err(Failure::new(FailureReason::Settings, "the command of the program has no words"));
    };
    let path = own.get("PATH").map(OsString::from).or_else(|| env::var_os("PATH")).unwrap_or_default();
    // It is started from its folder, to which no path may be relative.
    let directory =
        std::path::absolute(&settings.directory).unwrap_or_else(|_| settings.directory.clone().into());
    let program = find(name, &directory, &path)?;
    let mut command = Command::new(program);
    command.arg0(name).args(arguments).current_dir(&directory);
    // Those of a program that runs colearn itself.
    for (inherited, _) in env::vars_os() {
        if inherited.to_string_lossy().starts_with(PARAMETER) {
            command.env_remove(inherited);
        }
    }
    if env::var_os("PYTHONUNBUFFERED").is_none() {
        command.env("PYTHONUNBUFFERED", "1");
    }
    command
        .envs(own)
        .envs(parameter_variables(values.parameters, warn))
        .env("COLEARN_TASK", files.task)
        .env("COLEARN_METRICS", files.metrics)
        .env("COLEARN_SEED", values.task.seed.to_string())
        .env("COLEARN_CHECKPOINT_DIR", values.checkpoint_dir);
    Ok(command)
}

/// `COLEARN_PARAM_LR` for `lr`. Parameters that are null, and those whose variables would have the same name, have
/// none.
fn parameter_variables(parameters: &[Parameter], warn: &mut dyn FnMut(String)) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, Vec<&Parameter>> = BTreeMap::new();
    for parameter in parameters {
        let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let name: String = parameter.0.chars().map(upper).collect();
        variables.entry(format!("{PARAMETER}{name}")).or_default().push(parameter);
    }
    let mut given = BTreeMap::new();
    for (variable, parameters) in variables {
        match parameters.as_slice() {
            [Parameter(_, value)] if value.is_null() => {}
            [Parameter(_, value)] => drop(given.insert(variable, value_text(value).into_owned())),
            several => {
                let names: Vec<String> =
                    several.iter().map(|Parameter(name, _)| format!("`{name}`")).collect();
                warn(format!("{} have the same variable {variable}, which is not set", names.join(" and ")));
            }
        }
    }
    given
}

/// The file of the program. A name without a slash is looked for in the folders of `PATH`, another one in the folder of
/// the program.
fn find(name: &str, directory: &Path, path: &OsString) -> Result<PathBuf, Failure> {
    let missing = |message: String| Failure::new(FailureReason::Data, message);
    if name.contains('/') {
        let file = directory.join(name);
        return match fs::metadata(&file) {
            Ok(metadata) if metadata.is_dir() => {
                Err(missing(format!("{} is a folder, not a program", file.display())))
            }
            Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => Err(missing(format!(
                "{} is not executable: run `chmod +x` on it, or name its interpreter first, as in `python3 {name}`",
                file.display()
            ))),
            Ok(_) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing(format!(
                "{} does not exist on this host: programs need the same files on every worker",
                file.display()
            ))),
            Err(error) => Err(missing(format!("{} cannot be read: {error}", file.display()))),
        };
    }
    let folders = env::split_paths(path).map(|folder| directory.join(folder));
    let executable = |file: &PathBuf| {
        fs::metadata(file)
            .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    };
    folders.map(|folder| folder.join(name)).find(executable).ok_or_else(|| {
        let path = path.to_string_lossy();
        let own = directory.join(name);
        let remedy = if own.is_file() {
            format!("write `./{name}` for the file {}", own.display())
        } else {
            "install it on this host, give its path in the command, or set PATH in `environment`".to_owned()
        };
        missing(format!("there is no program `{name}` in the folders of PATH ({path}): {remedy}"))
    })
}

/// Why a program that is there cannot be started.
pub(crate) fn not_started(command: &Command, error: &io::Error) -> Failure {
    let program = Path::new(command.get_program());
    let shown = program.display();
    let message = match error.raw_os_error() {
        Some(libc::ENOENT) => {
            let interpreter = interpreter(program);
            format!("{shown} cannot be started: its interpreter `{interpreter}` does not exist on this host")
        }
        Some(libc::E2BIG) => {
            let message = "the arguments and the environment of the program are too long: give large values in files, or read COLEARN_TASK";
            return Failure::new(FailureReason::Settings, message);
        }
        None if error.kind() == io::ErrorKind::InvalidInput => {
            let message =
                "an argument or a variable of the program has a NUL character, which programs cannot get";
            return Failure::new(FailureReason::Settings, message);
        }
        // There is too little memory, or there are too many processes.
        Some(libc::EAGAIN | libc::ENOMEM) => {
            return Failure::new(FailureReason::OutOfMemory, format!("{shown} cannot be started: {error}"));
        }
        _ => format!("{shown} cannot be started: {error}"),
    };
    Failure::new(FailureReason::Data, message)
}

/// The interpreter that a script names in its first line.
fn interpreter(script: &Path) -> String {
    let mut line = Vec::new();
    if let Ok(file) = File::open(script) {
        let _ = BufReader::new(file.take(256)).read_until(b'\n', &mut line);
    }
    let line = String::from_utf8_lossy(&line);
    let line = line.strip_prefix("#!").unwrap_or("?").trim();
    shortened(&one_line(line), 200)
}

#[cfg(test)]
mod tests {
    use colearn_core::id::{ConfigurationId, SweepId, TaskId};
    use serde_json::Value;

    use super::*;

    #[test]
    fn parameters_are_variables_unless_their_names_meet() {
        let parameters = [
            ("lr", json!(0.1)),
            ("net.depth", json!([1, 2])),
            ("net-depth", json!(3)),
            ("warmup", Value::Null),
            ("ünder", json!("x y")),
        ];
        let parameters = parameters.map(|(name, value)| Parameter(name.to_owned(), value));
        let mut warnings = Vec::new();
        let variables = parameter_variables(&parameters, &mut |warning| warnings.push(warning));
        let expected = [("COLEARN_PARAM_LR", "0.1"), ("COLEARN_PARAM__NDER", "x y")];
        assert_eq!(variables, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        assert!(warnings[0].contains("`net.depth` and `net-depth`"), "{warnings:?}");
    }

    #[test]
    fn programs_that_are_not_there_are_named_with_their_place() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["plain", "folder/x"] {
            fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            fs::write(folder.path().join(name), "").unwrap();
        }
        let path = OsString::from("/nowhere:relative");
        for (name, said) in [
            ("./plain", "/plain is not executable: run `chmod +x`"),
            ("./folder", "/folder is a folder"),
            ("./absent", "/absent does not exist on this host"),
            ("plain", "write `./plain`"),
            ("python9", "no program `python9` in the folders of PATH (/nowhere:relative)"),
        ] {
            let failure = find(name, folder.path(), &path).unwrap_err();
            assert_eq!(failure.reason, FailureReason::Data);
            assert!(failure.message.contains(said), "{failure}");
        }
        fs::create_dir(folder.path().join("relative")).unwrap();
        let program = folder.path().join("relative/tool");
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find("tool", folder.path(), &path), Ok(program));
    }

    #[test]
    fn the_file_of_the_task_has_the_parameters_with_their_types() {
        let parameters = [Parameter("lr".into(), json!(0.1)), Parameter("on".into(), json!(true))];
        let task = TaskId { sweep: SweepId(3), configuration: ConfigurationId(0xab), seed: 2 };
        let values = PlaceholderValues { parameters: &parameters, task, attempt: 4, checkpoint_dir: "/c" };
        let expected = json!({
            "sweep": 3, "configuration": "00000000000000ab", "seed": 2, "attempt": 4,
            "task": "3-00000000000000ab-2", "parameters": {"lr": 0.1, "on": true},
            "checkpoint_dir": "/c", "metrics": "/m",
        });
        assert_eq!(serde_json::from_str::<Value>(&task_file(&values, "/m")).unwrap(), expected);
    }
}
