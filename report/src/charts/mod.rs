//! The charts of a report.

mod axes;
mod confusion;
mod curves;
mod dots;
mod lines;
mod swept;

use colearn_core::{result::metric, table::ResultsTable};

use crate::{cells::percent, material::Material, reference::Matched};

/// A drawing with its words.
pub(crate) struct Chart {
    /// File name without extension.
    pub(crate) file: String,
    /// What it shows.
    pub(crate) title: String,
    /// The document.
    pub(crate) svg: String,
}

/// Charts of one kind, with what has to be said about them all.
#[derive(Default)]
pub(crate) struct Group {
    /// The charts.
    pub(crate) charts: Vec<Chart>,
    /// How to read them.
    pub(crate) caption: String,
}

/// All charts of a report. A group without charts has nothing to show.
pub(crate) struct Charts {
    /// One for each shown metric.
    pub(crate) metrics: Group,
    /// Confusion matrices side by side.
    pub(crate) confusions: Group,
    /// Learning curves by configuration.
    pub(crate) curves: Group,
}

impl Charts {
    /// Draws them.
    pub(crate) fn of(material: &Material, table: &ResultsTable, published: Option<&Matched>) -> Self {
        Self {
            metrics: metrics(table, published),
            confusions: confusion::group(material, table),
            curves: curves::group(material, table),
        }
    }

    /// Every chart.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Chart> {
        [&self.metrics, &self.confusions, &self.curves].into_iter().flat_map(|group| &group.charts)
    }
}

fn metrics(table: &ResultsTable, published: Option<&Matched>) -> Group {
    let mut caption = format!(
        "Mean over the seeds on the test split, primary modality alone, with its {} % interval.",
        percent(table.confidence)
    );
    let swept = swept::Swept::of(table);
    let (shown, missing): (Vec<&String>, Vec<&String>) = table
        .metrics
        .iter()
        .partition(|name| table.configurations.iter().any(|row| row.metrics.contains_key(*name)));
    let charts = shown
        .into_iter()
        .map(|name| match &swept {
            Some(swept) => lines::chart(table, swept, name, published),
            None => dots::chart(table, name, published),
        })
        .collect();
    if let Some(swept) = &swept {
        caption.push_str(&swept.note());
    } else if table.configurations.len() > dots::MOST {
        caption.push_str(&format!(
            " The best {} of {} configurations; all are in the table.",
            dots::MOST,
            table.configurations.len()
        ));
    }
    if table.configurations.iter().any(|row| (2..=3).contains(&row.n)) {
        caption.push_str(" Intervals of two or three seeds are wide; some may be cut at the frame.");
    }
    if !missing.is_empty() {
        let names: Vec<&str> = missing.into_iter().map(String::as_str).collect();
        caption.push_str(&format!(" No result has {}.", names.join(", ")));
    }
    Group { charts, caption }
}

/// What an axis of this metric says.
fn axis_title(name: &str) -> String {
    let hint = match name {
        metric::LOSS => " (lower is better)",
        metric::ACCURACY => " (share of samples)",
        _ => "",
    };
    format!("{name}{hint}")
}

/// A file name made of a metric's name, which comes from outside.
fn file_name(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(60).collect()
}
