//! The full comparison with the baseline.

use std::fmt::Write as _;

use colearn_core::{
    statistics::Comparison,
    table::{ConfigurationRow, ResultsTable},
};

use super::{
    Shown,
    grid::{Cell, Content, Grid},
    table::badge,
};
use crate::{
    cells::{dependence, label, metric_heading, p_value, percent, replicate_noun, replicated_by},
    numbers::Numbers,
    verdicts::{legend, methods, needed, scope},
};

/// The comparisons with the baseline.
pub(super) struct Against {
    /// What the columns mean, and how the comparisons were judged.
    pub(super) notes: Vec<String>,
    /// Every shown metric of every configuration, or what none has both sides of.
    pub(super) compared: Result<Grid, &'static str>,
}

pub(super) fn section(table: &ResultsTable, shown: &Shown<'_>) -> Against {
    Against { notes: introduction(table), compared: compared(table, shown) }
}

fn compared(table: &ResultsTable, shown: &Shown<'_>) -> Result<Grid, &'static str> {
    let mut rows: Vec<(&String, &ConfigurationRow, &Comparison)> = Vec::new();
    for name in &table.metrics {
        let compared = shown.rows.iter().filter_map(|row| Some((*row, row.comparisons.get(name)?)));
        rows.extend(compared.map(|(row, comparison)| (name, row, comparison)));
    }
    if rows.is_empty() {
        return Err(replicate_noun(table));
    }
    // Below six pairs there is no signed-rank test.
    let ranked = rows.iter().any(|(_, _, comparison)| comparison.wilcoxon_p.is_some());
    let networks = table.is_of_networks();
    let mut heading: Vec<String> =
        ["<metric", "<configuration", "pairs", "r", "difference", "d_z", "p", "adjusted p", "p (Welch)"]
            .map(str::to_owned)
            .to_vec();
    heading.extend(ranked.then(|| "p (Wilcoxon)".to_owned()));
    heading.extend(networks.then(|| "<verdict".to_owned()));
    heading.push(format!("{}s needed", replicate_noun(table)));
    let mut grid = Grid::new(&heading);
    for (name, row, comparison) in rows {
        let mut cells = vec![Cell::left(metric_heading(table, name)), Cell::left(label(row))];
        cells.extend(numbers(table, row, comparison));
        cells.extend(ranked.then(|| Cell::new(p_value(comparison.wilcoxon_p))));
        let judged = || Cell::of("l", Content::Judged(badge(table, comparison), String::new()));
        cells.extend(networks.then(judged));
        cells.push(Cell::new(needed(table, comparison)));
        grid.row("", cells);
    }
    Ok(grid)
}

fn numbers(table: &ResultsTable, row: &ConfigurationRow, comparison: &Comparison) -> [Cell; 7] {
    let short = |value: Option<f64>| match value {
        None => "-".to_owned(),
        Some(value) if value.abs() < 1e6 => format!("{value:+.2}"),
        Some(value) => format!("{value:+.2e}"),
    };
    let pairs = match comparison.pairs == row.expected {
        true => comparison.pairs.to_string(),
        false => format!("{} of {}", comparison.pairs, row.expected),
    };
    [
        pairs,
        short(comparison.correlation),
        Numbers::of(table).difference(comparison, table.is_simultaneous()),
        short(comparison.effect_size),
        p_value(comparison.t_p),
        p_value(comparison.adjusted_p),
        p_value(comparison.welch_p),
    ]
    .map(Cell::new)
}

/// What the columns mean, and how the comparisons were judged.
fn introduction(table: &ResultsTable) -> Vec<String> {
    let by = replicated_by(table);
    let mut sentences = vec![format!("Differences are configuration minus baseline, paired by {by}.")];
    let mut seen = Vec::new();
    for name in table.metrics.iter().filter(|name| table.judged.contains_key(*name)) {
        let mut sentence = format!("{} % intervals{}", percent(table.confidence), scope(table, name));
        if table.is_simultaneous() {
            let _ = write!(sentence, ", by {}", methods(table, name).join("; "));
        }
        if table.is_of_networks() {
            let _ = write!(sentence, ". The verdict: {}", legend(table, name));
        }
        if !seen.contains(&sentence) {
            sentences.push(format!("{}: {sentence}.", metric_heading(table, name)));
            seen.push(sentence);
        }
    }
    let noun = replicate_noun(table);
    sentences.push(format!(
        "r is the correlation of the pairs, and d_z Cohen's: mean difference over the deviation of the differences. p-values are two-sided: p is that of the paired t-test of one configuration alone, the adjusted one accounts for all comparisons in the metric, and Welch's test ignores the pairing. With the number of {noun}s needed, a decision has a probability of 80 %, if the difference and its deviation are those observed."
    ));
    let mut notes = vec![sentences.join(" ")];
    notes.extend(dependence(table).map(|limit| format!("Here {limit}.")));
    notes
}
