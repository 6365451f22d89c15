//! Learning curves of networks: training and validation loss and validation accuracy by epoch, averaged over seeds.

use std::collections::BTreeMap;

use colearn_core::{
    result::{curve, metric},
    statistics::Summary,
    table::{ConfigurationRow, ResultsTable},
};

use super::{
    Chart, Group,
    axes::{self, Area},
    panels,
};
use crate::{
    cells::{averaged_over, label, percent},
    report_data::Material,
    svg::{Canvas, Glyph, Ink, Legend, Scale},
};

pub(super) const WIDTH: f64 = 340.0;
/// Heights of the two plots.
const LOSS: f64 = 150.0;
const ACCURACY: f64 = 90.0;
/// Gap between the two plots.
const GAP: f64 = 14.0;
/// The largest number of configurations that are drawn.
pub(super) const MAX_ROWS: usize = 24;

/// Mean and interval at every epoch.
pub(super) struct Curve(pub(super) Vec<(f64, Summary)>);

/// A configuration's curves.
struct Curves<'t> {
    row: &'t ConfigurationRow,
    train: Curve,
    valid: Curve,
    accuracy: Curve,
}

/// The axes that all charts share, so that charts can be compared.
struct Axes {
    loss: (f64, f64),
    accuracy: (f64, f64),
    /// The last epoch.
    last: f64,
    /// Title of the accuracy's axis.
    accuracy_title: &'static str,
}

/// One chart for each configuration, on one scale.
pub(super) fn group(material: &Material, table: &ResultsTable) -> Group {
    if !table.is_of_networks() {
        return panels::group(material, table);
    }
    let all: Vec<Curves<'_>> = chosen(table)
        .into_iter()
        .map(|row| Curves {
            row,
            train: curve(material, row, curve::TRAIN_LOSS),
            valid: curve(material, row, curve::VALID_LOSS),
            accuracy: curve(material, row, curve::VALID_ACCURACY),
        })
        .filter(|curves| !curves.train.0.is_empty())
        .collect();

    let losses: Vec<&Curve> = all.iter().flat_map(|it| [&it.train, &it.valid]).collect();
    let accuracies: Vec<&Curve> = all.iter().map(|it| &it.accuracy).collect();
    let epochs = losses.iter().flat_map(|curve| &curve.0).map(|(epoch, _)| *epoch);
    let axes = Axes {
        loss: range(&losses, metric::bounds(metric::LOSS)),
        accuracy: range(&accuracies, metric::bounds(metric::ACCURACY)),
        last: epochs.fold(1.0, f64::max),
        accuracy_title: if table.is_regression() { "equal sign" } else { "accuracy" },
    };
    let charts = all
        .iter()
        .map(|curves| {
            let title = label(curves.row);
            let svg = draw(curves, &axes, &title);
            Chart { file: format!("learning-{}", curves.row.id), title, svg }
        })
        .collect();
    let words = if table.is_regression() {
        ("Loss (mean absolute error)", "share of equal sign")
    } else {
        ("Loss", "accuracy")
    };
    let mut caption = format!(
        "{} and {} by epoch, mean over {} with its {} % interval. Training loss is measured with modality dropout, validation on the primary modality alone.",
        words.0,
        words.1,
        averaged_over(table),
        percent(table.confidence)
    );
    if table.configurations.len() > MAX_ROWS {
        caption.push_str(&format!(
            " {MAX_ROWS} of {} configurations, among them {}.",
            table.configurations.len(),
            among(table)
        ));
    }
    Group { charts, caption }
}

/// Which configurations are drawn in any case.
pub(super) fn among(table: &ResultsTable) -> &'static str {
    if table.chosen_row().is_some() { "the one that is chosen and the baseline" } else { "the baseline" }
}

