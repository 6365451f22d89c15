//! The tables of the page.

use std::fmt::Write as _;

use colearn_core::{
    statistics::{Comparison, Verdict},
    table::{ConfigurationRow, ResultsTable, TaskOutcome},
    text::counted_len,
};

use super::{MAX_ROWS, Shown};
use crate::{
    cells::{
        configuration_label, count, label, member_label, metric_heading, note, replicate_noun, setting,
        setting_columns, verdict_heading,
    },
    choice, meaning,
    numbers::Numbers,
    reference::{Matched, Reference},
    report_data::{CANCELLED, Material},
    svg::escape,
    verdicts::{remark, word},
};

/// A table under construction. Cells are given as HTML.
pub(super) struct Grid(String);

impl Grid {
    /// Columns have text names; those that begin with `<` are aligned left.
    pub(super) fn new(heading: &[String]) -> Self {
        Self::hinted(heading, |_| None)
    }

    /// The same with hints for some columns, by their positions.
    pub(super) fn hinted(heading: &[String], hint: impl Fn(usize) -> Option<String>) -> Self {
        let mut text = String::from("<div class=\"box\"><table>\n<thead><tr>");
        for (at, name) in heading.iter().enumerate() {
            let (class, name) = match name.strip_prefix('<') {
                Some(name) => (" class=\"l\"", name),
                None => ("", name.as_str()),
            };
            // Long paths may be broken after each word.
            let name = escape(name).replace('.', ".<wbr>").replace('_', "_<wbr>");
            let hint = hint(at).map_or_else(String::new, |hint| format!(" title=\"{}\"", escape(&hint)));
            let _ = write!(text, "<th{class}{hint}>{name}</th>");
        }
        text.push_str("</tr></thead>\n<tbody>\n");
        Self(text)
    }

    pub(super) fn row(&mut self, class: &str, cells: &[Cell]) {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let _ = write!(self.0, "<tr{class}>");
        for Cell { class, html } in cells {
            let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
            let _ = write!(self.0, "<td{class}>{html}</td>");
        }
        self.0.push_str("</tr>\n");
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push_str("</tbody></table></div>\n");
        self.0
    }
}

/// One cell.
pub(super) struct Cell {
    class: &'static str,
    html: String,
}

impl Cell {
    pub(super) fn new(text: &str) -> Self {
        Self::html("", escape(text))
    }

    pub(super) fn left(text: &str) -> Self {
        Self::html("l", escape(text))
    }

    pub(super) fn html(class: &'static str, html: String) -> Self {
        Self { class, html }
    }
}

/// A verdict as a badge, or why there is none.
pub(super) fn badge(table: &ResultsTable, comparison: &Comparison) -> String {
    let class = match comparison.verdict {
        Some(Verdict::Positive) => "pcl",
        Some(Verdict::Negative) => "ncl",
        Some(Verdict::Equivalent) => "equivalent",
        Some(Verdict::Inconclusive) => "inconclusive",
        None => "untested",
    };
    let remark = escape(remark(table, comparison));
    word(comparison)
        .map(|word| format!("<span class=\"verdict {class}\">{word}{remark}</span>"))
        .unwrap_or_default()
}

fn class_of(row: &ConfigurationRow) -> &'static str {
    if row.baseline { "baseline" } else { "" }
}

