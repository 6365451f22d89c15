//! The first bytes of the file: the safetensors header, and colearn's entries in it.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::Metadata;

use crate::error::DatasetError;
use crate::layout::{BySplit, Description, FORMAT, LABELS, Names, Task};

/// Size of the header's length field.
pub(crate) const LENGTH_BYTES: usize = 8;
/// No data set needs a larger header; safetensors' own limit is 100 MB.
pub(crate) const MAX_HEADER_BYTES: u64 = 16 << 20;
/// Prefix of the `format` entry of every version.
const FORMAT_NAME: &str = "colearn-dataset/";
/// Modality names become keys and column names, so they are kept short.
const MAX_NAME_BYTES: usize = 64;

/// The contents of the header, before any tensor is read.
pub(crate) struct Header {
    /// Modality names in order; distinct and valid.
    pub(crate) modalities: Vec<String>,
    pub(crate) task: Task,
    pub(crate) description: Description,
    pub(crate) names: Names,
    /// Types, shapes and offsets of the tensors. The offsets fill the file exactly.
    pub(crate) tensors: Metadata,
    /// The file position from which the tensors' offsets count.
    pub(crate) data_start: usize,
}

impl Header {
    /// Reads and checks the header from the first bytes of a file of `file_size` bytes; they must include the whole
    /// header.
    ///
    /// The file may be any file that a sweep names. Errors are sent to the person who submitted the sweep. Therefore
    /// they do not quote the file until it is known to be a data set.
    pub(crate) fn parse(path: &Path, bytes: &[u8], file_size: u64) -> Result<Self, DatasetError> {
        let not_safetensors = |reason: String| DatasetError::NotSafetensors { path: path.to_owned(), reason };
        let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
            return Err(not_safetensors(format!("it has {} bytes", bytes.len())));
        };
        let length = u64::from_le_bytes(*length);
        if length > MAX_HEADER_BYTES {
            return Err(not_safetensors("its first 8 bytes are not the length of a header".to_owned()));
        }
        // The cast is safe: the length is at most MAX_HEADER_BYTES.
        let header_end = LENGTH_BYTES + length as usize;
        let Some(header) = rest.get(..length as usize) else {
            return Err(not_safetensors("it ends before its header does; copy or make it again".to_owned()));
        };
        // `SafeTensors::deserialize` adds sizes from the file without a check for overflow. `Metadata` alone does
        // not, so the size of the file is checked here.
        let tensors: Metadata = serde_json::from_slice(header)
            .map_err(|_| not_safetensors("its header is not a list of tensors".to_owned()))?;
        let expected = (header_end as u64).saturating_add(tensors.data_len() as u64);
        if expected != file_size {
            return Err(DatasetError::Size { path: path.to_owned(), expected, found: file_size });
        }

        let none = HashMap::new();
        let entries = Entries { path, entries: tensors.metadata().as_ref().unwrap_or(&none) };
        entries.check_format()?;
        let modalities = entries.modalities()?;
        let task = entries.task()?;
        let description = Description {
            source: entries.text("source"),
            licence: entries.text("licence"),
            preparation: entries.text("preparation"),
        };
        let names = Names { ids: entries.names("ids")?, groups: entries.names("groups")? };
        Ok(Self { modalities, task, description, names, tensors, data_start: header_end })
    }
}

/// The header's `__metadata__`.
struct Entries<'a> {
    path: &'a Path,
    entries: &'a HashMap<String, String>,
}

impl Entries<'_> {
    fn text(&self, key: &str) -> String {
        self.entries.get(key).cloned().unwrap_or_default()
    }

    fn error(&self, key: &'static str, problem: impl Into<String>) -> DatasetError {
        DatasetError::Metadata { path: self.path.to_owned(), key, problem: problem.into() }
    }

    fn check_format(&self) -> Result<(), DatasetError> {
        match self.entries.get("format") {
            Some(format) if format == FORMAT => Ok(()),
            other => {
                let found = other.filter(|format| format.starts_with(FORMAT_NAME)).cloned();
                Err(DatasetError::Format { path: self.path.to_owned(), found })
            }
        }
    }

    /// A JSON list of at least `min` distinct, non-empty texts.
    fn list(&self, key: &'static str, min: usize) -> Result<Vec<String>, DatasetError> {
        let text =
            self.entries.get(key).ok_or_else(|| self.error(key, "missing; expected a JSON list of names"))?;
        let list: Vec<String> = serde_json::from_str(text)
            .map_err(|error| self.error(key, format!("expected a JSON list of names: {error}")))?;
        if list.len() < min {
            return Err(self.error(key, format!("has {} name(s), expected at least {min}", list.len())));
        }
        let mut seen = std::collections::HashSet::new();
        for name in &list {
            if name.is_empty() {
                return Err(self.error(key, "holds an empty name"));
            }
            if !seen.insert(name) {
                return Err(self.error(key, format!("names {name:?} twice")));
            }
        }
        Ok(list)
    }

    /// The names of the samples, if there are any.
    fn names(&self, key: &'static str) -> Result<Option<[Vec<String>; 3]>, DatasetError> {
        let Some(text) = self.entries.get(key) else { return Ok(None) };
        let BySplit { train, valid, test } = serde_json::from_str(text).map_err(|error| {
            self.error(key, format!("expected JSON lists of names, one a split: {error}"))
        })?;
        Ok(Some([train, valid, test]))
    }

    fn modalities(&self) -> Result<Vec<String>, DatasetError> {
        let names = self.list("modalities", 1)?;
        for name in &names {
            if name == LABELS {
                return Err(self.error("modalities", "`labels` is the name of the label tensors"));
            }
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if name.len() > MAX_NAME_BYTES || !name.chars().all(fits) {
                return Err(self.error(
                    "modalities",
                    format!("name {name:?} may hold letters, digits, `-` and `_`, at most {MAX_NAME_BYTES}"),
                ));
            }
        }
        Ok(names)
    }

    fn task(&self) -> Result<Task, DatasetError> {
        match self.entries.get("task").map(String::as_str) {
            Some("classification") => Ok(Task::Classification { classes: self.list("classes", 2)? }),
            Some("regression") => Ok(Task::Regression),
            Some(other) => {
                Err(self.error("task", format!("is {other:?}, expected `classification` or `regression`")))
            }
            None => Err(self.error("task", "missing; expected `classification` or `regression`")),
        }
    }
}
