//! CSV and its relatives, and text with one value a line.

use std::fs;

use super::Table;
use crate::{Reference, mistake::Mistake};

/// Labels and splits are small; a features file given by mistake is not worth reading to its end.
const MAX_BYTES: u64 = 1 << 30;

pub(crate) fn read(reference: &Reference) -> Result<Table, Mistake> {
    let place = reference.path.display().to_string();
    let failed = |error: std::io::Error| {
        let mistake = Mistake::new(&place, format_args!("cannot be read: {error}"));
        if reference.path.as_os_str().as_encoded_bytes().starts_with(b"~") {
            return mistake.help("only a shell replaces `~` by the home folder: write $HOME");
        }
        mistake
    };
    let metadata = fs::metadata(&reference.path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(Mistake::new(&place, "is not a file").help("a table is a .csv, .npy or .npz file"));
    }
    if metadata.len() > MAX_BYTES {
        return Err(Mistake::new(&place, "has more than a gigabyte").help("a table has one value per sample"));
    }
    let bytes = fs::read(&reference.path).map_err(failed)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        Mistake::new(&place, format_args!("line {line} is not UTF-8"))
            .help("write it as UTF-8, such as with `iconv -f LATIN1 -t UTF-8`")
    })?;
    // The byte order mark that spreadsheets put in front of a CSV file.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    parse(text, &reference.ending()).map_err(|problem| {
        Mistake::new(&place, problem)
            .help("a table has a heading with the names of its columns, and one line per sample")
    })
}

fn parse(text: &str, ending: &str) -> Result<Table, String> {
    let first = text.lines().next().unwrap_or_default();
    let delimiter = match ending {
        "tsv" => b'\t',
        _ if first.contains(';') && !first.contains(',') => b';',
        _ => b',',
    };
    // A file with one number per line needs no heading, and a text file has none.
    let headless = ending == "txt" || first.trim().parse::<f64>().is_ok();
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(!headless)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let heading: Vec<String> = if headless {
        Vec::new()
    } else {
        reader.headers().map_err(|error| described(&error))?.iter().map(ToOwned::to_owned).collect()
    };
    let mut columns = vec![Vec::new(); heading.len().max(1)];
    for record in reader.records() {
        let record = record.map_err(|error| described(&error))?;
        if record.len() != columns.len() {
            return Err(format!("a line has {} values, expected one a line", record.len()));
        }
        for (column, value) in columns.iter_mut().zip(&record) {
            column.push(value.to_owned());
        }
    }
    if columns[0].is_empty() {
        return Err("has no rows".to_owned());
    }
    Ok(Table { heading, columns, kind: if headless { "text" } else { "CSV" } })
}

/// Rows of differing lengths are the common mistake, and have words of their own.
fn described(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!("line {line} has {len} values, the lines before it {expected_len}")
        }
        _ => error.to_string(),
    }
}
