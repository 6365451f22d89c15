//! The page: one self-contained HTML file.

mod metrics;
mod provenance;
mod statistics;
mod style;
mod table;

use std::fmt::Write as _;

use colearn_core::{
    statistics::Verdict,
    table::{ConfigurationRow, ResultsTable},
    text::counted_len,
};

use crate::{
    cells::{count, label, metric_heading, summary_line},
    charts::{Charts, Group},
    choice,
    numbers::Numbers,
    reference::Matched,
    report_data::Material,
    select::{Leading, leading},
    svg::escape,
    verdicts::next_step,
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

    /// The note as a paragraph.
    fn paragraph(&self) -> String {
        if self.note.is_empty() {
            return String::new();
        }
        format!("<p class=\"note\">{}</p>\n", escape(&self.note))
    }
}

impl Page<'_> {
    /// The HTML of the page.
    pub(crate) fn html(&self) -> String {
        let shown = &Shown::of(self.table);
        let name = escape(self.table.sweep.as_str());
        let mut body = format!("<header>\n<h1>{name}</h1>\n{}</header>\n", self.lead());
        section(&mut body, "Results", &self.results(shown));
        charts(&mut body, "Metrics", &self.charts.metrics, "wide");
        charts(&mut body, "One level for both", &self.charts.subsets, "wide");
        if self.table.baselines().next().is_some() {
            section(&mut body, "Against the baseline", &statistics::section(self.table, shown));
        }
        if let (Some(reference), Some(published)) = (&self.material.reference, self.published) {
            section(
                &mut body,
                "Beside the published means",
                &table::published(self.table, reference, published),
            );
        }
        charts(&mut body, "Confusion matrices", &self.charts.confusions, "wide");
        section(&mut body, "F1 of each class", &metrics::classes(self.table));
        charts(&mut body, "Learning curves", &self.charts.curves, "small");
        let seeds = table::seeds(self.material, self.table, shown);
        section(&mut body, "Every seed", &seeds);
        section(&mut body, "The metrics", &metrics::section(self.table));
        section(&mut body, "Failures", &table::failures(self.material, self.table));
        section(&mut body, "Where this comes from", &provenance::section(self.material, self.table));
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>{name} - colearn</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
            style::STYLE
        )
    }

    /// The summary at the top.
    fn lead(&self) -> String {
        let table = self.table;
        let (done, all) =
            table.configurations.iter().fold((0, 0), |(done, all), row| (done + row.n, all + row.expected));
        let seeds = counted_len(self.material.sweep.seeds.len(), "seed");
        let most = table.configurations.iter().map(|row| row.members.len()).max().unwrap_or(0);
        let each = match table.replicates.is_empty() {
            true => seeds,
            false => {
                let values = counted_len(most, "value");
                escape(&format!("{values} of {} × {seeds}", table.replicates.join(" and ")))
            }
        };
        let mut text = format!(
            "<p class=\"lead\">{} × {each}; {done} of {}.",
            counted_len(table.configurations.len(), "configuration"),
            counted_len(all, "result"),
        );
        if let (Some(name), Some(by), Some(row)) =
            (table.verdict_metric(), choice::metric(table), table.chosen_row())
        {
            let _ = write!(
                text,
                " Best {}: <strong>{}</strong> with {} {} (n = {}).",
                escape(&by),
                escape(&label(row)),
                escape(&metric_heading(table, name)),
                Numbers::of(table).mean_and_deviation(row.metrics.get(name)),
                count(row)
            );
        }
        text.push_str(&self.compared());
        text.push_str("</p>\n");
        text
    }

    /// What the configurations are compared with, and the verdicts on networks.
    fn compared(&self) -> String {
        let table = self.table;
        let with = match (table.baseline(), table.baselines().count()) {
            (Some(baseline), _) => format!("the baseline ({})", escape(&label(baseline))),
            (None, 0) => return " The sweep names no baseline, so nothing is compared.".to_owned(),
            (None, several) => {
                format!("{several} baselines, each configuration with the one that is like it otherwise")
            }
        };
        let Some(name) = table.verdict_metric().filter(|_| table.is_of_networks()) else {
            return format!(" Compared with {with}.");
        };
        let verdicts: Vec<Verdict> =
            table.configurations.iter().filter_map(|row| table.verdict(row)).collect();
        let of = |verdict| verdicts.iter().filter(|it| **it == verdict).count();
        format!(
            " Against {with}, in {}: {}.",
            escape(&metric_heading(table, name)),
            Verdict::ALL.map(|verdict| format!("{} {verdict}", of(verdict))).join(", ")
        )
    }

    fn results(&self, shown: &Shown<'_>) -> String {
        let mut text = shown.paragraph() + &table::results(self.table, shown);
        let _ = writeln!(text, "<p class=\"note\">{}.</p>", escape(&summary_line(self.table)));
        let _ = writeln!(
            text,
            "<p class=\"note\">Of the configurations, {}.</p>",
            escape(&choice::best(self.table))
        );
        if let Some(step) = next_step(self.table) {
            let _ = writeln!(text, "<p class=\"note\">{}.</p>", escape(&step));
        }
        let links: Vec<String> = self
            .files
            .iter()
            .map(|file| format!("<a href=\"{}\">{}</a>", escape(file), escape(file)))
            .collect();
        let _ = writeln!(text, "<p class=\"note\">The same as files: {}.</p>", links.join(", "));
        text
    }
}

/// A section, unless it has no content.
fn section(body: &mut String, title: &str, content: &str) {
    if !content.is_empty() {
        let _ = write!(body, "<section>\n<h2>{title}</h2>\n{content}</section>\n");
    }
}

fn charts(body: &mut String, title: &str, group: &Group, class: &str) {
    if group.charts.is_empty() {
        return;
    }
    let mut content =
        format!("<p class=\"note\">{}</p>\n<div class=\"charts {class}\">\n", escape(&group.caption));
    for chart in &group.charts {
        let _ = writeln!(
            content,
            "<figure><figcaption>{}</figcaption>{}</figure>",
            escape(&chart.title),
            chart.svg.trim_end()
        );
    }
    content.push_str("</div>\n");
    section(body, title, &content);
}
