//! The results table as text.

use std::fmt::Write as _;

use colearn_core::{
    statistics::Summary,
    table::{ConfigurationRow, ResultsTable, RowState},
};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::args::Format;

/// Renders `table` in `format`, ending in a newline.
pub(crate) fn render(table: &ResultsTable, format: Format) -> String {
    match format {
        Format::Table => for_people(table),
        Format::Csv => csv(table),
        Format::Json => json(table),
        Format::Markdown => markdown(table),
    }
}

/// The columns that tell configurations apart: the swept paths, then what `include` sets beyond them.
fn setting_columns(table: &ResultsTable) -> Vec<String> {
    let mut columns = table.parameters.clone();
    for row in &table.configurations {
        for path in row.values.keys() {
            if !columns.contains(path) {
                columns.push(path.clone());
            }
        }
    }
    columns
}

fn setting(row: &ConfigurationRow, path: &str) -> String {
    match row.values.get(path) {
        None => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

fn mean_and_deviation(summary: Option<&Summary>) -> String {
    match summary {
        None => "-".to_owned(),
        Some(Summary { mean, std: None, .. }) => format!("{mean:.3}"),
        Some(Summary { mean, std: Some(std), .. }) => format!("{mean:.3} ± {std:.3}"),
    }
}

fn note(row: &ConfigurationRow) -> String {
    let mut notes = Vec::new();
    if row.baseline {
        notes.push("baseline".to_owned());
    }
    if row.state != RowState::Complete {
        notes.push(row.state.as_str().to_owned());
    }
    let mut reasons: Vec<&str> = row.failed_seeds.values().map(|reason| reason.as_str()).collect();
    reasons.dedup();
    if !reasons.is_empty() {
        notes.push(format!("{} failed: {}", row.failed_seeds.len(), reasons.join(", ")));
    }
    notes.join("; ")
}

fn heading_and_rows(table: &ResultsTable) -> (Vec<String>, Vec<Vec<String>>) {
    let settings = setting_columns(table);
    let mut heading = settings.clone();
    heading.push("n".to_owned());
    heading.extend(table.metrics.iter().cloned());
    heading.push(String::new());
    let rows = table
        .configurations
        .iter()
        .map(|row| {
            let mut cells: Vec<String> = settings.iter().map(|path| setting(row, path)).collect();
            cells.push(if row.n == row.expected {
                row.n.to_string()
            } else {
                format!("{} of {}", row.n, row.expected)
            });
            cells.extend(table.metrics.iter().map(|name| mean_and_deviation(row.metrics.get(name))));
            cells.push(note(row));
            cells
        })
        .collect();
    (heading, rows)
}

fn footer(table: &ResultsTable) -> String {
    let missing: usize = table.configurations.iter().map(|row| row.expected - row.n).sum();
    let mut text =
        "mean ± sample standard deviation over n seeds, tested on the primary modality alone".to_owned();
    if missing > 0 {
        let _ = write!(text, "; {missing} results are missing");
    }
    text
}

fn for_people(table: &ResultsTable) -> String {
    let (heading, rows) = heading_and_rows(table);
    let mut text = Table::new();
    text.load_style(presets::UTF8_HORIZONTAL_ONLY);
    text.set_header(&heading);
    let last = heading.len() - 1;
    for row in rows {
        text.add_row(row);
    }
    for (index, column) in text.column_iter_mut().enumerate() {
        if index != last {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("sweep {}\n{text}\n{}\n", table.sweep, footer(table))
}

fn markdown(table: &ResultsTable) -> String {
    let (mut heading, rows) = heading_and_rows(table);
    let last = heading.len() - 1;
    heading[last] = "note".to_owned();
    let escape = |cell: &String| cell.replace('|', "\\|");
    let line =
        |cells: &[String]| format!("| {} |\n", cells.iter().map(escape).collect::<Vec<_>>().join(" | "));
    let mut text = line(&heading);
    let rule: Vec<&str> =
        (0..heading.len()).map(|index| if index == last { "---" } else { "---:" }).collect();
    let _ = writeln!(text, "| {} |", rule.join(" | "));
    for row in &rows {
        text.push_str(&line(row));
    }
    let _ = writeln!(text, "\n{}", footer(table));
    text
}

fn csv(table: &ResultsTable) -> String {
    let settings = setting_columns(table);
    let metrics = all_metrics(table);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut heading: Vec<String> = vec!["id".into()];
    heading.extend(settings.iter().cloned());
    heading.extend(["baseline", "n", "expected", "state"].map(String::from));
    for name in &metrics {
        heading.extend(["mean", "std", "ci_low", "ci_high"].map(|part| format!("{name}_{part}")));
    }
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    // Writing into memory can not fail, and every record has the heading's length.
    let written = writer.write_record(&heading).and_then(|()| {
        for row in &table.configurations {
            let mut cells = vec![row.id.to_string()];
            cells.extend(settings.iter().map(|path| match row.values.get(path) {
                None => String::new(),
                Some(_) => setting(row, path),
            }));
            cells.push(row.baseline.to_string());
            cells.push(row.n.to_string());
            cells.push(row.expected.to_string());
            cells.push(row.state.as_str().to_owned());
            for name in &metrics {
                let summary = row.metrics.get(name);
                cells.push(number(summary.map(|summary| summary.mean)));
                cells.push(number(summary.and_then(|summary| summary.std)));
                cells.push(number(summary.and_then(|summary| summary.ci_low)));
                cells.push(number(summary.and_then(|summary| summary.ci_high)));
            }
            writer.write_record(&cells)?;
        }
        Ok(())
    });
    written.expect("records of equal length written to memory");
    let bytes = writer.into_inner().expect("flushing to memory");
    String::from_utf8(bytes).expect("all cells are UTF-8")
}

/// Shown metrics first, then the others that results carry.
fn all_metrics(table: &ResultsTable) -> Vec<String> {
    let mut names = table.metrics.clone();
    for row in &table.configurations {
        for name in row.metrics.keys() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names
}

/// The resolved settings, with the swept values written over them: the resolved ones leave out what makes no
/// difference, such as a modality dropout of zero, but a reader looks for what the file said.
fn settings(row: &ConfigurationRow) -> Value {
    let mut settings = json!(row.settings);
    for (path, value) in &row.values {
        let mut place = &mut settings;
        for key in path.split('.') {
            place = &mut place[key];
        }
        *place = value.clone();
    }
    settings
}

fn json(table: &ResultsTable) -> String {
    let configurations: Vec<Value> = table
        .configurations
        .iter()
        .map(|row| {
            json!({
                "id": row.id,
                "settings": settings(row),
                "values": row.values,
                "baseline": row.baseline,
                "n": row.n,
                "expected": row.expected,
                "state": row.state,
                "failed_seeds": row.failed_seeds,
                "metrics": row.metrics,
            })
        })
        .collect();
    let document = json!({
        "sweep": table.sweep,
        "confidence": table.confidence,
        "configurations": configurations,
    });
    format!("{document:#}\n")
}
