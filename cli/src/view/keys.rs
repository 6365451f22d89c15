//! The keys of the view.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::{
    pane::Step,
    state::{Effect, State, Tab},
};

/// The keys and what they do, for the help: none is longer than the smallest screen allows.
pub(crate) fn help(leave: &str) -> Vec<(&'static str, String)> {
    vec![
        ("Tab, 1 to 5", "next view, or this one".to_owned()),
        ("arrows, hjkl", "choose a task; scroll".to_owned()),
        ("PgUp PgDn g G", "a page; the ends".to_owned()),
        ("n, N", "next, last that runs/failed".to_owned()),
        ("Enter", "details of the task".to_owned()),
        ("c", "Curves: loss, accuracy".to_owned()),
        ("a", "Curves: a seed, or all".to_owned()),
        ("q, Esc", leave.to_owned()),
    ]
}

impl State {
    /// What a key does.
    pub(super) fn press(&mut self, key: KeyEvent) -> Option<Effect> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c' | 'C') => Some(Effect::Interrupt),
                KeyCode::Char('z' | 'Z') => Some(Effect::Suspend),
                _ => None,
            };
        }
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => {
                if !std::mem::take(&mut self.help) && !std::mem::take(&mut self.details) {
                    return Some(Effect::Leave);
                }
            }
            KeyCode::Char('?') | KeyCode::F(1) => self.help = !self.help,
            // Any other key closes the help.
            _ if std::mem::take(&mut self.help) => {}
            KeyCode::Enter => self.toggle_details(),
            KeyCode::Tab => self.turn_to(1),
            KeyCode::BackTab => self.turn_to(Tab::ALL.len() - 1),
            KeyCode::Char(digit @ '1'..='5') => {
                let tab = digit.to_digit(10).and_then(|digit| Tab::ALL.get(digit as usize - 1));
                self.tab = tab.copied().unwrap_or(self.tab);
                self.details = false;
            }
            KeyCode::Char('c') => self.group = self.group.wrapping_add(1),
            KeyCode::Char('a') => self.one_seed = !self.one_seed,
            KeyCode::Char(way @ ('n' | 'N')) => {
                if let Some(chosen) = self.grid.next(self.chosen, way == 'N') {
                    self.chosen = chosen;
                    self.choose();
                }
            }
            code => {
                if let Some(step) = step(code) {
                    self.step(step);
                }
            }
        }
        if self.details {
            self.lay_out_details();
        }
        None
    }

    fn turn_to(&mut self, further: usize) {
        let at = Tab::ALL.iter().position(|tab| *tab == self.tab).unwrap_or(0);
        self.tab = Tab::ALL.get((at + further) % Tab::ALL.len()).copied().unwrap_or(self.tab);
        self.details = false;
    }

    fn toggle_details(&mut self) {
        self.details = !self.details && self.task().is_some();
        self.details_pane = super::pane::Pane::default();
    }

    fn step(&mut self, step: Step) {
        let height = self.body().1;
        if self.details {
            self.details_pane.step(step, height.saturating_sub(2));
            return;
        }
        match self.tab {
            Tab::Grid | Tab::Curves => self.choose_by(step, height.saturating_sub(super::draw::grid::FRAME)),
            Tab::Results => self.results_pane.step(step, height),
            Tab::Workers => self.workers_pane.step(step, height),
            Tab::Log => self.log_pane.step(step, super::draw::log::height_of_log(height)),
        }
    }

    fn choose_by(&mut self, step: Step, page: usize) {
        let (row, column) = self.chosen;
        let page = page.max(1);
        let (row, column) = match step {
            Step::Up => (row.saturating_sub(1), column),
            Step::Down => (row + 1, column),
            Step::Left => (row, column.saturating_sub(1)),
            Step::Right => (row, column + 1),
            Step::PageUp => (row.saturating_sub(page), column),
            Step::PageDown => (row + page, column),
            Step::First => (0, column),
            Step::Last => (usize::MAX, column),
        };
        let last = |count: usize| count.saturating_sub(1);
        self.chosen = (row.min(last(self.grid.rows.len())), column.min(last(self.grid.seeds.len())));
        self.choose();
    }
}

fn step(code: KeyCode) -> Option<Step> {
    Some(match code {
        KeyCode::Up | KeyCode::Char('k') => Step::Up,
        KeyCode::Down | KeyCode::Char('j') => Step::Down,
        KeyCode::Left | KeyCode::Char('h') => Step::Left,
        KeyCode::Right | KeyCode::Char('l') => Step::Right,
        KeyCode::PageUp => Step::PageUp,
        KeyCode::PageDown | KeyCode::Char(' ') => Step::PageDown,
        KeyCode::Home | KeyCode::Char('g') => Step::First,
        KeyCode::End | KeyCode::Char('G') => Step::Last,
        _ => return None,
    })
}
