//! Mistakes in the input, which are collected and reported together, each with its place and remedy.

use std::fmt;

use thiserror::Error;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file, option or modality.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Mistake {
    pub(crate) fn new(place: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self { place: place.to_string(), problem: problem.to_string(), help: None }
    }

    pub(crate) fn help(self, help: impl fmt::Display) -> Self {
        Self { help: Some(help.to_string()), ..self }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, problem, help } = self;
        write!(f, "{place}: {problem}")?;
        help.as_ref().map_or(Ok(()), |help| write!(f, "\n  = help: {help}"))
    }
}

/// No data set can be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct ImportError {
    /// At least one.
    pub mistakes: Vec<Mistake>,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.mistakes {
            writeln!(f, "error: {mistake}")?;
        }
        write!(f, "{}; nothing was written", counted(self.mistakes.len(), "mistake"))
    }
}

/// Collects mistakes, so that one does not hide the next.
#[derive(Debug, Default)]
pub(crate) struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub(crate) fn add(&mut self, mistake: Mistake) {
        self.0.push(mistake);
    }

    /// The value, or `None` and another mistake.
    pub(crate) fn keep<T>(&mut self, result: Result<T, Mistake>) -> Option<T> {
        result.map_err(|mistake| self.add(mistake)).ok()
    }

    pub(crate) fn all(self) -> Vec<Mistake> {
        self.0
    }

    pub(crate) fn none(self) -> Result<(), ImportError> {
        if self.0.is_empty() { Ok(()) } else { Err(ImportError { mistakes: self.0 }) }
    }
}

/// `1 sample`, `2 samples`; a regular English noun that does not end in a vowel and `y`.
pub(crate) fn counted(number: usize, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        _ if noun.ends_with("ss") => format!("{number} {noun}es"),
        _ => format!("{number} {noun}s"),
    }
}

/// The first few of a list, quoted, and how many more there are.
pub(crate) fn some<T: fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 5;
    // Rust's quoting escapes characters that would control a terminal.
    let names: Vec<String> = names.into_iter().map(|name| format!("{:?}", name.to_string())).collect();
    let more = names.len().saturating_sub(SHOWN);
    let mut text = names[..names.len() - more].join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}
