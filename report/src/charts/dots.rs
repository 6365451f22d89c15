//! A metric by configuration, for sweeps without a numeric parameter.

use colearn_core::{
    result::metric,
    table::{ConfigurationRow, ResultsTable, RowState},
};

use super::{
    Chart, STROKE,
    axes::{self, Area},
    axis_title, file_name,
    lines::published_mean,
    single,
};
use crate::{
    cells::{count, label, metric_heading, replicate_noun},
    numbers::Numbers,
    reference::Matched,
    report_data::Material,
    svg::{Anchor, Canvas, Glyph, Ink, Legend, Scale, fitted},
};

const WIDTH: f64 = 460.0;
/// One line for the name and one for the interval: long names need the full width of the chart.
const ROW: f64 = 36.0;
const LEFT: f64 = 14.0;
/// The largest number of configurations that are drawn.
pub(super) const MAX_ROWS: usize = 40;

/// Draws one metric, in the order of the means.
pub(super) fn chart(
    material: &Material,
    table: &ResultsTable,
    name: &str,
    published: Option<&Matched>,
) -> Chart {
    let direction = table.direction(name);
    let numbers = Numbers::of(table);
    let mut rows: Vec<(&ConfigurationRow, _)> =
        table.configurations.iter().filter_map(|row| Some((row, row.metrics.get(name)?))).collect();
    rows.sort_by(|left, right| direction.score(right.1.mean).total_cmp(&direction.score(left.1.mean)));
    rows.truncate(MAX_ROWS);
    let baseline = table.baseline().and_then(|row| row.metrics.get(name)).map(|it| it.mean);

    let mut means: Vec<f64> = rows.iter().map(|(_, it)| it.mean).collect();
    means.extend(baseline);
    means.extend(rows.iter().filter_map(|(row, _)| published_mean(published, row, name)).map(|it| it.mean));
    let mut ends: Vec<f64> = rows.iter().flat_map(|(_, it)| [it.ci_low, it.ci_high]).flatten().collect();
    ends.extend(rows.iter().flat_map(|(row, _)| single(material, row, name)));
    let (low, high) = axes::range(&means, &ends, metric::bounds(name));

    let mut legend = Legend::default();
    legend.add(Glyph::Line(Ink::ACCENT), "mean and interval");
    if rows.iter().any(|(row, _)| row.state != RowState::Complete) {
        legend.add(Glyph::Hollow(Ink::ACCENT), format!("{}s missing", replicate_noun(table)));
    }
    if baseline.is_some() {
        legend.add(Glyph::Dashed(Ink::Muted), "baseline");
    }
    if rows.iter().any(|(row, _)| published_mean(published, row, name).is_some()) {
        legend.add(Glyph::Diamond(Ink::Text), "published");
    }

    let names: Vec<String> = rows.iter().map(|(row, _)| label(row)).collect();
    let top = 14.0 + legend.height(WIDTH - 24.0);
    let area = Area { left: LEFT, right: WIDTH - 18.0, top, bottom: top + ROW * rows.len() as f64 + 6.0 };
    let mut canvas = Canvas::new(WIDTH, area.bottom + 48.0);
    legend.draw(&mut canvas, (12.0, 6.0), WIDTH - 24.0);
    let x = Scale::linear(low, high, area.left + 6.0, area.right - 6.0);
    for (value, _) in x.ticks(4) {
        let at = x.place(value);
        canvas.line((at, area.top), (at, area.bottom), Ink::Grid, 1.0, "");
    }
    axes::horizontal(&mut canvas, area, &x, 4, &axis_title(table, name, area.right - area.left));
    if let Some(mean) = baseline {
        let at = x.place_within(mean);
        canvas.line((at, area.top), (at, area.bottom), Ink::Muted, 1.5, Glyph::DASHES);
    }
    for (index, ((row, it), name_of)) in rows.iter().zip(&names).enumerate() {
        let y = area.top + ROW * (index as f64 + 1.0) - 8.0;
        let text = fitted(name_of, area.right - area.left);
        canvas.text((area.left, y - 9.0), Anchor::Start, Ink::Text, Canvas::TEXT, &text);
        if let (Some(low), Some(high)) = (it.ci_low, it.ci_high) {
            canvas.line((x.place_within(low), y), (x.place_within(high), y), Ink::ACCENT, 1.5, "");
        }
        for value in single(material, row, name) {
            let at = x.place_within(value);
            canvas.line((at, y - STROKE), (at, y + STROKE), Ink::Muted, 1.2, "");
        }
        let hint = format!("{name_of}: {} (n = {})", numbers.mean_and_deviation(Some(it)), count(row));
        let place = (x.place_within(it.mean), y);
        canvas.dot(place, 4.0, Ink::ACCENT, row.state != RowState::Complete, &hint);
        if let Some(said) = published_mean(published, row, name) {
            let hint = format!("{name_of}, published: {}", said.written);
            canvas.diamond((x.place_within(said.mean), y), 4.5, Ink::Text, &hint);
        }
    }
    Chart {
        file: file_name(name),
        title: metric_heading(table, name),
        svg: canvas.finish(&format!("{} by configuration", metric_heading(table, name))),
    }
}
