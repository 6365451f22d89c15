//! Settings of a program of the user's own.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// All settings of a task that runs a program, except the seed.
///
/// The identity of a configuration covers the command and the parameters. Everything else says how and where the
/// program runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramSettings {
    /// The program and its arguments, with placeholders such as `${args}`; at least one word.
    pub command: Vec<String>,
    /// Names and values of the user's own settings, in the order of the sweep file; no name twice. Numbers without
    /// a fractional part are integers.
    pub parameters: Vec<Parameter>,
    /// The folder in which the program runs.
    pub directory: String,
    /// Environment variables, with placeholders in the values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Maximum duration of an attempt; `None` for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// The files of the program, relative to the folder. All results of a sweep are made with the same contents.
    /// `None` means the words of the command that name existing files, except those that a shell's script writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<String>>,
    /// Where the result is, in addition to the file of metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ResultSource>,
    /// The metrics that a result must have.
    pub metrics: Vec<String>,
}

/// One of the user's own settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter(
    /// Its name.
    pub String,
    /// Its value: a number, a text, a boolean, null, or a list of such values.
    pub Value,
);

/// Where the result of a program is that does not write the file of metrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultSource {
    /// A regular expression whose named groups are metrics. It is matched with each line of the output; the last
    /// match counts.
    Pattern(String),
    /// A JSON file with an object of metrics, relative to the program's folder, with placeholders.
    Json(String),
    /// A CSV file with a header of metric names, whose last row counts; relative to the program's folder, with
    /// placeholders.
    Csv(String),
}

impl ProgramSettings {
    /// The value of one of the user's own settings.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&Value> {
        self.parameters.iter().find(|Parameter(own, _)| own == name).map(|Parameter(_, value)| value)
    }

    /// The pattern that finds the result in the output, if the settings have one.
    #[must_use]
    pub fn pattern(&self) -> Option<&str> {
        match &self.result {
            Some(ResultSource::Pattern(pattern)) => Some(pattern),
            Some(ResultSource::Json(_) | ResultSource::Csv(_)) | None => None,
        }
    }

    /// The program for people, and for telling its files from those of other programs: its folder, its command and, if
    /// they are named, its files. It contains a `/`, unlike the name of a data set in a data folder.
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = format!("{}: {}", self.directory, self.command.join(" "));
        if let Some(files) = &self.files {
            name.push_str(&format!(" ({})", files.join(", ")));
        }
        name
    }

    /// Every setting by its dotted path. The user's own names have no prefix; the others begin with `program.`.
    #[must_use]
    pub fn flat(&self) -> BTreeMap<String, Value> {
        let mut flat: BTreeMap<String, Value> = BTreeMap::new();
        let mut own = |name: &str, value: Value| flat.insert(format!("program.{name}"), value);
        own("command", self.command.clone().into());
        own("directory", self.directory.as_str().into());
        for (name, value) in &self.environment {
            own(&format!("environment.{name}"), value.as_str().into());
        }
        if let Some(timeout) = self.timeout {
            own("timeout", humantime::format_duration(timeout).to_string().into());
        }
        if let Some(files) = &self.files {
            own("files", files.clone().into());
        }
        match &self.result {
            None => None,
            Some(ResultSource::Pattern(pattern)) => own("result", pattern.as_str().into()),
            Some(ResultSource::Json(file)) => own("result.json", file.as_str().into()),
            Some(ResultSource::Csv(file)) => own("result.csv", file.as_str().into()),
        };
        flat.extend(self.parameters.iter().map(|Parameter(name, value)| (name.clone(), value.clone())));
        flat
    }

    /// What identifies a configuration, by path: the command and the user's own settings.
    pub(super) fn identity(&self) -> BTreeMap<String, Value> {
        let own = self.parameters.iter().map(|Parameter(name, value)| (name.clone(), value.clone()));
        own.chain([("program.command".to_owned(), self.command.clone().into())]).collect()
    }
}
