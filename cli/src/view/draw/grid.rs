//! Configurations x seeds.

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::Paragraph,
};

use super::{cut, of_mark};
use crate::view::{details::in_a_line, grid::Mark, state::State};

/// Rows of the heading, of the chosen task and of the legend.
pub(in crate::view) const FRAME: usize = 3;

/// Draws the grid, the page on which the chosen task is.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let (width, height) = (usize::from(area.width), usize::from(area.height).saturating_sub(FRAME));
    let grid = &state.grid;
    if grid.rows.is_empty() {
        frame.render_widget(Paragraph::new("asking for the tasks"), area);
        return;
    }
    let cell = grid.seeds.iter().map(|seed| seed.to_string().len()).max().unwrap_or(1).min(8) + 1;
    let name = grid.longest.clamp(13, (width / 2).max(13)) + 1;
    // A row ends with its count, such as `  5/20`.
    let count = 3 + 2 * grid.seeds.len().to_string().len();
    let room = width.saturating_sub(name + count);
    let columns = page(state.chosen.1, grid.seeds.len(), room / cell);
    let rows = page(state.chosen.0, grid.rows.len(), height);
    let mut lines = vec![heading(state, name, cell, columns.clone())];
    for row in rows.clone() {
        lines.push(line(state, row, name, cell, columns.clone()));
    }
    lines.resize(height + 1, Line::default());
    lines.push(chosen(state, width));
    let note = if rows.len() < grid.rows.len() {
        format!("rows {}-{} of {}  ", rows.start + 1, rows.end, grid.rows.len())
    } else {
        String::new()
    };
    lines.push(legend(state, note, width));
    frame.render_widget(Paragraph::new(lines), area);
}

/// The page of a list, with room for `room` items, that has the item `chosen`.
fn page(chosen: usize, all: usize, room: usize) -> std::ops::Range<usize> {
    let room = room.max(1);
    let start = (chosen / room * room).min(all.saturating_sub(room));
    start..(start + room).min(all)
}

fn heading(state: &State, name: usize, cell: usize, columns: std::ops::Range<usize>) -> Line<'static> {
    let left = state.grid.seeds.len() > columns.len();
    let what = if left {
        format!("seeds {}-{} of {}", columns.start + 1, columns.end, state.grid.seeds.len())
    } else {
        "configuration".to_owned()
    };
    let mut text = format!("{:name$}", cut(&what, name - 1));
    for seed in state.grid.seeds.get(columns).unwrap_or_default() {
        // The last digits of a long seed distinguish it best.
        let seed = seed.to_string();
        let (_, tail) = seed.split_at(seed.len().saturating_sub(cell - 1));
        text += &format!("{tail:>cell$}");
    }
    Line::styled(text, Style::new().add_modifier(Modifier::UNDERLINED))
}

fn line(
    state: &State,
    row: usize,
    name: usize,
    cell: usize,
    columns: std::ops::Range<usize>,
) -> Line<'static> {
    let is_chosen = row == state.chosen.0;
    let called = state.grid.rows.get(row).map_or("", |row| row.name.as_str());
    let bold = if is_chosen { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
    let mut spans = vec![Span::styled(format!("{:name$}", cut(called, name - 1)), bold)];
    for column in columns {
        let mark = state.grid.cell(row, column).map(|cell| cell.mark);
        let letter = mark.map_or(' ', Mark::letter).to_string();
        let style = mark.map_or_else(Style::new, |mark| of_mark(state, mark));
        let pointed = is_chosen && column == state.chosen.1;
        let before = if pointed { ">" } else { " " };
        spans.push(Span::raw(format!("{before:>width$}", width = cell - 1)));
        spans
            .push(Span::styled(letter, if pointed { style.add_modifier(Modifier::REVERSED) } else { style }));
    }
    let (done, all) = state.grid.done(row);
    spans.push(Span::raw(format!("  {done}/{all}")));
    Line::from(spans)
}

/// The chosen task in a line.
fn chosen(state: &State, width: usize) -> Line<'static> {
    let (row, column) = state.chosen;
    let (Some(of), Some(seed)) = (state.grid.rows.get(row), state.grid.seeds.get(column)) else {
        return Line::default();
    };
    let what = match state.grid.cell(row, column) {
        Some(cell) => in_a_line(cell),
        None => "no such task".to_owned(),
    };
    let end = format!(" seed {seed}: {what}");
    let name = cut(&of.name, width.saturating_sub(end.chars().count()).max(8));
    Line::raw(cut(&format!("{name}{end}"), width))
}

fn legend(state: &State, note: String, width: usize) -> Line<'static> {
    let mut used = note.chars().count();
    let mut spans = vec![Span::raw(note)];
    for mark in Mark::ALL {
        let word = format!(" {}  ", mark.word());
        used += 1 + word.trim_end().len();
        if used > width {
            break;
        }
        used += 2;
        spans.push(Span::styled(mark.letter().to_string(), of_mark(state, mark)));
        spans.push(Span::raw(word));
    }
    Line::from(spans)
}