/// The configurations that are drawn, in the order of the grid: the baseline, the one that is best on validation and the
/// first others.
pub(super) fn chosen(table: &ResultsTable) -> Vec<&ConfigurationRow> {
    let best = table.chosen_row().map(|row| row.id);
    let mut rows: Vec<(usize, &ConfigurationRow)> = table.configurations.iter().enumerate().collect();
    rows.sort_by_key(|(_, row)| !(row.baseline || Some(row.id) == best));
    rows.truncate(MAX_ROWS);
    rows.sort_by_key(|(index, _)| *index);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// The mean over the replicates at each epoch, of those that have a value there.
pub(super) fn curve(material: &Material, row: &ConfigurationRow, name: &str) -> Curve {
    let mut values: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for result in material.results_of(row) {
        for record in &result.history {
            let value = record.get(name).filter(|value| value.is_finite());
            values.entry(record.epoch).or_default().extend(value);
        }
    }
    let confidence = material.sweep.report.confidence;
    let points = values
        .into_iter()
        .filter_map(|(epoch, values)| Some((f64::from(epoch), Summary::of(&values, confidence)?)));
    Curve(points.collect())
}

/// The range of an axis that shows these curves.
pub(super) fn range(curves: &[&Curve], bounds: Option<(f64, f64)>) -> (f64, f64) {
    let points = || curves.iter().flat_map(|curve| &curve.0).map(|(_, it)| it);
    let means: Vec<f64> = points().map(|it| it.mean).collect();
    let ends: Vec<f64> = points().flat_map(|it| [it.ci_low, it.ci_high]).flatten().collect();
    axes::range(&means, &ends, bounds)
}

fn draw(curves: &Curves<'_>, axes: &Axes, title: &str) -> String {
    let mut legend = Legend::default();
    legend.add(Glyph::Line(Ink::ACCENT), "validation");
    legend.add(Glyph::Line(Ink::Muted), "training");
    let top = 12.0 + legend.height(WIDTH - 24.0);
    let loss = Area { left: 62.0, right: WIDTH - 12.0, top, bottom: top + LOSS };
    let accuracy = Area { top: loss.bottom + GAP, bottom: loss.bottom + GAP + ACCURACY, ..loss };
    let mut canvas = Canvas::new(WIDTH, accuracy.bottom + 48.0);
    legend.draw(&mut canvas, (12.0, 6.0), WIDTH - 24.0);
    let x = Scale::linear(1.0, axes.last, loss.left + 6.0, loss.right - 6.0);

    let y = Scale::linear(axes.loss.0, axes.loss.1, loss.bottom, loss.top);
    axes::vertical(&mut canvas, loss, &y, 5, "loss");
    canvas.line((loss.left, loss.bottom), (loss.right, loss.bottom), Ink::Muted, 1.0, "");
    draw_curve(&mut canvas, &curves.train, (&x, &y), Ink::Muted);
    draw_curve(&mut canvas, &curves.valid, (&x, &y), Ink::ACCENT);

    let y = Scale::linear(axes.accuracy.0, axes.accuracy.1, accuracy.bottom, accuracy.top);
    axes::vertical(&mut canvas, accuracy, &y, 3, axes.accuracy_title);
    axes::horizontal(&mut canvas, accuracy, &x, 5, "epoch");
    draw_curve(&mut canvas, &curves.accuracy, (&x, &y), Ink::ACCENT);
    canvas.finish(&format!("learning curves, {title}"))
}

/// Draws the means with the band of their intervals.
pub(super) fn draw_curve(canvas: &mut Canvas, Curve(points): &Curve, (x, y): (&Scale, &Scale), ink: Ink) {
    let side = |of: fn((f64, f64)) -> f64| {
        points
            .iter()
            .filter_map(|(at, it)| Some((x.place(*at), y.place_within(of(it.ci_low.zip(it.ci_high)?)))))
            .collect::<Vec<_>>()
    };
    let mut band = side(|ends| ends.1);
    band.extend(side(|ends| ends.0).into_iter().rev());
    if band.len() > 2 {
        canvas.area(&band, ink, 0.14);
    }
    let means: Vec<_> = points.iter().map(|(at, it)| (x.place(*at), y.place_within(it.mean))).collect();
    canvas.path(&means, ink, 1.8);
    if let [only] = means.as_slice() {
        canvas.dot(*only, 3.0, ink, false, "");
    }
}
