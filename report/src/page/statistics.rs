//! The full comparison with the baseline.

use std::fmt::Write as _;

use colearn_core::table::ResultsTable;

use super::table::{Cell, Grid, badge};
use crate::{
    cells::{dependence, label, metric_heading, p_value, percent, replicate_noun, replicated_by},
    numbers::Numbers,
    svg::escape,
};

/// Every shown metric of every configuration.
pub(super) fn section(table: &ResultsTable) -> String {
    let numbers = Numbers::of(table);
    let networks = table.is_of_networks();
    let mut text = format!(
        "<p class=\"note\">Differences are configuration minus baseline, paired by {}, with their {} % interval (Student's t). d<sub>z</sub> is Cohen's: mean difference over the deviation of the differences. p-values are two-sided; Holm's correction is over all configurations of the table, for each metric. {} With five pairs Wilcoxon's test cannot go below 0.0625.</p>\n",
        escape(&replicated_by(table)),
        percent(table.confidence),
        if networks {
            "The verdict: neutral where the interval holds zero, else PCL (better) or NCL (worse). It is about one configuration at a time; for claims about several, read the corrected p-values."
        } else {
            "An interval is about one configuration at a time; for claims about several, read the corrected p-values."
        }
    );
    if let Some(limit) = dependence(table) {
        let _ = writeln!(text, "<p class=\"note\">Here {}.</p>", escape(limit));
    }
    let mut heading =
        ["<metric", "<configuration", "pairs", "difference", "d_z", "p (t)", "Holm", "p (Wilcoxon)", "Holm"]
            .map(str::to_owned)
            .to_vec();
    heading.extend(networks.then(|| "<verdict".to_owned()));
    let mut grid = Grid::new(&heading);
    let mut compared = false;
    for name in &table.metrics {
        for row in &table.configurations {
            let Some(comparison) = row.comparisons.get(name) else { continue };
            compared = true;
            let effect = comparison.effect_size.map_or_else(
                || "-".to_owned(),
                |it| if it.abs() < 1e6 { format!("{it:+.2}") } else { format!("{it:+.2e}") },
            );
            let mut cells = vec![
                Cell::left(&metric_heading(table, name)),
                Cell::left(&label(row)),
                Cell::new(&if comparison.pairs == row.expected {
                    comparison.pairs.to_string()
                } else {
                    format!("{} of {}", comparison.pairs, row.expected)
                }),
                Cell::new(&numbers.difference(comparison)),
                Cell::new(&effect),
                Cell::new(&p_value(comparison.t_p)),
                Cell::new(&p_value(comparison.t_p_holm)),
                Cell::new(&p_value(comparison.wilcoxon_p)),
                Cell::new(&p_value(comparison.wilcoxon_p_holm)),
            ];
            cells.extend(networks.then(|| Cell::html("l", badge(comparison.verdict))));
            grid.row("", &cells);
        }
    }
    if compared {
        text.push_str(&grid.finish());
    } else {
        let _ = writeln!(
            text,
            "<p>{}</p>",
            escape(&format!(
                "No {} has both a result of a configuration and one of the baseline yet.",
                replicate_noun(table)
            ))
        );
    }
    text
}
