//! Results in the formats of the command line.

use std::io;

use colearn_core::{names::short_path, settings::schema::MODALITY_DROPOUT, table::ResultsTable};
use colearn_report::{
    Long, Material, Records, heading_and_rows, next_step, row_names, setting_columns, summary_line, text,
    warnings,
};

use crate::{
    args::Format,
    layout::{Column, Role, fitted, sentence, width},
    shown::Shown,
};

/// Writes averages, or records of the long format. Formats for people end with the note of what is `shown`; the table of
/// averages has only those rows.
///
/// # Errors
/// If they cannot be written.
pub(crate) fn write(
    into: &mut dyn io::Write,
    material: &Material,
    table: &ResultsTable,
    long: Option<Records>,
    shown: &Shown,
    format: Format,
) -> io::Result<()> {
    let note = &shown.note;
    let Some(long) = long else {
        return match format {
            Format::Table => into.write_all(for_people(table, shown, width()).as_bytes()),
            Format::Csv => text::csv(into, table),
            Format::Json => text::json(into, material, table, None),
            Format::Markdown => {
                into.write_all(text::markdown(table, None).as_bytes())?;
                if note.is_empty() { Ok(()) } else { writeln!(into, "\n{note}") }
            }
            Format::Latex => into.write_all(text::latex(table).as_bytes()),
            Format::Parquet => into.write_all(&parquet(table)?),
        };
    };
    let long = Long::of(material, table, long);
    match format {
        Format::Table => {
            let (heading, rows) = long.for_people()?;
            let words = ["name", "metric", "split", "modalities", "status", "reason", "curve"];
            let text = fitted(&records(&heading, &rows, &words), &[], width());
            writeln!(into, "sweep {}\n{text}", table.sweep)?;
            if note.is_empty() { Ok(()) } else { writeln!(into, "{note}") }
        }
        Format::Csv => long.csv(into),
        Format::Json => long.json(into),
        Format::Markdown => long.markdown(into),
        Format::Parquet => into.write_all(&long_parquet(&long)?),
        Format::Latex => {
            Err(io::Error::other("LaTeX has the averages only: leave out --per-seed and --history"))
        }
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

/// The table of averages, its legend, and how many rows it does not show.
pub(crate) fn for_people(table: &ResultsTable, shown: &Shown, width: usize) -> String {
    let names = shown.pick(row_names(table), table.configurations.len());
    let mut text = format!("sweep {}\n{}\n", table.sweep, fitted(&averages(table, shown), &names, width));
    if !shown.note.is_empty() {
        // It ends with a command: wrapped here, it could not be copied.
        text += &format!("{}\n", shown.note);
    }
    let warnings = warnings(table).into_iter().map(|warning| format!("warning: {warning}"));
    for line in [summary_line(table)].into_iter().chain(next_step(table)).chain(warnings) {
        text += &sentence(&line, width);
    }
    text
}

/// The columns of averages.
fn averages(table: &ResultsTable, shown: &Shown) -> Vec<Column> {
    let (heading, rows) = heading_and_rows(table);
    let rows = shown.pick(rows, table.configurations.len());
    let settings = setting_columns(table);
    let metrics = settings.len() + 1..settings.len() + 1 + table.metrics.len();
    let column = |(index, name): (usize, &String)| {
        let role = match index {
            _ if index < settings.len() => Role::Key,
            _ if index == settings.len() => Role::Repeated,
            // The verdict is about the first metric.
            _ if index == metrics.start => Role::First,
            _ if metrics.contains(&index) => Role::Moves,
            _ => Role::Breaks,
        };
        let words = !metrics.contains(&index) && index > settings.len();
        let heading = match settings.get(index) {
            Some(path) => match path.strip_prefix(MODALITY_DROPOUT) {
                Some(modality) => format!("dropout\n{modality}"),
                None => short_path(path, &settings).to_owned(),
            },
            // The modalities of a metric are on the next lines of its name.
            None => name.replace(" (", "\n(").replace(" + ", "\n+ ").replace(" vs baseline", "\nvs baseline"),
        };
        let cell = |row: &Vec<String>| {
            let cell = row.get(index).cloned().unwrap_or_default().replace(" ± ", "±");
            if words { cell.replace(" [", "\n[") } else { cell }
        };
        Column { heading, cells: rows.iter().map(cell).collect(), words, role }
    };
    heading.iter().enumerate().map(column).collect()
}

/// The columns of records, the first of which is the name. Those with these headings hold words, the others numbers.
fn records(heading: &[String], rows: &[Vec<String>], words: &[&str]) -> Vec<Column> {
    let column = |(index, name): (usize, &String)| Column {
        heading: name.clone(),
        cells: rows.iter().map(|row| row.get(index).cloned().unwrap_or_default()).collect(),
        words: words.contains(&name.as_str()),
        role: if index == 0 { Role::Key } else { Role::First },
    };
    heading.iter().enumerate().map(column).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::Arc};

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

    #[test]
    fn what_is_said_below_a_table_is_as_narrow_as_the_table() {
        let table = table(DEMO, &[(2, 3)]);
        for width in [80, 120] {
            let text = for_people(&table, &Shown::default(), width);
            assert!(widest(&text.lines().collect::<Vec<_>>()) <= width, "{text}");
            let whole = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(whole.contains(&summary_line(&table)), "{text}");
        }
    }

    /// The lines of the table, without the notes.
    fn lines(text: &str) -> Vec<&str> {
        text.lines().skip(1).take_while(|line| !line.starts_with("mean ±")).collect()
    }

    fn widest(lines: &[&str]) -> usize {
        lines.iter().map(|line| line.chars().count()).max().unwrap_or(0)
    }

    #[test]
    fn the_table_of_the_demo_fits_eighty_columns() {
        let table = table(DEMO, &[]);
        let text = for_people(&table, &Shown::default(), 80);
        let narrow = lines(&text);
        assert!(widest(&narrow) <= 80, "{text}");
        // Heading, rule and rows of the first metric with its verdict; the same of the other metrics.
        assert_eq!(narrow.len(), (2 + 1 + 8) + 1 + (2 + 1 + 8), "{text}");
        assert!(narrow[2].chars().all(|character| character == '─'), "{text}");
        assert!(text.contains("inconclusive +0.0") && narrow[10].ends_with("  baseline"), "{text}");
        let text = for_people(&table, &Shown::default(), 100);
        let middle = lines(&text);
        assert!(widest(&middle) <= 100, "{text}");
        // The interval is on a line of its own.
        assert_eq!(middle.len(), 2 + 1 + 7 * 2 + 1, "{text}");
        let text = for_people(&table, &Shown::default(), 200);
        assert_eq!(lines(&text).len(), 2 + 1 + 8, "{text}");
        // Whatever the width, each number is there once.
        let numbers = |width| {
            let text = for_people(&table, &Shown::default(), width);
            let mut words: Vec<String> = lines(&text)
                .concat()
                .split_whitespace()
                .filter(|it| it.contains('±'))
                .map(str::to_owned)
                .collect();
            words.sort();
            words
        };
        assert_eq!(numbers(80), numbers(200));
        assert!(
            for_people(&table, &Shown::without(3), 80).contains("\n3 more configurations not shown"),
            "{text}"
        );
    }

    #[test]
    fn a_table_with_many_settings_names_its_rows() {
        let mut table = table(DEMO, &[]);
        for path in
            ["model.hidden", "model.layers", "model.dropout", "training.learning_rate", "training.epochs"]
        {
            for row in &mut table.configurations {
                Arc::make_mut(&mut row.values).insert(path.to_owned(), "a long value of this setting".into());
            }
        }
        let text = for_people(&table, &Shown::default(), 80);
        assert!(widest(&lines(&text)) <= 80, "{text}");
        assert!(text.contains("audio=0.95 video=0.95  ") && !text.contains("a long value"), "{text}");
    }

    #[test]
    fn long_names_stand_above_their_rows_and_every_block_has_the_number_of_seeds() {
        let mut table = table(DEMO, &[(2, 3)]);
        for row in &mut table.configurations {
            Arc::make_mut(&mut row.values)
                .insert("training.note".to_owned(), "a long value of this setting".into());
            row.name += &format!(" note={}", "a long value of this setting ".repeat(4));
        }
        table.metrics.extend(["f_score@language+audio".to_owned(), "loss@language+audio+video".to_owned()]);
        let text = for_people(&table, &Shown::default(), 80);
        assert!(widest(&lines(&text)) <= 80, "{text}");
        let rules = lines(&text).iter().filter(|line| line.starts_with('─')).count();
        assert!(rules > 1, "{text}");
        let headings =
            lines(&text).iter().filter(|line| line.split_whitespace().any(|word| word == "n")).count();
        assert_eq!(headings, rules, "each block has the column n: {text}");
        assert_eq!(text.matches("4 of 5").count(), rules, "{text}");
        assert_eq!(text.matches("audio=0.95 video=0.95 note=").count(), rules, "{text}");
    }

    #[test]
    fn records_fit_eighty_columns() {
        let heading = ["name", "seed", "metric", "split", "modalities", "value", "status", "reason"];
        let name = format!("audio=0.8 video=0.8 note={}", "x".repeat(100));
        let row = |seed: u64| {
            let measured = ["balanced_accuracy", "valid", "language+audio+video", "0.512"];
            let cells = measured.into_iter().chain(["failed", "out_of_memory"]).map(str::to_owned);
            [name.clone(), seed.to_string()].into_iter().chain(cells).collect()
        };
        let rows: Vec<Vec<String>> = (0..2).map(row).collect();
        let heading = heading.map(str::to_owned);
        let text = fitted(&records(&heading, &rows, &["name", "metric", "modalities", "reason"]), &[], 80);
        assert!(widest(&text.lines().collect::<Vec<_>>()) <= 80, "{text}");
        assert_eq!(text.matches("audio=0.8 video=0.8").count(), 1, "once for both seeds: {text}");
        assert_eq!(text.matches(" 0.512").count(), 2, "{text}");
    }

    #[test]
    fn the_readme_shows_the_table_as_it_is_printed() {
        let text = for_people(&table(DEMO, &[]), &Shown::default(), 80);
        let printed = lines(&text);
        let begin = README.find(&format!("{}\n{}\n", printed[0], printed[1]));
        let shown: Vec<&str> = README[begin.expect("the README has the heading of the table")..]
            .lines()
            .take_while(|line| !line.starts_with("```"))
            // Nothing is chosen without metrics of the validation split.
            .filter(|line| !line.starts_with(" chosen "))
            .take(printed.len())
            .collect();
        assert_eq!(shown[..2], printed[..2]);
        assert_eq!(shown.len(), printed.len());
        // The numbers differ between runs; their positions and the settings beside them are the same.
        let settings = |line: &str| line.chars().take(25).collect::<String>();
        for (shown, printed) in shown.iter().zip(&printed) {
            assert_eq!(settings(shown), settings(printed));
        }
        assert!(widest(&shown) <= 80);
    }

    #[test]
    fn what_is_missing_is_noted_and_what_was_measured_stands_below_the_name() {
        let text = for_people(&table(DEMO, &[(2, 3)]), &Shown::default(), 200);
        assert!(lines(&text)[0].ends_with("note"), "{text}");
        assert!(
            text.contains("4 of 5") && text.contains("over 4 pairs") && text.contains("partial"),
            "{text}"
        );
        let mut table = table(DEMO, &[]);
        for name in &mut table.metrics[1..] {
            name.push_str("@language+audio");
        }
        let text = for_people(&table, &Shown::default(), 200);
        let heading: Vec<&str> = lines(&text).into_iter().take_while(|line| !line.contains('─')).collect();
        assert_eq!(heading.len(), 3, "{text}");
        assert!(heading[1].contains("(language") && heading[2].contains("+ audio)"), "{text}");
    }
}
