//! The page: one self-contained HTML file, made by `templates/page.html`.

mod grid;
mod metrics;
mod provenance;
mod statistics;
mod table;

use std::io;

use askama::Template;
use colearn_core::{
    statistics::Verdict,
    table::{ConfigurationRow, ResultsTable},
    text::counted_len,
};

use self::{
    // The template names it.
    grid::Content,
    metrics::{Classes, Definitions},
    provenance::Origin,
    statistics::Against,
    table::{Failures, Results, Seeds},
};
use crate::{
    cells::{count, label, metric_heading},
    charts::Charts,
    choice,
    numbers::Numbers,
    reference::Matched,
    report_data::Material,
    select::{Leading, leading},
};

/// Everything a page shows.
pub(crate) struct Page<'m> {
    pub(crate) material: &'m Material,
    pub(crate) table: &'m ResultsTable,
    pub(crate) published: Option<&'m Matched>,
    pub(crate) charts: &'m Charts,
    /// Names of the files beside the page.
    pub(crate) files: &'m [String],
}

/// Tables of more configurations are not shown completely: a browser takes seconds for them, and nobody reads them.
const MAX_ROWS: usize = 500;
/// The number of configurations that are shown of such a table.
const SHOWN: usize = 100;

/// The configurations that the tables of a page show.
pub(crate) struct Shown<'m> {
    rows: Vec<&'m ConfigurationRow>,
    /// Which ones they are, and where all are; empty if they are all.
    note: String,
}

impl<'m> Shown<'m> {
    fn of(table: &'m ResultsTable) -> Self {
        let all = &table.configurations;
        if all.len() <= MAX_ROWS {
            return Self { rows: all.iter().collect(), note: String::new() };
        }
        let Leading { rows, what } = leading(table, SHOWN, false);
        let note = format!("Of {} configurations, {what}; all are in the files.", all.len());
        Self { rows: rows.into_iter().filter_map(|at| all.get(at)).collect(), note }
    }
}

/// What the template shows. A section whose content is `None` is left out.
#[derive(Template)]
#[template(path = "page.html")]
struct View<'m> {
    name: &'m str,
    lead: Lead,
    /// Which configurations the tables show.
    note: &'m str,
    results: Results,
    files: &'m [String],
    charts: &'m Charts,
    against: Option<Against>,
    published: Option<table::Published<'m>>,
    classes: Option<Classes>,
    seeds: Option<Seeds>,
    definitions: Option<Definitions>,
    failures: Option<Failures>,
    provenance: Origin,
}

/// The summary at the top.
struct Lead {
    counts: String,
    best: Option<Best>,
    /// What the configurations are compared with, and the verdicts on networks.
    compared: String,
}

/// The best configuration on validation.
struct Best {
    by: String,
    label: String,
    value: String,
}

impl Page<'_> {
    /// Writes the HTML of the page.
    pub(crate) fn write(&self, into: &mut dyn io::Write) -> io::Result<()> {
        let (material, table) = (self.material, self.table);
        let shown = &Shown::of(table);
        let is_compared = table.baselines().next().is_some();
        let published = material.reference.as_ref().zip(self.published);
        let view = View {
            name: table.sweep.as_str(),
            lead: self.lead(),
            note: &shown.note,
            results: table::results(table, shown),
            files: self.files,
            charts: self.charts,
            against: is_compared.then(|| statistics::section(table, shown)),
            published: published.map(|(reference, published)| table::published(table, reference, published)),
            classes: metrics::classes(table),
            seeds: table::seeds(material, table, shown),
            definitions: metrics::section(table),
            failures: table::failures(material, table),
            provenance: provenance::section(material, table),
        };
        view.write_into(into)
    }

    fn lead(&self) -> Lead {
        let table = self.table;
        let (done, all) =
            table.configurations.iter().fold((0, 0), |(done, all), row| (done + row.n, all + row.expected));
        let seeds = counted_len(self.material.sweep.seeds.len(), "seed");
        let most = table.configurations.iter().map(|row| row.members.len()).max().unwrap_or(0);
        let each = match table.replicates.is_empty() {
            true => seeds,
            false => {
                let values = counted_len(most, "value");
                format!("{values} of {} × {seeds}", table.replicates.join(" and "))
            }
        };
        let counts = format!(
            "{} × {each}; {done} of {}.",
            counted_len(table.configurations.len(), "configuration"),
            counted_len(all, "result"),
        );
        let chosen = table.verdict_metric().zip(choice::metric(table)).zip(table.chosen_row());
        let best = chosen.map(|((name, by), row)| {
            let mean = Numbers::of(table).mean_and_deviation(row.metrics.get(name));
            let value = format!("{} {mean} (n = {})", metric_heading(table, name), count(row));
            Best { by, label: label(row), value }
        });
        Lead { counts, best, compared: self.compared() }
    }

    fn compared(&self) -> String {
        let table = self.table;
        let with = match (table.baseline(), table.baselines().count()) {
            (Some(baseline), _) => format!("the baseline ({})", label(baseline)),
            (None, 0) => return "The sweep names no baseline, so nothing is compared.".to_owned(),
            (None, several) => {
                format!("{several} baselines, each configuration with the one that is like it otherwise")
            }
        };
        let Some(name) = table.verdict_metric().filter(|_| table.is_of_networks()) else {
            return format!("Compared with {with}.");
        };
        let verdicts: Vec<Verdict> =
            table.configurations.iter().filter_map(|row| table.verdict(row)).collect();
        let of = |verdict| verdicts.iter().filter(|it| **it == verdict).count();
        format!(
            "Against {with}, in {}: {}.",
            metric_heading(table, name),
            Verdict::ALL.map(|verdict| format!("{} {verdict}", of(verdict))).join(", ")
        )
    }
}
