//! `program` and `settings`: a program of the user's own instead of a built-in network.

use std::time::Duration;

use serde_json::Value;

use super::{
    diagnostic::{Problems, Span},
    raw::{MapEntry, Node, Raw},
    scalar,
    vocabulary::Vocabulary,
};
use crate::{
    needs::{MAX_LABEL_BYTES, Needs, TrainerKind, is_label},
    settings::{ProgramSettings, ResultSource},
    text::is_unprintable,
};

/// The keys of `program`.
pub(super) const KEYS: [&str; 10] = [
    "command",
    "directory",
    "environment",
    "timeout",
    "files",
    "result",
    "gpu",
    "memory",
    "threads",
    "labels",
];
/// Maximum number of words of a command, of files, of environment variables and of labels.
pub(super) const MAX_WORDS: usize = 1000;
/// Maximum length of one of them, in bytes.
pub(super) const MAX_WORD_BYTES: usize = 16 << 10;
/// The largest `program.threads`.
pub(super) const MAX_THREADS: u64 = 4096;
/// The shortest `program.timeout`.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);

/// The contents of `program`.
#[derive(Debug)]
pub(crate) struct Program {
    /// The settings without the user's own.
    pub(crate) settings: ProgramSettings,
    pub(crate) needs: Needs,
    /// Texts with placeholders, with their positions.
    pub(crate) templates: Vec<(String, Span)>,
    /// The position of the command.
    pub(crate) command_span: Span,
    /// The position of `result`, or of `program` if it is not given.
    pub(crate) result_span: Span,
    /// The position of the folder, or of `program` if it is not given.
    directory_span: Span,
}

/// Reads `program`; `None` after an error that leaves no command.
pub(crate) fn read(entry: &MapEntry, problems: &mut Problems<'_>) -> Option<Program> {
    let entries = scalar::map(&entry.value, "program", problems)?;
    let mut program = Program {
        settings: ProgramSettings { directory: ".".to_owned(), ..ProgramSettings::default() },
        needs: Needs { trainer: TrainerKind::Programs, ..Needs::default() },
        templates: Vec::new(),
        command_span: entry.key_span,
        result_span: entry.key_span,
        directory_span: entry.key_span,
    };
    for entry in entries {
        program.read_key(entry, problems);
    }
    if !entries.iter().any(|entry| entry.key == "command") {
        problems
            .error(entry.key_span, "`program.command` is missing")
            .help("such as `command: [python3, train.py, \"${args}\"]`");
    }
    Some(program)
}

impl Program {
    /// Makes the folder of the program absolute: a relative one starts from the folder of the sweep file.
    pub(crate) fn locate(&mut self, folder: &str, problems: &mut Problems<'_>) {
        let directory = &mut self.settings.directory;
        if directory.starts_with('~') {
            problems
                .error(self.directory_span, format!("`program.directory` is `{directory}`, which is no path"))
                .help("only shells replace `~` by the home folder: write the path out");
        } else if directory.starts_with('/') {
            // It is absolute already.
        } else if folder.is_empty() {
            problems
                .error(self.directory_span, "the folder in which the program runs is not known")
                .help("give an absolute path: `program: {directory: /path/to/it}`");
        } else {
            let relative = directory.trim_start_matches("./").trim_end_matches('/');
            let folder = folder.trim_end_matches('/');
            *directory = match relative {
                "" | "." => folder.to_owned(),
                relative => format!("{folder}/{relative}"),
            };
        }
    }

