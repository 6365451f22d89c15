//! A metric against the first swept parameter: the paper's figure 5.

use colearn_core::{
    result::metric,
    table::{ConfigurationRow, ResultsTable, RowState},
};

use super::{
    Chart, STROKE,
    axes::{self, Area},
    axis_title, file_name, single, spread,
    swept::{Swept, SweptLine},
};
use crate::{
    cells::{count, label, metric_heading, replicate_noun},
    numbers::Numbers,
    reference::{Matched, Published},
    report_data::Material,
    svg::{Canvas, Glyph, Ink, Legend, Scale},
};

const WIDTH: f64 = 460.0;
const PLOT: f64 = 230.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = WIDTH - 14.0;

/// A chart with its legend and axes, without data.
pub(super) struct Frame {
    pub(super) canvas: Canvas,
    pub(super) area: Area,
    pub(super) x: Scale,
    pub(super) y: Scale,
}

impl Frame {
    /// The frame for a metric against the swept parameter, for values within a range.
    pub(super) fn new(
        table: &ResultsTable,
        swept: &Swept<'_>,
        name: &str,
        legend: &Legend,
        (low, high): (f64, f64),
    ) -> Self {
        let top = 14.0 + legend.height(WIDTH - 24.0);
        let area = Area { left: LEFT, right: RIGHT, top, bottom: top + PLOT };
        let mut canvas = Canvas::new(WIDTH, area.bottom + 48.0);
        legend.draw(&mut canvas, (12.0, 6.0), WIDTH - 24.0);
        let y = Scale::linear(low, high, area.bottom, area.top);
        // The outermost marks keep a distance to the frame.
        let x = swept.scale(area.left + 10.0, area.right - 10.0);
        axes::vertical(&mut canvas, area, &y, 5, &axis_title(table, name, PLOT));
        axes::horizontal(&mut canvas, area, &x, 5, &swept.title);
        Self { canvas, area, x, y }
    }
}

