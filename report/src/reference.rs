//! Published means, to show beside the results.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use colearn_core::{
    id::ConfigurationId,
    settings::{
        Parameter,
        schema::{MODALITY_DROPOUT, Preset, field},
    },
    sweep::Sweep,
    table::{ConfigurationRow, ResultsTable},
};
use serde_json::Value;

use crate::cells::{all_metrics, label, some};

/// A file of published means. It is a CSV file with a heading. A column named by a setting's dotted path identifies
/// the configuration of a row; every other column is the mean of a metric. Lines that begin with `#` name the source
/// of the numbers. An empty cell is ignored.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// Name of the file, for people.
    pub origin: String,
    /// The lines that begin with `#`, without that character.
    pub source: String,
    rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    line: u64,
    settings: BTreeMap<String, String>,
    means: Vec<Published>,
}

/// One published mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// Name of the metric.
    pub metric: String,
    /// The mean.
    pub mean: f64,
    /// The mean as it was written, with the published digits.
    pub written: String,
}

/// The rows of a reference, matched with their configurations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matched {
    /// Name of the file, for people.
    pub origin: String,
    /// Published means by configuration, in the order of the columns.
    pub rows: HashMap<ConfigurationId, Vec<Published>>,
    /// Rows that match no configuration, and configurations that have no row; one sentence each.
    pub warnings: Vec<String>,
}

/// Errors in a file of published means.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    /// The file is not CSV, or a record has another length than the heading.
    #[error("the reference `{origin}` is not readable as CSV: {source}")]
    Csv {
        /// Name of the file.
        origin: String,
        /// The error of the CSV reader.
        source: csv::Error,
    },
    /// A mean is not a number.
    #[error(
        "`{text}` in line {line}, column `{column}` of the reference `{origin}` is not a number; leave the cell empty if nothing was published"
    )]
    Number {
        /// Name of the file.
        origin: String,
        /// Line number, counting from 1.
        line: u64,
        /// Heading of the column.
        column: String,
        /// Content of the cell.
        text: String,
    },
    /// The heading of a column is unknown or occurs twice.
    #[error("the heading of the reference `{origin}` has `{column}`, {problem}; it names {names}, each once")]
    Heading {
        /// Name of the file.
        origin: String,
        /// The heading.
        column: String,
        /// What is wrong with it.
        problem: &'static str,
        /// What a heading names.
        names: String,
    },
    /// No row matches a configuration of the sweep.
    #[error(
        "no row of the reference `{origin}` is about a configuration of sweep {sweep}: the rows are about {rows}; the configurations are {configurations}; correct the file, or take `report.reference` out of the sweep file"
    )]
    NothingMatches {
        /// Name of the file.
        origin: String,
        /// Name of the sweep.
        sweep: String,
        /// The settings of the rows, shortened if they are many.
        rows: String,
        /// The configurations of the sweep, shortened if they are many.
        configurations: String,
    },
    /// No column names a setting, or none names a metric.
    #[error("the reference `{origin}` has no column for a {missing}; its heading names {names}")]
    Columns {
        /// Name of the file.
        origin: String,
        /// The missing kind of column: `setting` or `metric`.
        missing: &'static str,
        /// What a heading names.
        names: String,
    },
}

/// The names of settings in the heading.
enum Known<'a> {
    /// The dotted paths of the settings of networks.
    Paths,
    /// The names of a program's own settings.
    Own(BTreeSet<&'a str>),
}

impl<'a> Known<'a> {
    fn of(sweep: &'a Sweep) -> Self {
        let mut programs = sweep.configurations.iter().filter_map(|it| it.settings.program()).peekable();
        if programs.peek().is_none() {
            return Self::Paths;
        }
        Self::Own(
            programs
                .flat_map(|program| &program.parameters)
                .map(|Parameter(name, _)| name.as_str())
                .collect(),
        )
    }

