//! What stands for the lines of a chart that has too many of them: how the means of all configurations are spread.

use colearn_core::table::ConfigurationRow;

use super::swept::Swept;
use crate::svg::{Canvas, Ink, Scale};

/// More lines cannot be told from each other.
pub(super) const MAX_LINES: usize = 40;
/// With more values of the parameter, neighbours are taken together.
const MAX_PLACES: usize = 60;

/// The means of a metric at one place of the horizontal axis, as places of the vertical axis.
struct Spread {
    at: f64,
    lowest: f64,
    quarter: f64,
    median: f64,
    three_quarters: f64,
    highest: f64,
}

/// How to read it, for the caption.
pub(super) const NOTE: &str = " Of the other combinations the line is the median of their means, the dark area their middle half, the light one all of them.";

/// Draws how the means of all configurations are spread, at each value of the parameter.
pub(super) fn draw(canvas: &mut Canvas, swept: &Swept<'_>, name: &str, axes: (&Scale, &Scale)) {
    let spreads = spreads(swept, name, axes);
    let along = |of: fn(&Spread) -> f64| spreads.iter().map(|it| (it.at, of(it))).collect::<Vec<_>>();
    let mut area = |low: fn(&Spread) -> f64, high: fn(&Spread) -> f64, opacity| {
        let mut outline = along(high);
        outline.extend(along(low).into_iter().rev());
        if spreads.len() > 1 {
            canvas.area(&outline, Ink::Muted, opacity);
        }
    };
    area(|it| it.lowest, |it| it.highest, 0.12);
    area(|it| it.quarter, |it| it.three_quarters, 0.25);
    canvas.path(&along(|it| it.median), Ink::Muted, 1.5);
}

fn spreads(swept: &Swept<'_>, name: &str, (x, y): (&Scale, &Scale)) -> Vec<Spread> {
    let mean = |row: &ConfigurationRow| row.metrics.get(name).map(|it| it.mean);
    let points = swept.lines.iter().flat_map(|line| &line.points);
    let mut placed: Vec<(f64, f64)> =
        points.filter_map(|(at, row)| Some((x.place(*at), y.place_within(mean(row)?)))).collect();
    placed.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.total_cmp(&right.1)));
    let distinct = placed.chunk_by(|left, right| left.0 == right.0).count();
    if distinct <= MAX_PLACES {
        return placed.chunk_by(|left, right| left.0 == right.0).map(spread).collect();
    }
    let (Some(first), Some(last)) = (placed.first(), placed.last()) else { return Vec::new() };
    let (from, width) = (first.0, (last.0 - first.0) / MAX_PLACES as f64);
    // The last value belongs to the last range.
    let range = |it: &(f64, f64)| (((it.0 - from) / width) as usize).min(MAX_PLACES - 1);
    let ranges = placed.chunk_by(|left, right| range(left) == range(right));
    ranges
        .map(|range| {
            let mut range = range.to_vec();
            range.sort_by(|left, right| left.1.total_cmp(&right.1));
            spread(&range)
        })
        .collect()
}

/// The spread of points, which are sorted by their means and not empty.
fn spread(points: &[(f64, f64)]) -> Spread {
    let last = points.len().saturating_sub(1);
    let at = |share: f64| points.get((share * last as f64).round() as usize).map_or(0.0, |it| it.1);
    Spread {
        at: points.iter().map(|it| it.0).sum::<f64>() / points.len() as f64,
        lowest: at(0.0),
        quarter: at(0.25),
        median: at(0.5),
        three_quarters: at(0.75),
        highest: at(1.0),
    }
}

/// Whether the lines of a chart are too many to be drawn.
pub(super) fn replaces(swept: &Swept<'_>) -> bool {
    swept.lines.len() > MAX_LINES
}