/// Draws one metric.
pub(super) fn chart(
    material: &Material,
    table: &ResultsTable,
    swept: &Swept<'_>,
    name: &str,
    published: Option<&Matched>,
) -> Chart {
    let rows = || swept.lines.iter().flat_map(|line| &line.points).map(|(x, row)| (*x, *row));
    let baseline = table.baseline();
    let said = |row: &ConfigurationRow| published_mean(published, row, name);
    // If the baseline has a value of the parameter, its mark is among the others.
    let outside = baseline.filter(|baseline| rows().all(|(_, row)| row.id != baseline.id));
    let published_baseline = outside.and_then(said);
    let baseline_mean = baseline.and_then(|row| row.metrics.get(name)).map(|summary| summary.mean);

    let summaries: Vec<_> = rows().filter_map(|(_, row)| row.metrics.get(name)).collect();
    let mut means: Vec<f64> = summaries.iter().map(|summary| summary.mean).collect();
    means.extend(baseline_mean);
    means.extend(rows().filter_map(|(_, row)| said(row)).chain(published_baseline).map(|it| it.mean));
    // If there are more lines than distinguishable colours, only that of the configuration that is best on validation
    // has a colour.
    let many = swept.lines.len() > Ink::SERIES;
    let spread = spread::replaces(swept);
    let best_id = table.chosen_row().map(|row| row.id);
    let has_best = |line: &SweptLine<'_>| line.points.iter().any(|(_, row)| Some(row.id) == best_id);
    let best = swept.lines.iter().position(has_best).filter(|_| many);
    let shown = move |index: usize| !spread || best == Some(index);
    let drawn = || swept.lines.iter().enumerate().filter(move |(index, _)| shown(*index));
    let drawn_rows = || drawn().flat_map(|(_, line)| &line.points).map(|(_, row)| *row);
    let of_drawn = drawn_rows().filter_map(|row| row.metrics.get(name));
    let mut ends: Vec<f64> = of_drawn.flat_map(|it| [it.ci_low, it.ci_high]).flatten().collect();
    if !many {
        ends.extend(drawn_rows().flat_map(|row| single(material, row, name)));
    }
    let (low, high) = axes::range(&means, &ends, metric::bounds(name));
    let partial = summaries.len() < rows().count() || rows().any(|(_, row)| row.state != RowState::Complete);

    let mut legend = Legend::default();
    if many {
        if let Some(line) = best.and_then(|best| swept.lines.get(best)) {
            legend.add(Glyph::Line(Ink::ACCENT), format!("best on validation: {}", line.name));
        }
        let (others, other) =
            (swept.lines.len() - usize::from(best.is_some()), if best.is_some() { "other " } else { "" });
        let (ink, median) = if spread { (Ink::Muted, "median of ") } else { (Ink::Grid, "") };
        legend.add(Glyph::Line(ink), format!("{median}{others} {other}combinations"));
    } else {
        for (index, line) in swept.lines.iter().enumerate() {
            let text = if line.name.is_empty() { "mean" } else { &line.name };
            legend.add(Glyph::Line(Ink::Series(index)), text);
        }
    }
    if partial {
        legend.add(Glyph::Hollow(Ink::ACCENT), format!("{}s missing", replicate_noun(table)));
    }
    if let Some(row) = baseline.filter(|_| baseline_mean.is_some()) {
        let text = format!("baseline: {}", label(row));
        legend.add(Glyph::Dashed(Ink::Muted), text);
    }
    if rows().any(|(_, row)| said(row).is_some()) {
        legend.add(Glyph::Diamond(Ink::Text), "published");
    }
    if published_baseline.is_some() {
        legend.add(Glyph::Dotted(Ink::Text), "published baseline");
    }

    let Frame { mut canvas, area, x, y } = Frame::new(table, swept, name, &legend, (low, high));
    if let Some(mean) = baseline_mean {
        let at = y.place_within(mean);
        canvas.line((area.left, at), (area.right, at), Ink::Muted, 1.5, Glyph::DASHES);
    }
    if let Some(it) = published_baseline {
        let at = y.place_within(it.mean);
        canvas.line((area.left, at), (area.right, at), Ink::Text, 1.5, Glyph::DOTS);
    }

    if spread {
        spread::draw(&mut canvas, swept, name, (&x, &y));
    }
    let mut order: Vec<(usize, &SweptLine<'_>)> = drawn().collect();
    // The highlighted line is drawn last, over the others.
    order.sort_by_key(|(index, _)| best == Some(*index));
    for (index, line) in order {
        let is_best = best == Some(index);
        let ink = match many {
            false => Ink::Series(index),
            true if is_best => Ink::ACCENT,
            true => Ink::Grid,
        };
        for (at, row) in line.points.iter().filter(|_| !many) {
            let at = x.place(*at);
            for value in single(material, row, name) {
                let place = y.place_within(value);
                canvas.line((at - STROKE, place), (at + STROKE, place), Ink::Muted, 1.2, "");
            }
        }
        draw(&mut canvas, line, (name, Numbers::of(table)), (&x, &y), ink, !many || is_best);
    }
    for (at, row) in rows() {
        if let Some(it) = said(row) {
            let place = (x.place(at), y.place_within(it.mean));
            canvas.diamond(place, 4.5, Ink::Text, &format!("published: {}", it.written));
        }
    }
    Chart {
        file: file_name(name),
        title: metric_heading(table, name),
        svg: canvas.finish(&format!("{} by {}", metric_heading(table, name), swept.title)),
    }
}

/// The interval band, the means and their marks of one line.
pub(super) fn draw(
    canvas: &mut Canvas,
    line: &SweptLine<'_>,
    (name, numbers): (&str, Numbers),
    (x, y): (&Scale, &Scale),
    ink: Ink,
    marks: bool,
) {
    let points: Vec<_> = line
        .points
        .iter()
        .filter_map(|(at, row)| Some((x.place(*at), *at, *row, row.metrics.get(name)?)))
        .collect();
    if marks {
        let interval = |of: fn(&(f64, f64)) -> f64| {
            points
                .iter()
                .filter_map(|(at, _, _, it)| Some((*at, y.place_within(of(&it.ci_low.zip(it.ci_high)?)))))
                .collect::<Vec<_>>()
        };
        let mut band = interval(|ends| ends.1);
        band.extend(interval(|ends| ends.0).into_iter().rev());
        if band.len() > 2 {
            canvas.area(&band, ink, 0.14);
        }
    }
    let means: Vec<(f64, f64)> = points.iter().map(|(at, _, _, it)| (*at, y.place_within(it.mean))).collect();
    canvas.path(&means, ink, if marks { 2.0 } else { 1.0 });
    if marks && points.len() <= 60 {
        for (place, (_, at, row, it)) in means.iter().zip(&points) {
            let hint = format!("{at}: {} (n = {})", numbers.mean_and_deviation(Some(it)), count(row));
            canvas.dot(*place, 3.2, ink, row.state != RowState::Complete, &hint);
        }
    }
}

/// The published mean of a row.
pub(super) fn published_mean<'p>(
    published: Option<&'p Matched>,
    row: &ConfigurationRow,
    name: &str,
) -> Option<&'p Published> {
    published?.rows.get(&row.id)?.iter().find(|it| it.metric == name)
}
