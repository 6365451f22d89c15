//! Results in the formats of the command line.

use std::io;

use colearn_core::{names::short_path, settings::schema::MODALITY_DROPOUT, table::ResultsTable};
use colearn_report::{
    Long, Material, Records, heading_and_rows, next_step, setting_columns, summary_line, text, warnings,
};
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

use crate::args::Format;

/// Writes averages, or records of the long format.
///
/// # Errors
/// If they cannot be written.
pub(crate) fn write(
    into: &mut dyn io::Write,
    material: &Material,
    table: &ResultsTable,
    records: Option<Records>,
    format: Format,
) -> io::Result<()> {
    let Some(records) = records else {
        return match format {
            Format::Table => into.write_all(for_people(table).as_bytes()),
            Format::Csv => into.write_all(text::csv(table).as_bytes()),
            Format::Json => text::json(into, material, table, None),
            Format::Markdown => into.write_all(text::markdown(table, None).as_bytes()),
            Format::Parquet => into.write_all(&parquet(table)?),
        };
    };
    let long = Long::of(material, table, records);
    match format {
        Format::Table => {
            let (heading, rows) = long.for_people()?;
            let words = ["name", "metric", "split", "modalities", "status", "reason", "curve"];
            let text = columns(&heading, heading.clone(), rows, &words);
            writeln!(into, "sweep {}\n{text}", table.sweep)
        }
        Format::Csv => long.csv(into),
        Format::Json => long.json(into),
        Format::Markdown => long.markdown(into),
        Format::Parquet => into.write_all(&long_parquet(&long)?),
    }
}

#[cfg(feature = "parquet")]
fn parquet(table: &ResultsTable) -> io::Result<Vec<u8>> {
    colearn_report::parquet(table).map_err(io::Error::other)
}

#[cfg(feature = "parquet")]
fn long_parquet(long: &Long<'_>) -> io::Result<Vec<u8>> {
    long.parquet().map_err(io::Error::other)
}

#[cfg(not(feature = "parquet"))]
fn parquet(_: &ResultsTable) -> io::Result<Vec<u8>> {
    Err(io::Error::other(NO_PARQUET))
}

#[cfg(not(feature = "parquet"))]
fn long_parquet(_: &Long<'_>) -> io::Result<Vec<u8>> {
    Err(io::Error::other(NO_PARQUET))
}

/// What is wrong with the format parquet in a program that does not have it.
pub(crate) const NO_PARQUET: &str = "this program was built without the writer of Parquet: build it with `cargo build --release --features parquet -p colearn`, or use --format csv";

/// Only one rule, below the heading.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// Two blanks between columns and one rule below the heading. The table of a sweep with two modalities then fits a
/// terminal of a hundred columns.
fn for_people(table: &ResultsTable) -> String {
    let (heading, rows) = heading_and_rows(table);
    let settings = setting_columns(table);
    let names = heading.iter().enumerate().map(|(index, name)| match settings.get(index) {
        Some(path) => match path.strip_prefix(MODALITY_DROPOUT) {
            Some(modality) => format!("dropout\n{modality}"),
            None => short_path(path, &settings).to_owned(),
        },
        // The modalities of a metric are on the next lines of its name.
        None => name.replace(" (", "\n(").replace(" + ", "\n+ "),
    });
    let rows = rows.into_iter().map(|row| row.iter().map(|cell| cell.replace(" ± ", "±")).collect());
    let text = columns(&heading, names.collect(), rows.collect(), &["note", "baseline"]);
    let mut text = format!("sweep {}\n{text}\n{}\n", table.sweep, summary_line(table));
    if let Some(step) = next_step(table) {
        text += &format!("{step}\n");
    }
    for warning in warnings(table) {
        text += &format!("warning: {warning}\n");
    }
    text
}

