//! The log of the chosen task, and below it what the command itself has said.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Style},
    text::Line,
    widgets::Paragraph,
};

use super::{cut, pane};
use crate::view::state::State;

/// The rows of the task's log in a body of this height: two have headings, and a third is for events.
pub(in crate::view) fn height_of_log(body: usize) -> usize {
    body.saturating_sub(2 + events(body)).max(1)
}

fn events(body: usize) -> usize {
    (body / 3).max(2)
}

/// Draws both.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let body = usize::from(area.height);
    let rows = |rows: usize| Constraint::Length(u16::try_from(rows).unwrap_or(u16::MAX));
    let [title, log, second, events] =
        Layout::vertical([rows(1), rows(height_of_log(body)), rows(1), Constraint::Fill(1)]).areas(area);
    let name = state.grid.rows.get(state.chosen.0).map_or("", |row| row.name.as_str());
    let heading = match &state.log_of {
        Some((_, seed)) => format!("{name} seed {seed} (another: choose it in the grid)"),
        None => "no task".to_owned(),
    };
    let underlined = Style::new().add_modifier(Modifier::UNDERLINED);
    let line = |text: &str| Paragraph::new(Line::styled(cut(text, area.width.into()), underlined));
    frame.render_widget(line(&heading), title);
    pane(frame, &state.log_pane, log, "no log lines of it yet");
    frame.render_widget(line("events"), second);
    let height = usize::from(events.height);
    let wrapped: Vec<String> = {
        let last: Vec<String> = state.said.iter().rev().take(height).rev().cloned().collect();
        super::super::pane::wrapped(&last, area.width.into())
    };
    let shown = wrapped.get(wrapped.len().saturating_sub(height)..).unwrap_or_default();
    let shown = if shown.is_empty() { vec!["none".to_owned()] } else { shown.to_vec() };
    frame.render_widget(Paragraph::new(shown.into_iter().map(Line::from).collect::<Vec<_>>()), events);
}
