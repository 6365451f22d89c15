//! A metric over two swept parameters: a map for each combination of the other parameters.

use std::collections::{BTreeSet, HashMap};

use colearn_core::{
    names::short_path,
    settings::schema::MODALITY_DROPOUT,
    statistics::Verdict,
    table::{ConfigurationRow, ResultsTable},
    text::one_line,
};

use super::{Chart, file_name, swept::number};
use crate::{
    cells::{count, metric_heading, setting_columns, value},
    numbers::Numbers,
    svg::{Anchor, Canvas, Ink, fitted},
};

const WIDTH: f64 = 460.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 48.0;
/// The highest cell.
const HIGHEST: f64 = 42.0;
/// With more values of a parameter the cells have no room for numbers.
const MAX_VALUES: usize = 12;
/// Maximum number of maps of a metric.
const MAX_MAPS: usize = 6;

/// What maps are drawn of.
pub(super) struct Heat<'t> {
    /// Path and values of the parameter across.
    across: (String, Vec<f64>),
    /// Path and values of the parameter down.
    down: (String, Vec<f64>),
    maps: Vec<Map<'t>>,
    columns: Vec<String>,
    /// Number of maps that are not drawn.
    pub(super) left_out: usize,
}

/// The configurations that differ in the two parameters alone.
struct Map<'t> {
    /// The values of the other parameters.
    name: String,
    cells: Vec<(f64, f64, &'t ConfigurationRow)>,
}

impl<'t> Heat<'t> {
    /// The first two numeric parameters that vary independently; `None` if there are none.
    pub(super) fn of(table: &'t ResultsTable) -> Option<Self> {
        let numeric: Vec<&String> =
            table.parameters.iter().filter(|path| values(table, path).len() > 1).collect();
        let mut pairs = numeric.iter().enumerate().flat_map(|(at, down)| {
            numeric.iter().skip(at + 1).map(move |across| (down.as_str(), across.as_str()))
        });
        let (down, across) = pairs.find(|(down, across)| are_independent(table, down, across))?;
        let (down_values, across_values) = (values(table, down), values(table, across));
        if down_values.len().max(across_values.len()) > MAX_VALUES {
            return None;
        }
        let columns = setting_columns(table);
        let mut maps: Vec<Map<'_>> = Vec::new();
        let mut known: HashMap<String, usize> = HashMap::new();
        for row in &table.configurations {
            let Some((y, x)) = number(row, down).zip(number(row, across)) else { continue };
            let others = columns.iter().filter(|path| *path != down && *path != across);
            let words = others.filter_map(|path| {
                Some(format!("{}={}", short_path(path, &columns), value(row.values.get(path)?)))
            });
            let name = words.collect::<Vec<_>>().join(" ");
            let at = *known.entry(name.clone()).or_insert(maps.len());
            match maps.get_mut(at) {
                Some(map) => map.cells.push((x, y, row)),
                None => maps.push(Map { name, cells: vec![(x, y, row)] }),
            }
        }
        let left_out = maps.len().saturating_sub(MAX_MAPS);
        maps.truncate(MAX_MAPS);
        Some(Self {
            across: (across.to_owned(), across_values),
            down: (down.to_owned(), down_values),
            maps,
            columns,
            left_out,
        })
    }