/// A table whose columns are named by `shown`. A column is left-aligned if its heading is one of these words, or ends
/// in one; the others hold numbers.
fn columns(heading: &[String], shown: Vec<String>, rows: Vec<Vec<String>>, words: &[&str]) -> String {
    let mut text = Table::new();
    text.load_style(STYLE);
    text.set_header(shown);
    text.add_rows(rows);
    for (index, column) in text.column_iter_mut().enumerate() {
        // Between columns the rule has its own column, so the padding becomes two.
        column.set_padding((u16::from(index > 0), 0));
        // Numbers are right-aligned, words left-aligned.
        let is_words = heading.get(index).is_some_and(|name| words.iter().any(|word| name.ends_with(word)));
        column.set_cell_alignment(if is_words { CellAlignment::Left } else { CellAlignment::Right });
    }
    text.trim_fmt()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use colearn_core::{
        result::TaskResult,
        sweep::Sweep,
        table::{ResultsTable, TaskOutcome},
    };

    use super::*;

    const DEMO: &str = include_str!("../../sweeps/demo.yaml");
    const README: &str = include_str!("../../README.md");

    /// Results of every task except those in `without`, given as position of the configuration and seed.
    fn table(source: &str, without: &[(usize, u64)]) -> ResultsTable {
        let sweep = Sweep::parse(source, "sweep.yaml").unwrap_or_else(|errors| panic!("{errors}")).sweep;
        let mut outcomes = HashMap::new();
        for (index, configuration) in sweep.configurations.iter().enumerate() {
            for seed in sweep.seeds.iter().filter(|seed| !without.contains(&(index, **seed))) {
                // Alternately below and above the baseline, so that the widest possible interval occurs.
                let sign = if (index as u64 + seed).is_multiple_of(2) { 1.0 } else { -1.0 };
                let value = 0.7 + sign * 0.01 * (1 + index) as f64;
                let metrics = sweep.report.metrics.iter().map(|name| (name.clone(), value)).collect();
                let result = TaskResult { metrics, ..TaskResult::default() };
                outcomes.insert((configuration.id, *seed), TaskOutcome::Done(result));
            }
        }
        ResultsTable::of(&sweep, &outcomes)
    }

    /// The lines of the table, without the notes.
    fn lines(text: &str) -> Vec<&str> {
        text.lines().skip(1).take_while(|line| !line.starts_with("mean ±")).collect()
    }

    #[test]
    fn the_table_of_the_demo_fits_a_hundred_columns() {
        let text = for_people(&table(DEMO, &[]));
        let lines = lines(&text);
        assert_eq!(lines.len(), 2 + 1 + 8, "two lines of heading, one rule, the rows:\n{text}");
        let widest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest <= 100, "{widest} columns:\n{text}");
        assert!(lines[2].chars().all(|character| character == '─'), "{text}");
        assert!(text.contains("neutral -0.0") || text.contains("neutral +0.0"), "{text}");
        assert!(lines[10].ends_with("  baseline"), "{text}");
    }

    #[test]
    fn the_readme_shows_the_table_as_it_is_printed() {
        let text = for_people(&table(DEMO, &[]));
        let printed = lines(&text);
        let begin = README.find(&format!("{}\n{}\n", printed[0], printed[1]));
        let shown: Vec<&str> = README[begin.expect("the README has the heading of the table")..]
            .lines()
            .take_while(|line| !line.starts_with("```"))
            .collect();
        assert_eq!(shown[..3], printed[..3]);
        assert_eq!(shown.len(), printed.len());
        // The numbers differ between runs; their positions and the settings beside them are the same.
        let settings = |line: &str| line.chars().take(25).collect::<String>();
        for (shown, printed) in shown.iter().zip(&printed) {
            assert_eq!(settings(shown), settings(printed));
        }
    }

    #[test]
    fn what_is_missing_is_noted_and_what_was_measured_stands_below_the_name() {
        let text = for_people(&table(DEMO, &[(2, 3)]));
        assert!(lines(&text)[0].ends_with("note"), "{text}");
        assert!(
            text.contains("4 of 5") && text.contains("over 4 pairs") && text.contains("partial"),
            "{text}"
        );
        let mut table = table(DEMO, &[]);
        for name in &mut table.metrics[1..] {
            name.push_str("@language+audio");
        }
        let text = for_people(&table);
        let heading: Vec<&str> = lines(&text).into_iter().take_while(|line| !line.contains('─')).collect();
        assert_eq!(heading.len(), 3, "{text}");
        assert!(heading[1].contains("(language") && heading[2].contains("+ audio)"), "{text}");
    }
}