    fn read_key(&mut self, entry: &MapEntry, problems: &mut Problems<'_>) {
        let (node, settings) = (&entry.value, &mut self.settings);
        match entry.key.as_str() {
            "command" => {
                self.command_span = node.span;
                if let Raw::Text(_) = node.value {
                    problems
                        .error(node.span, "`program.command` must be a list of words")
                        .help("such as `[python3, train.py, \"${args}\"]`; for a shell: `[sh, -c, \"...\"]`");
                    return;
                }
                for (word, span) in words(node, "program.command", problems) {
                    settings.command.push(word.clone());
                    self.templates.push((word, span));
                }
                if settings.command.first().is_none_or(String::is_empty) {
                    problems.error(node.span, "`program.command` names no program");
                }
            }
            "directory" => {
                self.directory_span = node.span;
                if let Some(directory) = word(node, "program.directory", problems) {
                    settings.directory = directory;
                }
            }
            "environment" => self.read_environment(node, problems),
            "timeout" => {
                let timeout = scalar::duration(node, "program.timeout", problems);
                if timeout.is_some_and(|timeout| timeout < MIN_TIMEOUT) {
                    problems.error(node.span, "`program.timeout` must be at least 1s");
                }
                settings.timeout = timeout;
            }
            "files" => {
                let files = words(node, "program.files", problems);
                settings.files = Some(files.into_iter().map(|(file, _)| file).collect());
            }
            "result" => {
                self.result_span = node.span;
                self.read_result(node, problems);
            }
            "gpu" => match &node.value {
                Raw::Bool(gpu) => self.needs.gpu = *gpu,
                other => {
                    let found = other.describe();
                    problems
                        .error(node.span, format!("`program.gpu` must be true or false, found {found}"))
                        .help("a task runs on one slot, which has one GPU or none");
                }
            },
            "memory" => match size(&node.value) {
                Some(memory) => self.needs.memory = memory,
                None => {
                    let found = node.value.describe();
                    problems
                        .error(node.span, format!("`program.memory` must be a size, found {found}"))
                        .help("write a number with its unit: `8GB` or `512MiB`");
                }
            },
            "threads" => {
                let threads = scalar::integer(node, "`program.threads`", 1, MAX_THREADS, problems);
                self.needs.threads = threads.and_then(|threads| u32::try_from(threads).ok()).unwrap_or(0);
            }
            "labels" => {
                let labels = words(node, "program.labels", problems);
                for (label, span) in &labels {
                    if !is_label(label) {
                        problems.error(*span, format!("`{label}` cannot be a label")).help(format!(
                            "a label has up to {MAX_LABEL_BYTES} letters, digits, `.`, `_` and `-`"
                        ));
                    }
                }
                self.needs.labels = labels.into_iter().map(|(label, _)| label).collect();
            }
            _ => scalar::unknown_key(entry, "program", &KEYS, problems),
        }
    }

    fn read_environment(&mut self, node: &Node, problems: &mut Problems<'_>) {
        for entry in scalar::map(node, "program.environment", problems).unwrap_or_default() {
            let name = &entry.key;
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(fits) || name.starts_with(|c: char| c.is_ascii_digit()) {
                problems
                    .error(entry.key_span, format!("`{name}` cannot be the name of an environment variable"))
                    .help("use letters, digits and `_`, not beginning with a digit");
            } else if name.starts_with("COLEARN_") {
                problems
                    .error(entry.key_span, format!("`{name}` is for colearn itself"))
                    .help("names that begin with `COLEARN_` are reserved");
            } else if let Some(value) = word(&entry.value, &format!("program.environment.{name}"), problems) {
                self.templates.push((value.clone(), entry.value.span));
                self.settings.environment.insert(name.clone(), value);
            }
        }
    }

