//! Learning curves: training and validation loss by epoch, averaged over seeds.

use colearn_core::{
    result::EpochRecord,
    statistics::Summary,
    table::{ConfigurationRow, ResultsTable},
};

use super::{
    Chart, Group,
    axes::{self, Area},
};
use crate::{
    cells::{label, percent, setting_columns},
    material::{Material, best},
    svg::{Canvas, Glyph, Ink, Legend, Scale},
};

const WIDTH: f64 = 340.0;
/// Most configurations that are drawn.
const MOST: usize = 24;

/// Mean and interval at every epoch.
struct Curve(Vec<(f64, Summary)>);

/// A configuration's two curves.
struct Pair<'t> {
    row: &'t ConfigurationRow,
    train: Curve,
    valid: Curve,
}

/// One chart for each configuration, on one scale.
pub(super) fn group(material: &Material, table: &ResultsTable) -> Group {
    let best = table.verdict_metric().and_then(|name| best(table, name)).map(|row| row.id);
    // The baseline and the best are always among those that are drawn.
    let mut rows: Vec<&ConfigurationRow> = table.configurations.iter().collect();
    rows.sort_by_key(|row| !(row.baseline || Some(row.id) == best));
    rows.truncate(MOST);
    let pairs: Vec<Pair<'_>> = table
        .configurations
        .iter()
        .filter(|row| rows.iter().any(|chosen| chosen.id == row.id))
        .map(|row| Pair {
            row,
            train: curve(material, row, |epoch| epoch.train_loss),
            valid: curve(material, row, |epoch| epoch.valid_loss),
        })
        .filter(|pair| !pair.train.0.is_empty())
        .collect();

    let points = || pairs.iter().flat_map(|pair| pair.train.0.iter().chain(&pair.valid.0));
    let means: Vec<f64> = points().map(|(_, it)| it.mean).collect();
    let ends: Vec<f64> = points().flat_map(|(_, it)| [it.ci_low, it.ci_high]).flatten().collect();
    let range = axes::range(&means, &ends, Some((0.0, f64::INFINITY)));
    let last = points().map(|(epoch, _)| *epoch).fold(1.0, f64::max);
    let columns = setting_columns(table);
    let charts = pairs
        .iter()
        .map(|pair| {
            let title = label(pair.row, &columns);
            let svg = draw(pair, range, last, &title);
            Chart { file: format!("learning-{}", pair.row.id), title, svg }
        })
        .collect();
    let mut caption = format!(
        "Loss by epoch, mean over seeds with its {} % interval. Training loss is measured with modality dropout, validation loss on the primary modality alone.",
        percent(table.confidence)
    );
    if table.configurations.len() > MOST {
        caption.push_str(&format!(
            " {MOST} of {} configurations, among them the best and the baseline.",
            table.configurations.len()
        ));
    }
    Group { charts, caption }
}

fn curve(material: &Material, row: &ConfigurationRow, loss: fn(&EpochRecord) -> f64) -> Curve {
    let results = material.results(row.id);
    let longest = results.iter().map(|(_, result)| result.history.len()).max().unwrap_or(0);
    let points = (0..longest).filter_map(|index| {
        let epochs: Vec<&EpochRecord> =
            results.iter().filter_map(|(_, result)| result.history.get(index)).collect();
        let losses: Vec<f64> = epochs.iter().map(|epoch| loss(epoch)).filter(|it| it.is_finite()).collect();
        Some((f64::from(epochs.first()?.epoch), Summary::of(&losses, material.sweep.report.confidence)?))
    });
    Curve(points.collect())
}

fn draw(pair: &Pair<'_>, (low, high): (f64, f64), last: f64, title: &str) -> String {
    let mut legend = Legend::default();
    legend.add(Glyph::Line(Ink::ACCENT), "validation");
    legend.add(Glyph::Line(Ink::Muted), "training");
    let top = 12.0 + legend.height(WIDTH - 24.0);
    let area = Area { left: 62.0, right: WIDTH - 12.0, top, bottom: top + 150.0 };
    let mut canvas = Canvas::new(WIDTH, area.bottom + 48.0);
    legend.draw(&mut canvas, (12.0, 6.0), WIDTH - 24.0);
    let y = Scale::linear(low, high, area.bottom, area.top);
    let x = Scale::linear(1.0, last, area.left + 6.0, area.right - 6.0);
    axes::vertical(&mut canvas, area, &y, "loss");
    axes::horizontal(&mut canvas, area, &x, 5, "epoch");
    for (Curve(points), ink) in [(&pair.train, Ink::Muted), (&pair.valid, Ink::ACCENT)] {
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
    canvas.finish(&format!("learning curves, {title}"))
}