/// The main table.
pub(super) fn results(table: &ResultsTable, shown: &Shown<'_>) -> String {
    let settings = setting_columns(table);
    let numbers = Numbers::of(table);
    let verdicts = verdict_heading(table);
    let mut heading = settings.clone();
    heading.push("n".to_owned());
    heading.extend(table.metrics.iter().map(|name| metric_heading(table, name)));
    heading.extend(verdicts.iter().map(|name| format!("<{name}")));
    let notes: Vec<String> = shown.rows.iter().map(|row| note(row, verdicts.is_none())).collect();
    let noted = notes.iter().any(|note| !note.is_empty());
    heading.extend(noted.then(|| "<note".to_owned()));
    let simultaneous = table.is_simultaneous();
    let best = table.chosen_row().map(|row| row.id);
    let first = settings.len() + 1;
    let mut grid =
        Grid::hinted(&heading, |at| meaning::hint(table, table.metrics.get(at.checked_sub(first)?)?));
    let configurations = shown.rows.iter().copied().zip(&notes).map(|(row, note)| {
        let cells = settings.iter().map(|path| Cell::new(&setting(row, path))).collect();
        (row, cells, note.clone(), class_of(row), if best == Some(row.id) { "best" } else { "" })
    });
    // There is one for each baseline.
    let chosen = table.chosen.iter().take(MAX_ROWS).map(|chosen| {
        let blank = settings.iter().map(|_| Cell::new(""));
        let named = std::iter::once(Cell::left(&choice::name(table, chosen))).chain(blank);
        let cells = named.take(settings.len()).collect();
        (&chosen.row, cells, self::note(&chosen.row, false), "chosen", "")
    });
    for (row, mut cells, note, row_class, class) in configurations.chain(chosen) {
        let cells: &mut Vec<Cell> = &mut cells;
        cells.push(Cell::new(&count(row)));
        for name in &table.metrics {
            cells.push(Cell::html(class, escape(&numbers.mean_and_deviation(row.metrics.get(name)))));
        }
        if let Some(name) = table.verdict_metric().filter(|_| verdicts.is_some()) {
            let comparison = row.comparisons.get(name);
            let nothing = if row.n == 0 { "no result" } else { "" };
            let text =
                comparison.map_or_else(|| nothing.to_owned(), |it| numbers.difference(it, simultaneous));
            let missing = comparison.filter(|it| it.pairs < row.expected);
            let pairs =
                missing.map_or_else(String::new, |it| format!(" ({})", counted_len(it.pairs, "pair")));
            let html = match row.baseline {
                true => "<span class=\"muted\">baseline</span>".to_owned(),
                false => {
                    let badge = comparison.map(|it| badge(table, it)).unwrap_or_default();
                    format!("{badge}{}{pairs}", escape(&text))
                }
            };
            cells.push(Cell::html("l", html));
        }
        cells.extend(noted.then(|| Cell::html("l note", escape(&note))));
        grid.row(row_class, cells);
    }
    grid.finish()
}

/// Published means beside the means of the sweep.
pub(super) fn published(table: &ResultsTable, reference: &Reference, published: &Matched) -> String {
    let numbers = Numbers::of(table);
    let mut text =
        format!("<p class=\"note\">From {}. {}</p>\n", escape(&published.origin), escape(&reference.source));
    for warning in &published.warnings {
        let _ = writeln!(text, "<p class=\"warning\">{}.</p>", escape(warning));
    }
    if published.rows.is_empty() {
        return text;
    }
    let mut names: Vec<&str> = Vec::new();
    for it in table.configurations.iter().filter_map(|row| published.rows.get(&row.id)).flatten() {
        if !names.contains(&it.metric.as_str()) {
            names.push(&it.metric);
        }
    }
    let mut heading = vec!["<configuration".to_owned(), "n".to_owned()];
    for name in &names {
        heading.extend([
            format!("{} published", metric_heading(table, name)),
            "here".to_owned(),
            "difference".to_owned(),
        ]);
    }
    let mut grid = Grid::new(&heading);
    for row in &table.configurations {
        let Some(means) = published.rows.get(&row.id) else { continue };
        let mut cells = vec![Cell::left(&label(row)), Cell::new(&count(row))];
        for name in &names {
            let said = means.iter().find(|it| it.metric == *name);
            let here = row.metrics.get(*name);
            let both = said.zip(here).map(|(said, here)| numbers.signed(here.mean - said.mean));
            cells.push(Cell::new(said.map_or("-", |it| &it.written)));
            cells.push(Cell::new(&numbers.mean_and_deviation(here)));
            cells.push(Cell::new(both.as_deref().unwrap_or("-")));
        }
        grid.row(class_of(row), &cells);
    }
    text + &grid.finish()
}

