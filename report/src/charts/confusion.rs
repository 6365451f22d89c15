//! Confusion matrices side by side: the paper's figure 4.

use colearn_core::{
    table::{ConfigurationRow, ResultsTable},
    text::counted_len,
};

use super::{Chart, Group};
use crate::{
    cells::{averaged_over, label, replicate_noun},
    report_data::Material,
    svg::{Anchor, Canvas, Ink, fitted},
};

const WIDTH: f64 = 420.0;
/// Margins right of the cells and below them.
const RIGHT: f64 = 14.0;
/// Up to this number of classes the shares are written into the cells.
const MAX_WRITTEN: usize = 12;

/// The configurations that are looked at more closely, each with its roles: the one without modality dropout, the one
/// that is best on validation, and the baseline.
pub(crate) fn roles(table: &ResultsTable) -> Vec<(&ConfigurationRow, Vec<&'static str>)> {
    let drops = |row: &&ConfigurationRow| {
        let levels = row.settings.network().into_iter().flat_map(|network| network.modality_dropout.values());
        levels.into_iter().any(|level| *level > 0.0)
    };
    let unimodal = |row: &ConfigurationRow| row.settings.network().is_some_and(|network| network.unimodal);
    // If nothing is ever dropped, there is no comparison.
    let undropped = table
        .configurations
        .iter()
        .find(|row| !unimodal(row) && !drops(row))
        .filter(|_| table.configurations.iter().any(|row| drops(&row)));
    let best = table.chosen_row();
    let roles = [
        ("without modality dropout", undropped),
        ("best on validation", best),
        ("baseline", table.baseline()),
    ];
    let mut chosen: Vec<(&ConfigurationRow, Vec<&'static str>)> = Vec::new();
    for (role, row) in roles {
        let Some(row) = row else { continue };
        match chosen.iter_mut().find(|(other, _)| other.id == row.id) {
            Some((_, roles)) => roles.push(role),
            None => chosen.push((row, vec![role])),
        }
    }
    chosen
}

/// The matrices of these configurations.
pub(super) fn group(material: &Material, table: &ResultsTable) -> Group {
    let mut named = false;
    let charts: Vec<Chart> = roles(table)
        .into_iter()
        .filter_map(|(row, roles)| {
            let (counts, results) = sum(material, row)?;
            let classes = classes(material, row, counts.len());
            named |= classes.is_some();
            let results = counted_len(results, replicate_noun(table));
            let title = format!("{}: {} ({results})", roles.join(", "), label(row));
            let names = classes.unwrap_or_else(|| (0..counts.len()).map(|class| class.to_string()).collect());
            let svg = draw(&counts, &names, &title);
            Some(Chart { file: format!("confusion-{}", row.id), title, svg })
        })
        .collect();
    let mut caption = format!(
        "Counts on the test split, primary modality alone, summed over {}. Shade and number are the share of a true class, in percent",
        averaged_over(table)
    );
    caption.push_str(match (table.is_regression(), named) {
        (true, _) => "; labels and predictions are clipped to -3 to 3 and rounded.",
        (false, true) => ".",
        (false, false) => "; classes are numbered as in the data set.",
    });
    Group { charts, caption }
}

/// The sum of the matrices of all replicates, and their number. `None` if there is no matrix, or if sizes differ.
fn sum(material: &Material, row: &ConfigurationRow) -> Option<(Vec<Vec<u64>>, usize)> {
    let results = material.results_of(row);
    let mut total: Vec<Vec<u64>> = Vec::new();
    for result in &results {
        let classes = result.confusion.len();
        if classes == 0 || result.confusion.iter().any(|counts| counts.len() != classes) {
            return None;
        }
        if total.is_empty() {
            total = vec![vec![0; classes]; classes];
        }
        if total.len() != classes {
            return None;
        }
        for (sums, counts) in total.iter_mut().zip(&result.confusion) {
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum = sum.saturating_add(*count);
            }
        }
    }
    (!total.is_empty()).then_some((total, results.len()))
}

/// The names of the classes; `None` if results have no names or different ones.
fn classes(material: &Material, row: &ConfigurationRow, count: usize) -> Option<Vec<String>> {
    let results = material.results_of(row);
    let mut named = results.iter().map(|result| &result.classes).filter(|names| names.len() == count);
    let first = named.next()?;
    named.all(|names| names == first).then(|| first.to_vec())
}

