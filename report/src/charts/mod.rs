//! The charts of a report.

mod axes;
mod confusion;
mod curves;
mod dots;
mod heat;
mod lines;
mod panels;
mod spread;
mod subsets;
mod swept;

use std::collections::BTreeSet;

use colearn_core::{
    result::metric,
    table::{ConfigurationRow, ResultsTable},
};

use crate::{
    cells::{averaged_over, metric_heading, names_modalities, percent, replicate_noun},
    meaning::names_validation,
    reference::Matched,
    report_data::Material,
    svg::{Canvas, fitted},
};

pub(crate) use confusion::roles;

/// A chart with its title.
pub(crate) struct Chart {
    /// File name without extension.
    pub(crate) file: String,
    /// Title of the chart.
    pub(crate) title: String,
    /// The SVG document.
    pub(crate) svg: String,
}

/// Charts of one kind, with a common caption.
#[derive(Default)]
pub(crate) struct Group {
    /// The charts.
    pub(crate) charts: Vec<Chart>,
    /// How to read the charts.
    pub(crate) caption: String,
}

/// All charts of a report. A group without charts is left out.
pub(crate) struct Charts {
    /// One for each shown metric.
    pub(crate) metrics: Group,
    /// One for each metric that was measured under several subsets of the modalities.
    pub(crate) subsets: Group,
    /// Confusion matrices side by side.
    pub(crate) confusions: Group,
    /// Learning curves by configuration.
    pub(crate) curves: Group,
}

impl Charts {
    /// Draws all charts.
    pub(crate) fn of(material: &Material, table: &ResultsTable, published: Option<&Matched>) -> Self {
        let mut charts = Self {
            metrics: metrics(material, table, published),
            subsets: subsets::group(table),
            confusions: confusion::group(material, table),
            curves: curves::group(material, table),
        };
        charts.name_apart();
        charts
    }

    /// Every chart.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Chart> {
        [&self.metrics, &self.subsets, &self.confusions, &self.curves]
            .into_iter()
            .flat_map(|group| &group.charts)
    }

    /// Adds a number to file names that would be equal, also on file systems that ignore case: `accuracy@a+b` and
    /// `accuracy@a-b` both become `accuracy-a-b`.
    fn name_apart(&mut self) {
        let mut taken = BTreeSet::new();
        for group in [&mut self.metrics, &mut self.subsets, &mut self.confusions, &mut self.curves] {
            for chart in &mut group.charts {
                let plain = chart.file.clone();
                let mut number = 1;
                while !taken.insert(chart.file.to_ascii_lowercase()) {
                    number += 1;
                    chart.file = format!("{plain}-{number}");
                }
            }
        }
    }
}

fn metrics(material: &Material, table: &ResultsTable, published: Option<&Matched>) -> Group {
    let mut caption = format!(
        "Mean over the {}{}{}, with its {} % interval.",
        averaged_over(table),
        match table.is_of_networks() {
            true if names_validation(table) => {
                " on the test split, or with valid/ on the validation split, primary modality alone"
            }
            true => " on the test split, primary modality alone",
            false => "",
        },
        if names_modalities(table) { " or the modalities in brackets" } else { "" },
        percent(table.confidence)
    );
    let swept = swept::Swept::of(table);
    let (shown, missing): (Vec<&String>, Vec<&String>) = table
        .metrics
        .iter()
        .partition(|name| table.configurations.iter().any(|row| row.metrics.contains_key(*name)));
    let heat = heat::Heat::of(table);
    let mut charts: Vec<Chart> = shown
        .iter()
        .map(|name| match &swept {
            Some(swept) => lines::chart(material, table, swept, name, published),
            None => dots::chart(material, table, name, published),
        })
        .collect();
    charts.extend(heat.iter().flat_map(|heat| shown.iter().flat_map(|name| heat.charts(table, name))));
    if let Some(swept) = &swept {
        caption.push_str(&swept.note());
        if spread::replaces(swept) {
            caption.push_str(spread::NOTE);
        }
        caption.push_str(&heat.map(|heat| heat.note()).unwrap_or_default());
    } else if table.configurations.len() > dots::MAX_ROWS {
        caption.push_str(&format!(
            " The first {} of {} configurations in the order of their means; all are in the table.",
            dots::MAX_ROWS,
            table.configurations.len()
        ));
    }
    if table.configurations.iter().any(|row| (2..=MAX_SINGLE).contains(&row.n)) {
        caption.push_str(&format!(" Short strokes are single {}s.", replicate_noun(table)));
    }
    if table.configurations.iter().any(|row| (2..=3).contains(&row.n)) {
        caption.push_str(&format!(
            " Intervals of two or three {}s are wide; some may be cut at the frame.",
            replicate_noun(table)
        ));
    }
    if !missing.is_empty() {
        let names: Vec<String> = missing.into_iter().map(|name| metric_heading(table, name)).collect();
        caption.push_str(&format!(" No result has {}.", names.join(", ")));
    }
    Group { charts, caption }
}

/// The largest number of results of a row that are drawn one by one.
const MAX_SINGLE: usize = 10;
/// Half the length of the stroke of a single result.
const STROKE: f64 = 3.5;

/// The single results of a row, if they are few: an interval of five says little about where they are.
fn single(material: &Material, row: &ConfigurationRow, name: &str) -> Vec<f64> {
    if !(2..=MAX_SINGLE).contains(&row.n) {
        return Vec::new();
    }
    material.results_of(row).iter().filter_map(|result| result.metrics.get(name)).collect()
}

/// The axis title of this metric, for an axis of this length.
fn axis_title(table: &ResultsTable, name: &str, length: f64) -> String {
    if !table.is_of_networks() {
        let hint = format!(" ({} is better)", table.direction(name).as_str());
        let room = length - hint.len() as f64 * Canvas::CHARACTER;
        return fitted(&metric_heading(table, name), room) + &hint;
    }
    let regression = table.is_regression();
    let plain = metric::split(name).0;
    let hint = match metric::of_validation(plain).unwrap_or(plain) {
        metric::LOSS if regression => "MAE, lower is better",
        metric::LOSS | metric::MAE => "lower is better",
        metric::ACCURACY if regression => "share of equal sign",
        metric::ACCURACY => "share of samples",
        metric::ACCURACY_7 => "share of samples, 7 classes",
        metric::ACCURACY_5 => "share of samples, 5 classes",
        metric::F_SCORE => "by true support",
        metric::F_SCORE_AUTHORS => "by predictions",
        metric::F_SCORE_MACRO => "mean of classes",
        metric::BALANCED_ACCURACY => "mean recall",
        _ => return metric::split(name).0.to_owned(),
    };
    format!("{} ({hint})", metric::split(name).0)
}

/// A file name for a metric's name. The name comes from outside and may hold any characters.
fn file_name(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(60).collect()
}