/// The values of each seed, for the metric of the verdicts. Each replicate of a row has its own line.
pub(super) fn seeds(material: &Material, table: &ResultsTable, shown: &Shown<'_>) -> String {
    // A table of a thousand seeds would be too large.
    const MAX_SEEDS: usize = 50;
    let Some(name) = table.verdict_metric() else { return String::new() };
    let numbers = Numbers::of(table);
    let seeds = &material.sweep.seeds[..material.sweep.seeds.len().min(MAX_SEEDS)];
    let mut heading = vec!["<configuration".to_owned()];
    heading.extend(seeds.iter().map(|seed| format!("seed {seed}")));
    let mut grid = Grid::new(&heading);
    let members = shown.rows.iter().flat_map(|row| row.configurations().map(move |it| (*row, it)));
    for (row, member) in members {
        let name_of = member_label(&label(row), &member.name());
        let mut cells = vec![Cell::left(&name_of)];
        cells.extend(seeds.iter().map(|seed| match material.outcomes.get(&(member.id, *seed)) {
            Some(TaskOutcome::Done(result)) => {
                Cell::new(&result.metrics.get(name).map_or_else(|| "-".to_owned(), |it| numbers.plain(*it)))
            }
            Some(TaskOutcome::Failed(reason)) => Cell::html("ncl", escape(reason.as_str())),
            Some(TaskOutcome::Cancelled) => Cell::html("muted", CANCELLED.to_owned()),
            None => Cell::html("muted", "missing".to_owned()),
        }));
        grid.row(class_of(row), &cells);
    }
    let more = material.sweep.seeds.len() - seeds.len();
    let more =
        if more > 0 { format!(" ({} more not shown)", counted_len(more, "seed")) } else { String::new() };
    format!(
        "<details><summary>{} of every task{more}</summary>\n{}{}</details>\n",
        escape(&metric_heading(table, name)),
        shown.paragraph(),
        grid.finish()
    )
}

/// Failed attempts; empty if there are none and every task has its result.
pub(super) fn failures(material: &Material, table: &ResultsTable) -> String {
    const MAX_ROWS: usize = 500;
    let sum = |of: fn(&ConfigurationRow) -> usize| table.configurations.iter().map(of).sum::<usize>();
    let failed = sum(|row| row.failed_seeds.len());
    let cancelled = sum(|row| row.cancelled_seeds.len());
    let without = sum(|row| row.expected - row.n) - failed - cancelled;
    let mut text = String::new();
    let and_cancelled = match cancelled {
        0 => String::new(),
        count => format!(", {} cancelled", counted_len(count, "task")),
    };
    if failed + cancelled + without > 0 {
        let _ = writeln!(
            text,
            "<p>{} failed for good{and_cancelled}, {without} without a result yet. Means are over the {}s that have one; comparisons over those that both sides have.</p>",
            counted_len(failed, "task"),
            replicate_noun(table)
        );
    }
    if material.failures.is_empty() {
        return text;
    }
    let heading = ["<configuration", "seed", "attempt", "<", "<reason", "<message"].map(str::to_owned);
    let mut grid = Grid::new(&heading);
    for failure in material.failures.iter().take(MAX_ROWS) {
        let name = configuration_label(table, failure.configuration);
        grid.row(
            "",
            &[
                Cell::left(&name),
                Cell::new(&failure.seed.to_string()),
                Cell::new(&failure.attempt.to_string()),
                Cell::left(if failure.last { "failed for good" } else { "tried again" }),
                Cell::left(&failure.reason),
                Cell::html("l wrap", escape(&failure.message)),
            ],
        );
    }
    text.push_str(&grid.finish());
    if material.failures.len() > MAX_ROWS {
        let _ = writeln!(
            text,
            "<p class=\"note\">{} more are not shown.</p>",
            material.failures.len() - MAX_ROWS
        );
    }
    text
}