    /// The maps of one metric. A map without results is left out.
    pub(super) fn charts(&self, table: &ResultsTable, name: &str) -> Vec<Chart> {
        let means = self.maps.iter().flat_map(|map| &map.cells);
        let direction = table.direction(name);
        let scores = means.filter_map(|(.., row)| Some(direction.score(row.metrics.get(name)?.mean)));
        // All maps have one scale.
        let range =
            scores.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), it| (low.min(it), high.max(it)));
        let is_measured = |map: &&Map<'_>| map.cells.iter().any(|(.., row)| row.metrics.contains_key(name));
        self.maps.iter().filter(is_measured).map(|map| self.chart(table, map, name, range)).collect()
    }

    fn chart(&self, table: &ResultsTable, map: &Map<'_>, name: &str, (low, high): (f64, f64)) -> Chart {
        let numbers = Numbers::of(table);
        let direction = table.direction(name);
        let ((_, across), (_, down)) = (&self.across, &self.down);
        let cell = (WIDTH - LEFT - RIGHT) / across.len() as f64;
        let height = (cell * 0.7).min(HIGHEST);
        let bottom = TOP + height * down.len() as f64;
        let mut canvas = Canvas::new(WIDTH, bottom + BOTTOM);
        self.frame(&mut canvas, (cell, height), bottom);
        let heading = metric_heading(table, name);
        let baseline = table.baseline().and_then(|row| Some((row, row.metrics.get(name)?)));
        if let Some((row, summary)) = baseline {
            let text = format!("baseline ({}): {}", row.name, numbers.mean_and_deviation(Some(summary)));
            let text = fitted(&text, WIDTH - 24.0);
            canvas.text((12.0, 18.0), Anchor::Start, Ink::Muted, Canvas::TEXT, &text);
        }
        for (x, y, row) in &map.cells {
            let Some(summary) = row.metrics.get(name) else { continue };
            let at = |values: &[f64], value: &f64| values.iter().position(|it| it == value);
            let Some((column, line)) = at(across, x).zip(at(down, y)) else { continue };
            let share = if high > low { (direction.score(summary.mean) - low) / (high - low) } else { 0.0 };
            let corner = (LEFT + cell * column as f64, TOP + height * line as f64);
            let mark = mark(row, name);
            let hint = format!(
                "{}: {} (n = {}){}",
                row.name,
                numbers.mean_and_deviation(Some(summary)),
                count(row),
                if row.baseline { ", baseline" } else { "" }
            );
            // The darkest shade keeps numbers legible on a light and on a dark background.
            canvas.rect(corner, (cell - 1.0, height - 1.0), Ink::ACCENT, 0.04 + 0.51 * share, &hint);
            let middle = (corner.0 + cell / 2.0, corner.1 + height / 2.0 + 4.0);
            let text = format!("{}{mark}", numbers.plain(summary.mean));
            let size = (0.95 * cell / text.chars().count() as f64 * 1.8).clamp(7.0, 12.0);
            canvas.text(middle, Anchor::Middle, Ink::Text, size, &text);
        }
        let title = if map.name.is_empty() { heading.clone() } else { format!("{heading}: {}", map.name) };
        Chart {
            file: format!("heat-{}", file_name(name)),
            svg: canvas.finish(&format!("{title} by {} and {}", self.down.0, self.across.0)),
            title,
        }
    }

    fn frame(&self, canvas: &mut Canvas, (cell, height): (f64, f64), bottom: f64) {
        let ((across_path, across), (down_path, down)) = (&self.across, &self.down);
        let title = |path: &str| match path.strip_prefix(MODALITY_DROPOUT) {
            Some(modality) => format!("dropout of {modality}"),
            None => one_line(short_path(path, &self.columns)),
        };
        for (at, value) in across.iter().enumerate() {
            let x = LEFT + cell * (at as f64 + 0.5);
            canvas.text((x, bottom + 17.0), Anchor::Middle, Ink::Muted, 12.0, &value.to_string());
        }
        for (at, value) in down.iter().enumerate() {
            let y = TOP + height * (at as f64 + 0.5) + 4.0;
            canvas.text((LEFT - 7.0, y), Anchor::End, Ink::Muted, 12.0, &value.to_string());
        }
        let middle = (LEFT + (WIDTH - LEFT - RIGHT) / 2.0, bottom + 38.0);
        let text = fitted(&title(across_path), WIDTH - LEFT - RIGHT);
        canvas.text(middle, Anchor::Middle, Ink::Text, Canvas::TEXT, &text);
        let text = fitted(&title(down_path), bottom - TOP + 40.0);
        canvas.upward_text(
            (16.0, f64::midpoint(TOP, bottom)),
            Anchor::Middle,
            Ink::Text,
            Canvas::TEXT,
            &text,
        );
    }

    /// How to read the maps.
    pub(super) fn note(&self) -> String {
        let mut text =
            " In the maps darker is better; + is PCL, \u{2212} is NCL, = is equivalent.".to_owned();
        if self.left_out > 0 {
            text += &format!(" The first {MAX_MAPS} of {} maps of each metric.", MAX_MAPS + self.left_out);
        }
        text
    }
}

/// The numeric values of a parameter in order.
fn values(table: &ResultsTable, path: &str) -> Vec<f64> {
    let mut values: Vec<f64> = table.configurations.iter().filter_map(|row| number(row, path)).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

/// Whether two parameters vary independently: a value of each goes with several of the other.
fn are_independent(table: &ResultsTable, one: &str, other: &str) -> bool {
    let points: BTreeSet<(u64, u64)> = table
        .configurations
        .iter()
        .filter_map(|row| Some((number(row, one)?.to_bits(), number(row, other)?.to_bits())))
        .collect();
    let distinct = |of: fn(&(u64, u64)) -> u64| points.iter().map(of).collect::<BTreeSet<_>>().len();
    points.len() > distinct(|it| it.0) && points.len() > distinct(|it| it.1)
}

fn mark(row: &ConfigurationRow, name: &str) -> &'static str {
    match row.comparisons.get(name).and_then(|it| it.verdict) {
        Some(Verdict::Positive) => " +",
        Some(Verdict::Negative) => " \u{2212}",
        Some(Verdict::Equivalent) => " =",
        _ => "",
    }
}
