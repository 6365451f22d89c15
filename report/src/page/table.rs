//! The tables of the page.

use colearn_core::{
    statistics::{Comparison, Verdict},
    table::{ConfigurationRow, ResultsTable, TaskOutcome},
    text::counted_len,
};

use super::{
    MAX_ROWS, Shown,
    grid::{Badge, Cell, Content, Grid},
};
use crate::{
    cells::{
        configuration_label, count, label, member_label, metric_heading, note, replicate_noun, setting,
        setting_columns, summary_line, verdict_heading,
    },
    choice, meaning,
    numbers::Numbers,
    reference::{Matched, Reference},
    report_data::{CANCELLED, Material},
    verdicts::{next_step, remark, word},
};

/// The main table, and the lines under it.
pub(super) struct Results {
    pub(super) grid: Grid,
    pub(super) notes: Vec<String>,
}

/// Published means beside the means of the sweep.
pub(super) struct Published<'m> {
    pub(super) origin: &'m str,
    pub(super) source: &'m str,
    pub(super) warnings: &'m [String],
    pub(super) grid: Option<Grid>,
}

/// The values of each seed, for the metric of the verdicts.
pub(super) struct Seeds {
    pub(super) metric: String,
    /// How many seeds are not shown; empty if all are.
    pub(super) more: String,
    pub(super) grid: Grid,
}

/// Failed attempts, and tasks without a result.
pub(super) struct Failures {
    pub(super) missing: Option<String>,
    pub(super) grid: Option<Grid>,
    /// The number of failures that are not shown.
    pub(super) more: usize,
}

/// A verdict as a badge, or why there is none.
pub(super) fn badge(table: &ResultsTable, comparison: &Comparison) -> Option<Badge> {
    let class = match comparison.verdict {
        Some(Verdict::Positive) => "pcl",
        Some(Verdict::Negative) => "ncl",
        Some(Verdict::Equivalent) => "equivalent",
        Some(Verdict::Inconclusive) => "inconclusive",
        None => "untested",
    };
    word(comparison).map(|word| Badge { class, word, remark: remark(table, comparison) })
}

fn class_of(row: &ConfigurationRow) -> &'static str {
    if row.baseline { "baseline" } else { "" }
}

pub(super) fn results(table: &ResultsTable, shown: &Shown<'_>) -> Results {
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
        let cells: Vec<Cell> = settings.iter().map(|path| Cell::new(setting(row, path))).collect();
        (row, cells, note.clone(), class_of(row), if best == Some(row.id) { "best" } else { "" })
    });
    // There is one for each baseline.
    let chosen = table.chosen.iter().take(MAX_ROWS).map(|chosen| {
        let blank = settings.iter().map(|_| Cell::new(""));
        let named = std::iter::once(Cell::left(choice::name(table, chosen))).chain(blank);
        let cells = named.take(settings.len()).collect();
        (&chosen.row, cells, self::note(&chosen.row, false), "chosen", "")
    });
    for (row, mut cells, note, row_class, class) in configurations.chain(chosen) {
        cells.push(Cell::new(count(row)));
        for name in &table.metrics {
            cells.push(Cell::classed(class, numbers.mean_and_deviation(row.metrics.get(name))));
        }
        if let Some(name) = table.verdict_metric().filter(|_| verdicts.is_some()) {
            let comparison = row.comparisons.get(name);
            let nothing = if row.n == 0 { "no result" } else { "" };
            let text =
                comparison.map_or_else(|| nothing.to_owned(), |it| numbers.difference(it, simultaneous));
            let missing = comparison.filter(|it| it.pairs < row.expected);
            let pairs =
                missing.map_or_else(String::new, |it| format!(" ({})", counted_len(it.pairs, "pair")));
            let content = match row.baseline {
                true => Content::Muted("baseline"),
                false => {
                    Content::Judged(comparison.and_then(|it| badge(table, it)), format!("{text}{pairs}"))
                }
            };
            cells.push(Cell::of("l", content));
        }
        cells.extend(noted.then(|| Cell::classed("l note", note)));
        grid.row(row_class, cells);
    }
    let best = format!("Of the configurations, {}", choice::best(table));
    let notes = [summary_line(table), best].into_iter().chain(next_step(table)).collect();
    Results { grid, notes }
}

