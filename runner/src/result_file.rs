//! The result of a program that writes it as a JSON or CSV file of its own.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use colearn_trainer_protocol::file_state::FileState;
use nix::libc;
use serde_json::Value;

use crate::{
    collected::{About, Collected, Origin},
    python_json::{Number, number, number_in, parse},
};

/// Largest file, in bytes.
const MAX_BYTES: u64 = 64 << 20;
/// Maximum depth of objects.
const MAX_DEPTH: u32 = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Csv,
}

/// The file that a sweep names, as it was when the program started.
#[derive(Debug)]
pub(crate) struct ResultFile {
    path: PathBuf,
    format: Format,
    before: Option<FileState>,
}

impl ResultFile {
    /// Looks at the file before the program starts. An earlier attempt may have left it.
    pub(crate) fn before_start(path: PathBuf, format: Format) -> Self {
        let before = path.metadata().ok().map(|metadata| FileState::of(&metadata));
        Self { path, format, before }
    }

    /// Takes the metrics of the file. The error says why there are none.
    pub(crate) fn take(&self, needed: &[String], collected: &mut Collected) -> Result<(), String> {
        let path = self.path.display();
        let text = self.read().map_err(|why| format!("the file {path} of the result {why}"))?;
        let found = match self.format {
            Format::Json => from_json(&text),
            Format::Csv => from_csv(&text),
        };
        let found = found.map_err(|why| format!("the file {path} of the result {why}"))?;
        for (name, number) in found {
            match number {
                Number::Not(_) | Number::Null if !needed.contains(&name) => {}
                Number::NotFinite(text) if !needed.is_empty() && !needed.contains(&name) => {
                    collected
                        .warn(About::NotFinite, format!("`{name}` of the result is {text} and is left out"));
                }
                number => collected.add_metric(Origin::Named, &name, number),
            }
        }
        Ok(())
    }

    fn read(&self) -> Result<String, String> {
        // So that a named pipe in its place is not waited for.
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&self.path);
        let file: File = opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "does not exist: the program has to write it".to_owned(),
            _ => format!("cannot be read: {error}"),
        })?;
        let metadata = file.metadata().map_err(|error| format!("cannot be read: {error}"))?;
        if !metadata.is_file() {
            return Err("is not a regular file".to_owned());
        }
        if self.before.as_ref() == Some(&FileState::of(&metadata)) {
            return Err("is from before the start of the program, which has not written it".to_owned());
        }
        let mut bytes = Vec::new();
        let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|error| format!("cannot be read: {error}"))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!("has more than {MAX_BYTES} bytes"));
        }
        String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
    }
}

type Found = Vec<(String, Number)>;

fn from_json(text: &str) -> Result<Found, String> {
    let value = parse(text).map_err(|error| format!("is not JSON: {error}"))?;
    let Value::Object(_) = &value else {
        return Err("must be an object of metrics, such as {\"accuracy\": 0.9}".to_owned());
    };
    let mut found = Vec::new();
    flatten("", &value, 0, &mut found);
    Ok(found)
}

/// Values within objects have the names of both, joined by `/`.
fn flatten(prefix: &str, value: &Value, depth: u32, found: &mut Found) {
    match value {
        Value::Object(fields) if depth < MAX_DEPTH => {
            for (name, value) in fields {
                let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
                flatten(&name, value, depth + 1, found);
            }
        }
        value => found.push((prefix.to_owned(), number(value))),
    }
}

fn from_csv(text: &str) -> Result<Found, String> {
    let malformed = |error: csv::Error| format!("is not CSV: {error}");
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let names = reader.headers().map_err(malformed)?.clone();
    let mut last = None;
    for row in reader.records() {
        last = Some(row.map_err(malformed)?);
    }
    let Some(last) = last else { return Err("has no row below its header".to_owned()) };
    let value = |text: &str| if text.is_empty() { Number::Null } else { number_in(text) };
    Ok(names.iter().map(str::to_owned).zip(last.iter().map(value)).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use colearn_core::failure::FailureReason;

    use super::*;

    fn taken(format: Format, text: &str, needed: &[&str]) -> Result<Collected, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result");
        let file = ResultFile::before_start(path.clone(), format);
        fs::write(path, text).unwrap();
        let mut collected = Collected::default();
        let needed: Vec<String> = needed.iter().map(|&name| name.to_owned()).collect();
        file.take(&needed, &mut collected).map(|()| collected)
    }

    #[test]
    fn nested_numbers_of_json_are_metrics() {
        let text = r#"{"accuracy": 0.5, "test": {"loss": 2, "name": "x"}, "curve": [1, 2], "ok": true}"#;
        let expected = [("accuracy", 0.5), ("test/loss", 2.0)].map(|(name, value)| (name.to_owned(), value));
        assert_eq!(taken(Format::Json, text, &["accuracy"]).unwrap().result(&[]), Ok(expected.into()));
        let failure = taken(Format::Json, text, &["ok"]).unwrap().result(&[]).unwrap_err();
        assert!(failure.message.contains("`ok` is a boolean"), "{failure}");
        let failure = taken(Format::Json, r#"{"a": NaN}"#, &[]).unwrap().result(&[]).unwrap_err();
        assert_eq!(failure.reason, FailureReason::Diverged);
        let metrics = taken(Format::Json, r#"{"a": NaN, "b": 1}"#, &["b"]).unwrap().result(&[]);
        assert_eq!(metrics, Ok([("b".to_owned(), 1.0)].into()));
        assert!(taken(Format::Json, "[1]", &[]).unwrap_err().contains("must be an object"));
        assert!(taken(Format::Json, "{", &[]).unwrap_err().contains("is not JSON"));
    }

    #[test]
    fn the_last_row_of_csv_counts() {
        let text = "\u{feff}epoch, accuracy,note\n1,0.25,x\n2, 0.5,y\n";
        let expected = [("accuracy", 0.5), ("epoch", 2.0)].map(|(name, value)| (name.to_owned(), value));
        assert_eq!(taken(Format::Csv, text, &[]).unwrap().result(&[]), Ok(expected.into()));
        assert!(taken(Format::Csv, "accuracy\n", &[]).unwrap_err().contains("no row"));
        assert!(taken(Format::Csv, "a,b\n1\n", &[]).unwrap_err().contains("is not CSV"));
    }

    #[test]
    fn a_file_from_before_the_start_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.json");
        let mut collected = Collected::default();
        let missing = ResultFile::before_start(path.clone(), Format::Json);
        assert!(missing.take(&[], &mut collected).unwrap_err().contains("does not exist"));
        fs::write(&path, r#"{"a": 1}"#).unwrap();
        let stale = ResultFile::before_start(path.clone(), Format::Json);
        assert!(stale.take(&[], &mut collected).unwrap_err().contains("from before the start"));
        assert_eq!(missing.take(&[], &mut collected), Ok(()));
        // The same content again is a result of the program.
        fs::remove_file(&path).unwrap();
        fs::write(&path, r#"{"a": 1, "b": 2}"#).unwrap();
        assert_eq!(stale.take(&[], &mut collected), Ok(()));
    }
}
