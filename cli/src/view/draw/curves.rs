//! The curves of the chosen configuration, or of the chosen task.

use std::collections::BTreeMap;

use colearn_core::{result::EpochRecord, text::one_line};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style},
    symbols::Marker,
    text::{Line, Span},
    widgets::{Axis, Chart, Dataset, GraphType, Paragraph},
};

use super::{coloured, cut};
use crate::view::{grid::Mark, state::State};

/// How the curves of a chart differ, also without colours: the sign in the legend, the marker, the colour.
const LOOKS: [(&str, Marker, Color); 4] = [
    ("⠒", Marker::Braille, Color::Cyan),
    ("•", Marker::Dot, Color::Yellow),
    ("x", Marker::Custom('x'), Color::Green),
    ("+", Marker::Custom('+'), Color::Magenta),
];

type Points = Vec<(f64, f64)>;

/// Draws the chart, below a line that says of what it is.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let [title, legend, chart] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let Some((id, seed)) = state.task() else { return };
    let name = state.grid.rows.get(state.chosen.0).map_or("", |row| row.name.as_str());
    let (_, all) = state.grid.done(state.chosen.0);
    let only = state.one_seed.then_some(seed);
    let done = state.curves.get(&id).map_or_else(Vec::new, |known| chosen_seeds(&known.seeds, only));
    let running = running(state, &id, only);
    let what = what(state, &done, &running, seed, all);
    let seeds: Vec<&[EpochRecord]> = done.into_iter().chain(running).collect();
    let room = usize::from(area.width).saturating_sub(what.chars().count() + 2);
    frame.render_widget(Paragraph::new(format!("{}: {what}", cut(name, room))), title);
    let groups = groups(&seeds);
    let names: Vec<&Vec<String>> = groups.values().collect();
    let Some(names) = names.get(state.group % names.len().max(1)) else {
        let none = "a curve is here as soon as a task has finished an epoch";
        frame.render_widget(
            Paragraph::new(super::super::pane::wrapped(&[none.to_owned()], area.width.into()).join("\n")),
            chart,
        );
        return;
    };
    let curves: Vec<Points> = names.iter().take(LOOKS.len()).map(|name| mean(&seeds, name)).collect();
    let mut spans = Vec::new();
    for (name, (sign, _, colour)) in names.iter().zip(LOOKS) {
        spans.push(Span::styled(format!("{sign} {}  ", one_line(name)), coloured(state, colour)));
    }
    if groups.len() > 1 {
        spans.push(Span::raw(format!("({} of {}: c)", state.group % groups.len() + 1, groups.len())));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), legend);
    frame.render_widget(chart_of(state, &curves), chart);
}

fn chosen_seeds(known: &BTreeMap<u64, Vec<EpochRecord>>, seed: Option<u64>) -> Vec<&[EpochRecord]> {
    let is_chosen = |of: &u64| seed.is_none_or(|seed| seed == *of);
    known.iter().filter(|(of, _)| is_chosen(of)).map(|(_, epochs)| epochs.as_slice()).collect()
}

/// The curves of tasks that run, or are done and have no other curves yet.
fn running<'a>(state: &'a State, id: &str, seed: Option<u64>) -> Vec<&'a [EpochRecord]> {
    let (of, known) = &state.running;
    if of != id {
        return Vec::new();
    }
    let done = state.curves.get(id);
    let is_shown = |seed: &u64| {
        let column = state.grid.seeds.iter().position(|one| one == seed);
        let cell = column.and_then(|column| state.grid.cell(state.chosen.0, column));
        let runs = cell.is_some_and(|cell| matches!(cell.mark, Mark::Running | Mark::Done));
        runs && done.is_none_or(|done| !done.seeds.contains_key(seed))
    };
    let is_chosen = |of: &u64| seed.is_none_or(|seed| seed == *of);
    let shown = known.iter().filter(|(seed, epochs)| is_chosen(seed) && is_shown(seed) && !epochs.is_empty());
    shown.map(|(_, epochs)| epochs.as_slice()).collect()
}

/// What the curves are of.
fn what(state: &State, done: &[&[EpochRecord]], running: &[&[EpochRecord]], seed: u64, all: usize) -> String {
    let first = running.iter().filter_map(|epochs| epochs.first()).map(|epoch| epoch.epoch).max();
    let since = first.filter(|first| *first > 1).map_or_else(String::new, |first| format!(" since {first}"));
    match (state.one_seed, running.len()) {
        (true, 0) => format!("seed {seed}"),
        (true, _) => format!("seed {seed}, running{since}"),
        (false, 0) => format!("mean of {} of {all} seeds", done.len()),
        (false, count) => {
            format!("mean of {} of {all} seeds, {count} running{since}", done.len() + count)
        }
    }
}

/// The names of the curves, by the word they end with: losses are compared with losses.
fn groups(seeds: &[&[EpochRecord]]) -> BTreeMap<String, Vec<String>> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in seeds.iter().filter_map(|epochs| epochs.first()).flat_map(|epoch| epoch.values.keys()) {
        let word = name.rsplit(['_', '/', '.']).next().unwrap_or(name);
        let names = groups.entry(word.to_owned()).or_default();
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    groups
}

/// The mean of a curve over the seeds that have the epoch.
fn mean(seeds: &[&[EpochRecord]], name: &str) -> Points {
    let mut sums: BTreeMap<u32, (f64, u32)> = BTreeMap::new();
    for epoch in seeds.iter().flat_map(|epochs| epochs.iter()) {
        if let Some(value) = epoch.get(name) {
            let sum = sums.entry(epoch.epoch).or_default();
            *sum = (sum.0 + value, sum.1 + 1);
        }
    }
    sums.into_iter().map(|(epoch, (sum, count))| (f64::from(epoch), sum / f64::from(count))).collect()
}

fn chart_of<'a>(state: &State, curves: &'a [Points]) -> Chart<'a> {
    let points = || curves.iter().flatten();
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        let low = points().map(of).fold(f64::INFINITY, f64::min);
        let high = points().map(of).fold(f64::NEG_INFINITY, f64::max);
        // A flat curve, or a single epoch, is in the middle.
        if high > low { [low, high] } else { [low - 1.0, high + 1.0] }
    };
    let (x, y) = (bounds(|point| point.0), bounds(|point| point.1));
    let dataset = |(points, (_, marker, colour)): (&'a Points, (_, Marker, Color))| {
        let style = coloured(state, colour);
        Dataset::default().marker(marker).graph_type(GraphType::Line).style(style).data(points)
    };
    let number = |value: f64| Span::raw(format!("{value:.3}"));
    let epoch = |value: f64| Span::raw(format!("{value:.0}"));
    Chart::new(curves.iter().zip(LOOKS).map(dataset).collect())
        .x_axis(
            Axis::default()
                .bounds(x)
                .labels([epoch(x[0]), Span::raw("epoch"), epoch(x[1])])
                .style(Style::new()),
        )
        .y_axis(Axis::default().bounds(y).labels([number(y[0]), number((y[0] + y[1]) / 2.0), number(y[1])]))
        .legend_position(None)
}