/// The class names beside the cells.
struct Labels {
    size: f64,
    /// The names, cut to the available space.
    texts: Vec<String>,
    /// One of this many classes has a label.
    every: usize,
    /// Whether the labels above the columns run upwards.
    upwards: bool,
    /// Width of the longest label.
    width: f64,
}

impl Labels {
    /// Space left and above, besides the names: the titles of the axes and the gaps.
    const ROOM: f64 = 36.0;
    /// The longest label, in characters; the hints of the cells have the full names.
    const LONGEST: usize = 18;

    fn of(names: &[String]) -> Self {
        let texts: Vec<String> =
            names.iter().map(|name| fitted(name, Self::LONGEST as f64 * Canvas::CHARACTER)).collect();
        let longest = texts.iter().map(|text| text.chars().count()).max().unwrap_or(0);
        let width_at = |size: f64| longest as f64 * Canvas::CHARACTER * size / Canvas::TEXT;
        let cell_at = |size: f64| (WIDTH - Self::ROOM - width_at(size) - RIGHT) / names.len() as f64;
        let size = (0.95 * cell_at(12.0)).clamp(9.0, 12.0);
        let (cell, width) = (cell_at(size), width_at(size));
        let upwards = longest > 2 && width > cell - 2.0;
        let needed = if upwards { size } else { size.max(width + 4.0) };
        Self { size, texts, every: ((needed / cell).ceil() as usize).max(1), upwards, width }
    }
}

fn draw(counts: &[Vec<u64>], names: &[String], title: &str) -> String {
    let classes = counts.len();
    let labels = Labels::of(names);
    let left = Labels::ROOM + labels.width;
    let top = if labels.upwards { Labels::ROOM + labels.width } else { Labels::ROOM };
    let cell = (WIDTH - left - RIGHT) / classes as f64;
    let side = cell * classes as f64;
    let mut canvas = Canvas::new(WIDTH, top + side + RIGHT);
    canvas.text((left + side / 2.0, 14.0), Anchor::Middle, Ink::Text, Canvas::TEXT, "predicted class");
    canvas.upward_text((16.0, top + side / 2.0), Anchor::Middle, Ink::Text, Canvas::TEXT, "true class");
    for (class, text) in labels.texts.iter().enumerate().step_by(labels.every) {
        let middle = (class as f64 + 0.5) * cell;
        // Text is placed by its baseline; its middle is a third of its size above that.
        let rest = labels.size / 3.0;
        if labels.upwards {
            let place = (left + middle + rest, top - 6.0);
            canvas.upward_text(place, Anchor::Start, Ink::Muted, labels.size, text);
        } else {
            canvas.text((left + middle, top - 6.0), Anchor::Middle, Ink::Muted, labels.size, text);
        }
        canvas.text((left - 7.0, top + middle + rest), Anchor::End, Ink::Muted, labels.size, text);
    }
    for (truth, row) in counts.iter().enumerate() {
        let total: u64 = row.iter().sum();
        for (predicted, count) in row.iter().enumerate() {
            let share = if total == 0 { 0.0 } else { *count as f64 / total as f64 };
            let corner = (left + predicted as f64 * cell, top + truth as f64 * cell);
            let hint =
                format!("class {} predicted as {}: {count} of {total}", names[truth], names[predicted]);
            // A cell with a share of zero can still be pointed at. The darkest shade keeps numbers legible on a light
            // and on a dark background.
            let shade = 0.04 + 0.56 * share;
            let gap = if classes <= 40 { 1.0 } else { 0.0 };
            canvas.rect(corner, (cell - gap, cell - gap), Ink::ACCENT, shade, &hint);
            if classes <= MAX_WRITTEN && *count > 0 {
                let middle = (corner.0 + cell / 2.0, corner.1 + cell / 2.0 + 4.5);
                canvas.text(middle, Anchor::Middle, Ink::Text, 12.0, &format!("{:.0}", 100.0 * share));
            }
        }
    }
    canvas.finish(&format!("confusion matrix, {title}"))
}
