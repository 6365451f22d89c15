//! The results table as text.

use colearn_core::{names::short_path, settings::schema::MODALITY_DROPOUT, table::ResultsTable};
use colearn_report::{heading_and_rows, next_step, setting_columns, summary_line, text, warnings};
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

use crate::args::Format;

/// Renders `table` in `format`, ending in a newline.
pub(crate) fn render(table: &ResultsTable, format: Format) -> String {
    match format {
        Format::Table => for_people(table),
        Format::Csv => text::csv(table),
        Format::Json => text::json(table, None),
        Format::Markdown => text::markdown(table, None),
    }
}

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
    let mut text = Table::new();
    text.load_style(STYLE);
    text.set_header(names);
    for row in rows {
        text.add_row(row.iter().map(|cell| cell.replace(" ± ", "±")));
    }
    for (index, column) in text.column_iter_mut().enumerate() {
        // Between columns the rule has its own column, so the padding becomes two.
        column.set_padding((u16::from(index > 0), 0));
        // Numbers are right-aligned, words left-aligned.
        let words = heading[index] == "note" || heading[index].contains("baseline");
        column.set_cell_alignment(if words { CellAlignment::Left } else { CellAlignment::Right });
    }
    let mut text = format!("sweep {}\n{}\n{}\n", table.sweep, text.trim_fmt(), summary_line(table));
    if let Some(step) = next_step(table) {
        text += &format!("{step}\n");
    }
    for warning in warnings(table) {
        text += &format!("warning: {warning}\n");
    }
    text
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
