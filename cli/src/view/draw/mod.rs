//! Draws the state. Nothing here changes anything: the same state on the same screen looks the same.

mod curves;
pub(super) mod grid;
pub(super) mod log;

use colearn_core::text::one_line;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Clear, Paragraph},
};

use super::{
    grid::Mark,
    keys,
    pane::Pane,
    state::{Kind, State, Tab},
};

/// Rows of header and footer.
pub(super) const FRAME: usize = 3;
/// The smallest screen.
const LEAST: (u16, u16) = (40, 12);

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("This needs {} x {} characters. q: leave", LEAST.0, LEAST.1);
        let lines = super::pane::wrapped(&[text], area.width.into());
        frame.render_widget(Paragraph::new(lines.join("\n")), area);
        return;
    }
    let [progress, tabs, body, footer] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    header(frame, state, progress);
    choices(frame, state, tabs);
    match state.tab {
        Tab::Grid => grid::draw(frame, state, body),
        Tab::Results => pane(frame, &state.results_pane, body, "no results yet"),
        Tab::Curves => curves::draw(frame, state, body),
        Tab::Workers => pane(frame, &state.workers_pane, body, "asking for the workers"),
        Tab::Log => log::draw(frame, state, body),
    }
    if state.details {
        over(frame, body, " task ", &state.details_pane);
    }
    if state.help {
        help(frame, state, body);
    }
    frame.render_widget(Paragraph::new(hints(state, footer.width.into())).style(dim(state)), footer);
}

fn header(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let name = Span::styled(state.name.clone(), Style::new().add_modifier(Modifier::BOLD));
    let room = usize::from(area.width).saturating_sub(state.name.chars().count() + 2);
    let line = Line::from(vec![name, Span::raw("  "), Span::raw(cut(&one_line(&state.line), room))]);
    frame.render_widget(Paragraph::new(line), area);
}

/// The names of the views, and a bar where there is room.
fn choices(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let wide = area.width >= 70;
    let mut spans = Vec::new();
    for (at, tab) in Tab::ALL.into_iter().enumerate() {
        let text =
            if wide { format!(" {} {} ", at + 1, tab.name()) } else { format!("{}{}", at + 1, tab.name()) };
        let style = Style::new();
        spans.push(Span::styled(
            text,
            if tab == state.tab { style.add_modifier(Modifier::REVERSED) } else { style },
        ));
        spans.push(Span::raw(" "));
    }
    let used: usize = spans.iter().map(Span::width).sum();
    let room = usize::from(area.width).saturating_sub(used + 8);
    if room >= 8 {
        let full = (state.share * room as f64) as usize;
        let bar = format!(
            " [{}{}] {:3.0}%",
            "=".repeat(full),
            " ".repeat(room - full),
            (state.share * 100.0).floor()
        );
        spans.push(Span::styled(bar, coloured(state, Color::Cyan)));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

fn hints(state: &State, width: usize) -> String {
    let moves = match state.tab {
        _ if state.details => "arrows scroll  Enter close",
        Tab::Grid => "arrows choose  n next  Enter details",
        Tab::Curves => "arrows choose  c curve  a seed/all",
        Tab::Results | Tab::Workers | Tab::Log => "arrows scroll  Enter details",
    };
    let leave = match state.kind {
        Kind::Watch => "q quit",
        Kind::Run => "q close view  Ctrl-C stop",
    };
    let all = format!("? help  {leave}  {moves}");
    cut(&all, width)
}

fn help(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let (leave, stop) = match state.kind {
        Kind::Watch => ("quit; the sweep goes on", "the same"),
        Kind::Run => ("close; the run goes on", "stop the run"),
    };
    let keys = keys::help(leave).into_iter().chain([("Ctrl-C", stop.to_owned())]);
    let lines = keys.map(|(key, what)| format!("{key:13} {what}")).collect();
    let mut pane = Pane::default();
    pane.set(lines);
    let box_height = usize::from(area.height).min(pane.lines().len() + 2);
    let title = if box_height < pane.lines().len() + 2 { None } else { Some(" keys ") };
    let inner = centred(area, 44, box_height);
    frame.render_widget(Clear, inner);
    let (_, lines) = pane.shown(42, usize::MAX);
    let text = Paragraph::new(lines.into_iter().map(Line::from).collect::<Vec<_>>());
    // On the smallest screen there is no room for a border.
    match title {
        Some(title) => frame.render_widget(text.block(Block::bordered().title(title)), inner),
        None => frame.render_widget(text, inner),
    }
}

/// A pane in a box over the others.
fn over(frame: &mut Frame<'_>, area: Rect, title: &str, pane: &Pane) {
    let height = usize::from(area.height).min(pane.lines().len() + 2);
    let inner = centred(area, area.width, height);
    frame.render_widget(Clear, inner);
    let (_, lines) = pane.shown(usize::from(inner.width).saturating_sub(4), height.saturating_sub(2));
    let lines: Vec<Line<'_>> = lines.into_iter().map(|line| Line::from(format!(" {line}"))).collect();
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(title.to_owned())), inner);
}

fn centred(area: Rect, width: u16, height: usize) -> Rect {
    let width = width.min(area.width);
    let height = u16::try_from(height).unwrap_or(u16::MAX).min(area.height);
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// Lines that are scrolled.
fn pane(frame: &mut Frame<'_>, pane: &Pane, area: Rect, empty: &str) {
    let (_, lines) = pane.shown(area.width.into(), area.height.into());
    let lines = if lines.is_empty() { vec![empty.to_owned()] } else { lines };
    frame.render_widget(Paragraph::new(lines.into_iter().map(Line::from).collect::<Vec<_>>()), area);
}

/// A text of at most this number of characters; one that is cut says so.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    if most > 0 {
        cut.push('…');
    }
    cut
}

fn coloured(state: &State, colour: Color) -> Style {
    if state.colours { Style::new().fg(colour) } else { Style::new() }
}

fn dim(state: &State) -> Style {
    if state.colours { Style::new().fg(Color::DarkGray) } else { Style::new() }
}

fn of_mark(state: &State, mark: Mark) -> Style {
    match mark {
        Mark::Done => coloured(state, Color::Green),
        Mark::Running => coloured(state, Color::Cyan).add_modifier(Modifier::BOLD),
        Mark::Pending => dim(state),
        Mark::Again => coloured(state, Color::Yellow),
        Mark::Failed => coloured(state, Color::Red).add_modifier(Modifier::BOLD),
        Mark::Cancelled => coloured(state, Color::Magenta),
    }
}