    fn has(&self, column: &str) -> bool {
        match self {
            Self::Paths => field(column).is_some(),
            Self::Own(names) => names.contains(column),
        }
    }

    /// What a heading names, for messages.
    fn describe(&self) -> String {
        match self {
            Self::Paths => "settings by their dotted path (modality_dropout.audio, unimodal) and metrics (accuracy, loss)".to_owned(),
            Self::Own(names) => {
                let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
                format!("settings of the program ({}) and metrics", some(&names, ", "))
            }
        }
    }
}

impl Reference {
    /// Reads a file of published means of networks. `origin` is its name, for messages.
    ///
    /// # Errors
    /// If the text is not CSV, has no column of a setting or of a metric, has an unknown column, or a mean is not a
    /// number.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ReferenceError> {
        Self::read(text, origin, &Known::Paths)
    }

    /// Reads a file of published means for a sweep, whose program may have settings of its own.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_for(sweep: &Sweep, text: &str, origin: &str) -> Result<Self, ReferenceError> {
        Self::read(text, origin, &Known::of(sweep))
    }

    fn read(text: &str, origin: &str, known: &Known<'_>) -> Result<Self, ReferenceError> {
        // Spreadsheets start a file with a byte order mark.
        let text = text.trim_start_matches('\u{feff}');
        let bad = |source| ReferenceError::Csv { origin: origin.to_owned(), source };
        let mut reader =
            csv::ReaderBuilder::new().comment(Some(b'#')).trim(csv::Trim::All).from_reader(text.as_bytes());
        let heading = reader.headers().map_err(bad)?.clone();
        for (index, column) in heading.iter().enumerate() {
            let problem = if heading.iter().take(index).any(|earlier| earlier == column) {
                "which stands there twice"
            } else if column.is_empty() {
                "an empty name"
            // Every setting of a network has a dot in its path, except those with one-word names. No metric has one.
            } else if matches!(known, Known::Paths) && column.contains('.') && !known.has(column) {
                "which is no setting"
            } else {
                continue;
            };
            let (origin, column) = (origin.to_owned(), column.to_owned());
            return Err(ReferenceError::Heading { origin, column, problem, names: known.describe() });
        }
        for (missing, of_settings) in [("setting", true), ("metric", false)] {
            if !heading.iter().any(|column| known.has(column) == of_settings) {
                let (origin, names) = (origin.to_owned(), known.describe());
                return Err(ReferenceError::Columns { origin, missing, names });
            }
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(bad)?;
            let line = record.position().map_or(0, csv::Position::line);
            let mut row = Row { line, settings: BTreeMap::new(), means: Vec::new() };
            for (column, text) in heading.iter().zip(&record).filter(|(_, text)| !text.is_empty()) {
                if known.has(column) {
                    row.settings.insert(column.to_owned(), text.to_owned());
                    continue;
                }
                let mean = text.parse().ok().filter(|mean: &f64| mean.is_finite());
                let mean = mean.ok_or_else(|| ReferenceError::Number {
                    origin: origin.to_owned(),
                    line,
                    column: column.to_owned(),
                    text: text.to_owned(),
                })?;
                row.means.push(Published { metric: column.to_owned(), mean, written: text.to_owned() });
            }
            rows.push(row);
        }
        let comments = text.lines().filter_map(|line| line.strip_prefix('#')).map(str::trim);
        Ok(Self { origin: origin.to_owned(), source: comments.collect::<Vec<_>>().join(" "), rows })
    }

    /// Finds the configuration of every row: the one whose settings are those of the row.
    ///
    /// # Errors
    /// If no row matches a configuration of the table: then the reference belongs to another sweep.
    pub fn beside(&self, table: &ResultsTable) -> Result<Matched, ReferenceError> {
        let mut matched = Matched { origin: self.origin.clone(), ..Matched::default() };
        let known = all_metrics(table);
        for row in &self.rows {
            let found: Vec<&ConfigurationRow> = table
                .configurations
                .iter()
                .filter(|configuration| row.is_about(configuration, &table.replicates))
                .collect();
            let [configuration] = found.as_slice() else {
                matched.warnings.push(format!(
                    "line {} of the reference ({}) matches {} of this sweep, so it is not shown",
                    row.line,
                    row.describe(),
                    if found.is_empty() {
                        "no configuration".to_owned()
                    } else {
                        format!("{} configurations", found.len())
                    },
                ));
                continue;
            };
            if matched.rows.insert(configuration.id, row.means.clone()).is_some() {
                matched.warnings.push(format!(
                    "line {} of the reference ({}) is about the same configuration as an earlier line, and replaces it",
                    row.line,
                    row.describe()
                ));
            }
        }
        let labels =
            |rows: &[&ConfigurationRow]| some(&rows.iter().map(|row| label(row)).collect::<Vec<_>>(), "; ");
        if matched.rows.is_empty() {
            let rows: Vec<String> = self.rows.iter().map(Row::describe).collect();
            return Err(ReferenceError::NothingMatches {
                origin: self.origin.clone(),
                sweep: table.sweep.to_string(),
                rows: if rows.is_empty() {
                    "nothing, as there are none".to_owned()
                } else {
                    some(&rows, "; ")
                },
                configurations: labels(&table.configurations.iter().collect::<Vec<_>>()),
            });
        }
        let without: Vec<&ConfigurationRow> =
            table.configurations.iter().filter(|row| !matched.rows.contains_key(&row.id)).collect();
        if !without.is_empty() {
            matched.warnings.push(format!(
                "the reference has no row for {} of the {} configurations of this sweep: {}",
                without.len(),
                table.configurations.len(),
                labels(&without)
            ));
        }
        let mut unknown: Vec<&str> =
            self.rows.iter().flat_map(|row| &row.means).map(|it| it.metric.as_str()).collect();
        unknown.sort_unstable();
        unknown.dedup();
        unknown.retain(|metric| !known.iter().any(|known| known == metric));
        if !unknown.is_empty() {
            matched.warnings.push(format!(
                "no result has the metrics {} of the reference (results have {})",
                unknown.join(", "),
                known.join(", ")
            ));
        }
        Ok(matched)
    }
}

