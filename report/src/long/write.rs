//! The formats of the long format.

use std::io;

use serde_json::{Map, Value, json};

use super::{Cell, Long, Records};
use crate::{
    cells,
    numbers::Numbers,
    text::{
        self, SCHEMA,
        csv::{cell, digits, not_written, plain_text},
    },
};

impl Cell {
    /// As text that a spreadsheet takes for what it is.
    fn csv(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) => plain_text(text),
            Self::Number(number) => digits(*number),
            Self::Count(count) => count.to_string(),
            Self::Setting(value) => cell(value),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Empty => Value::Null,
            Self::Text(text) => json!(text),
            Self::Number(number) => json!(number),
            Self::Count(count) => json!(count),
            Self::Setting(value) => value.clone(),
        }
    }

    fn for_people(&self, numbers: Numbers) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) => colearn_core::text::one_line(text),
            Self::Number(number) => numbers.plain(*number),
            Self::Count(count) => count.to_string(),
            Self::Setting(value) => cells::value(value),
        }
    }
}

impl Long<'_> {
    /// Writes comma-separated values with a heading.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn csv(&self, into: &mut dyn io::Write) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(into);
        let heading: Vec<String> = self.columns.all.iter().map(|(name, _)| plain_text(name)).collect();
        writer.write_record(heading).map_err(not_written)?;
        // Most cells are those of the record before: their text is made once.
        let mut texts: Vec<(Cell, String)> = Vec::new();
        self.each(&mut |cells| {
            texts.truncate(cells.len());
            for (at, cell) in cells.iter().enumerate() {
                match texts.get_mut(at) {
                    Some(known) if known.0 == *cell => {}
                    Some(known) => *known = (cell.clone(), cell.csv()),
                    None => texts.push((cell.clone(), cell.csv())),
                }
            }
            writer.write_record(texts.iter().map(|(_, text)| text)).map_err(not_written)
        })?;
        writer.flush()
    }

    /// Writes a JSON document with one record a line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn json(&self, into: &mut dyn io::Write) -> io::Result<()> {
        let names: Vec<&String> = self.columns.all.iter().map(|(name, _)| name).collect();
        let head = [("schema", json!(SCHEMA)), ("sweep", json!(self.table.sweep)), ("columns", json!(names))];
        for (index, (key, value)) in head.iter().enumerate() {
            write!(into, "{}{}: {value}", if index == 0 { "{" } else { ", " }, json!(key))?;
        }
        write!(into, ", \"records\": [")?;
        let mut between = "\n";
        self.each(&mut |cells| {
            let record: Map<String, Value> =
                names.iter().zip(cells).map(|(name, cell)| ((*name).clone(), cell.json())).collect();
            write!(into, "{between}{}", Value::Object(record))?;
            between = ",\n";
            Ok(())
        })?;
        writeln!(into, "\n]}}")
    }

    /// Writes a table in Markdown.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn markdown(&self, into: &mut dyn io::Write) -> io::Result<()> {
        let (heading, records) = self.for_people()?;
        let rule = vec!["---".to_owned(); heading.len()];
        for cells in [heading, rule].iter().chain(&records) {
            write!(into, "{}", text::markdown_line(cells))?;
        }
        Ok(())
    }

    /// The heading and the cells of a table for people. Configurations have their names: their ids and settings are
    /// left out, and so are columns in which nothing is said.
    ///
    /// # Errors
    /// None: the records are not written anywhere. The type is that of the other formats.
    pub fn for_people(&self) -> io::Result<(Vec<String>, Vec<Vec<String>>)> {
        let numbers = Numbers::of(self.table);
        let settings = 2..2 + self.columns.settings.len();
        let shown: Vec<usize> = (1..self.columns.all.len())
            .filter(|index| !settings.contains(index) && self.columns.all[*index].0 != "member")
            .collect();
        let mut records = Vec::new();
        self.each(&mut |cells| {
            records.push(shown.iter().map(|index| cells[*index].for_people(numbers)).collect::<Vec<_>>());
            Ok(())
        })?;
        let mut heading: Vec<String> =
            shown.iter().map(|index| cells::value(&json!(self.columns.all[*index].0))).collect();
        let says = |name: &str, cell: &String| match name {
            // Where all tasks are done, nobody has to read so in each line.
            "status" => cell != "done",
            _ => !cell.is_empty(),
        };
        let kept: Vec<bool> = heading
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let needed = self.records == Records::Epochs || !OPTIONAL.contains(&name.as_str());
                needed || records.iter().any(|cells| says(name, &cells[at]))
            })
            .collect();
        let keep = |cells: &mut Vec<String>| {
            let mut kept = kept.iter();
            cells.retain(|_| kept.next().copied().unwrap_or(true));
        };
        keep(&mut heading);
        records.iter_mut().for_each(keep);
        Ok((heading, records))
    }
}

/// Columns that are left out of the table for people if they say nothing.
const OPTIONAL: [&str; 4] = ["split", "modalities", "status", "reason"];