    fn read_result(&mut self, node: &Node, problems: &mut Problems<'_>) {
        const HELP: &str = "a regular expression with named groups, such as \"accuracy=(?P<accuracy>\\S+)\", or {json: FILE}, or {csv: FILE}";
        let file = |entries: &[MapEntry]| match entries {
            [entry] if matches!(entry.key.as_str(), "json" | "csv") => Some(entry.clone()),
            _ => None,
        };
        match &node.value {
            Raw::Text(pattern) => {
                self.settings.result = check_pattern(pattern, node.span, problems)
                    .then(|| ResultSource::Pattern(pattern.clone()));
            }
            Raw::Map(entries) if let Some(entry) = file(entries) => {
                let Some(path) = word(&entry.value, &format!("program.result.{}", entry.key), problems)
                else {
                    return;
                };
                if !path.contains("${task}") && !path.contains("${checkpoint_dir}") {
                    problems
                        .error(entry.value.span, "all tasks would leave their results in this one file")
                        .help("the path must contain `${task}` or `${checkpoint_dir}`; a program that always writes to its working folder can be run there: [sh, -c, 'cd \"${checkpoint_dir}\" && python3 /path/to/train.py ${args}']");
                }
                self.templates.push((path.clone(), entry.value.span));
                self.settings.result = Some(if entry.key == "json" {
                    ResultSource::Json(path)
                } else {
                    ResultSource::Csv(path)
                });
            }
            other => {
                let found = other.describe();
                problems
                    .error(node.span, format!("`program.result` must say where the result is, found {found}"))
                    .help(HELP);
            }
        }
    }
}

/// Whether the text is a regular expression with a named group.
fn check_pattern(pattern: &str, span: Span, problems: &mut Problems<'_>) -> bool {
    match regex::Regex::new(pattern) {
        Err(error) => {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            problems.error(span, format!("`program.result` is not a regular expression: {why}")).help(
                "see https://docs.rs/regex for the syntax; in YAML, single quotes keep backslashes as they are",
            );
            false
        }
        Ok(pattern) if pattern.capture_names().flatten().next().is_none() => {
            problems
                .error(span, "`program.result` has no named group")
                .help("name the metric: \"accuracy=(?P<accuracy>\\S+)\"");
            false
        }
        Ok(_) => true,
    }
}

/// Reads `settings`: the user's own names and values, in the order of the file.
pub(crate) fn read_settings(node: &Node, problems: &mut Problems<'_>) -> Vec<(String, Value)> {
    let entries = scalar::map(node, "settings", problems).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| {
            let kind = Vocabulary::Own.type_of(&entry.key, entry.key_span, problems)?;
            let value = kind.read(&entry.key, &entry.value, problems)?;
            Some((entry.key.clone(), value))
        })
        .collect()
}

/// The texts of a list, with their positions.
fn words(node: &Node, what: &str, problems: &mut Problems<'_>) -> Vec<(String, Span)> {
    let Some(items) = scalar::list(node, what, problems) else { return Vec::new() };
    if items.is_empty() {
        problems.error(node.span, format!("`{what}` is empty"));
    }
    if items.len() > MAX_WORDS {
        problems.error(node.span, format!("`{what}` has more than {MAX_WORDS} entries"));
        return Vec::new();
    }
    items.iter().filter_map(|item| Some((word(item, what, problems)?, item.span))).collect()
}

/// A text, or a number or boolean as it is written.
fn word(node: &Node, what: &str, problems: &mut Problems<'_>) -> Option<String> {
    let text = match &node.value {
        Raw::Text(text) => text.clone(),
        Raw::Integer(value) => value.to_string(),
        Raw::Bool(value) => value.to_string(),
        Raw::Float(_) => problems.source.text.get(node.span.start..node.span.end)?.to_owned(),
        other => {
            let found = other.describe();
            problems.error(node.span, format!("`{what}` must be a text, found {found}"));
            return None;
        }
    };
    // Several lines are usual in `sh -c`.
    let odd = |c: char| is_unprintable(c) && !matches!(c, '\n' | '\t');
    if text.len() > MAX_WORD_BYTES || text.chars().any(odd) {
        let message =
            format!("`{what}` has a text of more than {MAX_WORD_BYTES} bytes, or with control characters");
        problems.error(node.span, message);
        return None;
    }
    Some(text)
}

/// A size in bytes.
fn size(raw: &Raw) -> Option<u64> {
    match raw {
        Raw::Text(text) => text.parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64()),
        _ => None,
    }
    .filter(|size| *size > 0)
}