impl Row {
    /// A row that names a replicate is about none: the means of the table are over all of them.
    fn is_about(&self, configuration: &ConfigurationRow, replicates: &[String]) -> bool {
        if self.settings.keys().any(|path| replicates.contains(path)) {
            return false;
        }
        let flat = configuration.settings.flat();
        let unimodal = configuration.settings.network().is_some_and(|network| network.unimodal);
        self.settings.iter().all(|(path, text)| match flat.get(path) {
            Some(value) => says(text, value),
            None if configuration.settings.program().is_some() => false,
            // A modality that is not named has the default. A unimodal network differs from one with dropout zero.
            None => field(path).filter(|field| field.by_modality().is_some()).is_some_and(|field| {
                let dropout = path.starts_with(MODALITY_DROPOUT);
                let default = field.default.map(Preset::value);
                !(dropout && unimodal) && default.is_some_and(|default| says(text, &default))
            }),
        })
    }

    fn describe(&self) -> String {
        let pairs: Vec<String> = self.settings.iter().map(|(path, text)| format!("{path}={text}")).collect();
        if pairs.is_empty() { "no settings".to_owned() } else { pairs.join(" ") }
    }
}

/// Whether a cell equals this value; numbers may be written differently.
fn says(text: &str, value: &Value) -> bool {
    match value {
        Value::String(value) => value == text,
        Value::Bool(value) => value.to_string() == text.to_ascii_lowercase(),
        Value::Number(value) => text.parse::<f64>().ok() == value.as_f64(),
        // Null and lists of a program's own settings.
        value => serde_json::from_str::<Value>(text).is_ok_and(|said| said == *value),
    }
}