pub(super) fn published<'m>(
    table: &ResultsTable,
    reference: &'m Reference,
    published: &'m Matched,
) -> Published<'m> {
    let Matched { origin, warnings, .. } = published;
    let grid = (!published.rows.is_empty()).then(|| beside(table, published));
    Published { origin, source: &reference.source, warnings, grid }
}

fn beside(table: &ResultsTable, published: &Matched) -> Grid {
    let numbers = Numbers::of(table);
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
        let mut cells = vec![Cell::left(label(row)), Cell::new(count(row))];
        for name in &names {
            let said = means.iter().find(|it| it.metric == *name);
            let here = row.metrics.get(*name);
            let both = said.zip(here).map(|(said, here)| numbers.signed(here.mean - said.mean));
            cells.push(Cell::new(said.map_or("-", |it| it.written.as_str())));
            cells.push(Cell::new(numbers.mean_and_deviation(here)));
            cells.push(Cell::new(both.as_deref().unwrap_or("-")));
        }
        grid.row(class_of(row), cells);
    }
    grid
}

/// Each replicate of a row has its own line.
pub(super) fn seeds(material: &Material, table: &ResultsTable, shown: &Shown<'_>) -> Option<Seeds> {
    // A table of a thousand seeds would be too large.
    const MAX_SEEDS: usize = 50;
    let name = table.verdict_metric()?;
    let numbers = Numbers::of(table);
    let seeds = &material.sweep.seeds[..material.sweep.seeds.len().min(MAX_SEEDS)];
    let mut heading = vec!["<configuration".to_owned()];
    heading.extend(seeds.iter().map(|seed| format!("seed {seed}")));
    let mut grid = Grid::new(&heading);
    let members = shown.rows.iter().flat_map(|row| row.configurations().map(move |it| (*row, it)));
    for (row, member) in members {
        let name_of = member_label(&label(row), &member.name());
        let mut cells = vec![Cell::left(name_of)];
        cells.extend(seeds.iter().map(|seed| match material.outcomes.get(&(member.id, *seed)) {
            Some(TaskOutcome::Done(result)) => {
                Cell::new(result.metrics.get(name).map_or_else(|| "-".to_owned(), |it| numbers.plain(it)))
            }
            Some(TaskOutcome::Failed(reason)) => Cell::classed("ncl", reason.as_str()),
            Some(TaskOutcome::Cancelled) => Cell::classed("muted", CANCELLED),
            None => Cell::classed("muted", "missing"),
        }));
        grid.row(class_of(row), cells);
    }
    let more = material.sweep.seeds.len() - seeds.len();
    let more =
        if more > 0 { format!(" ({} more not shown)", counted_len(more, "seed")) } else { String::new() };
    Some(Seeds { metric: metric_heading(table, name), more, grid })
}

/// `None` if no attempt failed and every task has its result.
pub(super) fn failures(material: &Material, table: &ResultsTable) -> Option<Failures> {
    const MAX_ROWS: usize = 500;
    let sum = |of: fn(&ConfigurationRow) -> usize| table.configurations.iter().map(of).sum::<usize>();
    let failed = sum(|row| row.failed_seeds.len());
    let cancelled = sum(|row| row.cancelled_seeds.len());
    let without = sum(|row| row.expected - row.n) - failed - cancelled;
    let and_cancelled = match cancelled {
        0 => String::new(),
        count => format!(", {} cancelled", counted_len(count, "task")),
    };
    let missing = (failed + cancelled + without > 0).then(|| {
        format!(
            "{} failed for good{and_cancelled}, {without} without a result yet. Means are over the {}s that have one; comparisons over those that both sides have.",
            counted_len(failed, "task"),
            replicate_noun(table)
        )
    });
    if material.failures.is_empty() {
        return missing.map(|missing| Failures { missing: Some(missing), grid: None, more: 0 });
    }
    let heading = ["<configuration", "seed", "attempt", "<", "<reason", "<message"].map(str::to_owned);
    let mut grid = Grid::new(&heading);
    for failure in material.failures.iter().take(MAX_ROWS) {
        let cells = vec![
            Cell::left(configuration_label(table, failure.configuration)),
            Cell::new(failure.seed.to_string()),
            Cell::new(failure.attempt.to_string()),
            Cell::left(if failure.last { "failed for good" } else { "tried again" }),
            Cell::left(&failure.reason),
            Cell::wrapped(&failure.message),
        ];
        grid.row("", cells);
    }
    Some(Failures { missing, grid: Some(grid), more: material.failures.len().saturating_sub(MAX_ROWS) })
}
