//! What the view shows: a state, and what events make of it. It has neither a terminal nor a clock.

use std::collections::{BTreeMap, HashMap, VecDeque};

use colearn_core::result::EpochRecord;
use colearn_proto::v1::{SweepSummary, Worker};
use crossterm::event::KeyEvent;

use super::{grid::Grid, pane::Pane};
use crate::{
    format,
    remote::{Fetched, usage_table, workers_table},
    shown::Shown,
};

/// Maximum number of lines of each log.
const LINES: usize = 2000;
/// Maximum number of configurations whose curves are kept.
const CURVES: usize = 256;

/// The command that shows the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `colearn watch`: who leaves the view ends the command.
    Watch,
    /// `colearn run`: who leaves the view leaves the sweep running.
    Run,
}

/// The parts of the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tab {
    Grid,
    Results,
    Curves,
    Workers,
    Log,
}

impl Tab {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 5] = [Self::Grid, Self::Results, Self::Curves, Self::Workers, Self::Log];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Grid => "Grid",
            Self::Results => "Results",
            Self::Curves => "Curves",
            Self::Workers => "Workers",
            Self::Log => "Log",
        }
    }
}

/// What happens.
pub(crate) enum Event {
    Key(KeyEvent),
    /// The terminal has this number of columns and rows.
    Size(u16, u16),
    /// The state of the sweep, the line about its progress, and the finished share.
    Progress(Box<SweepSummary>, String, f64),
    Tasks(Grid),
    Results(Box<Fetched>, Shown),
    /// The curves of a configuration by seed, when this number of its tasks was done.
    Curves {
        configuration: String,
        done: usize,
        seeds: BTreeMap<u64, Vec<EpochRecord>>,
    },
    /// The curves of a configuration's running tasks by seed.
    Running {
        configuration: String,
        seeds: BTreeMap<u64, Vec<EpochRecord>>,
    },
    /// The workers, and the time.
    Workers(Vec<Worker>, i64),
    /// A line for people, or of the program's own log.
    Said(String),
    /// Lines of the log of a task.
    Log((String, u64), Vec<String>),
}

/// What the loop is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Leave the view.
    Leave,
    /// The same as Ctrl-C without a view.
    Interrupt,
    /// The same as Ctrl-Z without a view.
    Suspend,
}

/// What is shown now, and therefore asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    pub(crate) results: bool,
    pub(crate) workers: bool,
    /// The configuration whose curves are missing, and how many of its tasks are done.
    pub(crate) curves: Option<(String, usize)>,
    /// The configuration whose running tasks' curves are shown.
    pub(crate) running: Option<String>,
    /// The task whose log is shown.
    pub(crate) log: Option<(String, u64)>,
}

/// The curves of a configuration.
pub(crate) struct Curves {
    pub(crate) done: usize,
    pub(crate) seeds: BTreeMap<u64, Vec<EpochRecord>>,
}

/// The state of the view.
pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) colours: bool,
    pub(crate) size: (u16, u16),
    pub(crate) tab: Tab,
    pub(crate) help: bool,
    pub(crate) details: bool,
    pub(crate) summary: Option<SweepSummary>,
    pub(crate) line: String,
    pub(crate) share: f64,
    pub(crate) grid: Grid,
    /// The chosen task: its row and its column in the grid.
    pub(crate) chosen: (usize, usize),
    pub(crate) results: Option<(Box<Fetched>, Shown)>,
    pub(crate) curves: HashMap<String, Curves>,
    /// Those of running tasks, of the configuration that was asked for last.
    pub(crate) running: (String, BTreeMap<u64, Vec<EpochRecord>>),
    /// Curves show the chosen seed, not the mean of all.
    pub(crate) one_seed: bool,
    /// Which group of curves is shown.
    pub(crate) group: usize,
    workers: Option<(Vec<Worker>, i64)>,
    pub(crate) said: VecDeque<String>,
    pub(crate) log_of: Option<(String, u64)>,
    pub(crate) results_pane: Pane,
    pub(crate) workers_pane: Pane,
    pub(crate) log_pane: Pane,
    pub(crate) details_pane: Pane,
}

impl State {
    /// The state before anything is known.
    pub(crate) fn new(name: &str, kind: Kind, colours: bool) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            colours,
            size: (80, 24),
            tab: Tab::Grid,
            help: false,
            details: false,
            summary: None,
            line: String::new(),
            share: 0.0,
            grid: Grid::default(),
            chosen: (0, 0),
            results: None,
            curves: HashMap::new(),
            running: (String::new(), BTreeMap::new()),
            one_seed: false,
            group: 0,
            workers: None,
            said: VecDeque::new(),
            log_of: None,
            results_pane: Pane::default(),
            workers_pane: Pane::default(),
            log_pane: Pane::following(),
            details_pane: Pane::default(),
        }
    }

    /// Makes of the state what an event makes of it.
    pub(crate) fn apply(&mut self, event: Event) -> Option<Effect> {
        match event {
            Event::Key(key) => return self.press(key),
            Event::Size(width, height) => {
                self.size = (width, height);
                self.lay_out_results();
                self.lay_out_workers();
            }
            Event::Progress(summary, line, share) => {
                self.summary = Some(*summary);
                self.line = line;
                self.share = share;
            }
            Event::Tasks(grid) => self.replace_grid(grid),
            Event::Results(fetched, shown) => {
                self.results = Some((fetched, shown));
                self.lay_out_results();
            }
            Event::Curves { configuration, done, seeds } => {
                if self.curves.len() >= CURVES {
                    self.curves.clear();
                }
                self.curves.insert(configuration, Curves { done, seeds });
            }
            Event::Running { configuration, seeds } => self.running = (configuration, seeds),
            Event::Workers(workers, now) => {
                self.workers = Some((workers, now));
                self.lay_out_workers();
            }
            Event::Said(line) => self.say(colearn_core::text::one_line(&line)),
            Event::Log(task, lines) => {
                if self.log_of.as_ref() == Some(&task) {
                    self.log_pane.append(lines, LINES);
                }
            }
        }
        if self.details {
            self.lay_out_details();
        }
        None
    }

    fn say(&mut self, line: String) {
        if self.said.len() >= LINES {
            self.said.pop_front();
        }
        self.said.push_back(line);
    }

    /// Keeps the chosen task, also if there are more tasks now.
    fn replace_grid(&mut self, grid: Grid) {
        for change in self.grid.changes(&grid) {
            self.say(change);
        }
        let id = self.grid.rows.get(self.chosen.0).map(|row| row.id.clone());
        let seed = self.grid.seeds.get(self.chosen.1).copied();
        self.grid = grid;
        // Usually it is where it was.
        let at = |row: usize| self.grid.rows.get(row).map(|row| &row.id) == id.as_ref();
        if !at(self.chosen.0) {
            self.chosen.0 = (0..self.grid.rows.len()).find(|row| at(*row)).unwrap_or(0);
        }
        self.chosen.1 = self.grid.seeds.iter().position(|one| Some(*one) == seed).unwrap_or(0);
        self.choose();
    }

    /// Follows the chosen task with what depends on it.
    pub(super) fn choose(&mut self) {
        let task = self.task();
        if task != self.log_of {
            self.log_of = task;
            self.log_pane = Pane::following();
        }
    }

    /// The chosen task: configuration and seed.
    pub(crate) fn task(&self) -> Option<(String, u64)> {
        let row = self.grid.rows.get(self.chosen.0)?;
        Some((row.id.clone(), *self.grid.seeds.get(self.chosen.1)?))
    }

    /// What is to be asked of the coordinator.
    pub(crate) fn wants(&self) -> Wants {
        let row = self.grid.rows.get(self.chosen.0).filter(|_| self.tab == Tab::Curves);
        let curves = row.and_then(|row| {
            let (done, _) = self.grid.done(self.chosen.0);
            let known = self.curves.get(&row.id).map_or(0, |curves| curves.done);
            (done > known).then(|| (row.id.clone(), done))
        });
        let running = row.filter(|_| self.grid.running(self.chosen.0) > 0).map(|row| row.id.clone());
        Wants {
            results: self.tab == Tab::Results || self.details,
            workers: self.tab == Tab::Workers,
            curves,
            running,
            log: self.log_of.clone().filter(|_| self.tab == Tab::Log),
        }
    }

    /// The space below the header and above the footer.
    pub(crate) fn body(&self) -> (usize, usize) {
        (self.size.0.into(), usize::from(self.size.1).saturating_sub(super::draw::FRAME))
    }

    fn lay_out_results(&mut self) {
        if let Some((fetched, shown)) = &self.results {
            let text = format::for_people(&fetched.table, shown, self.body().0);
            // The legend is prose. The table fits, except on a very narrow screen.
            let lines: Vec<String> = text.lines().map(colearn_core::text::one_line).collect();
            self.results_pane.set(super::pane::wrapped(&lines, self.body().0));
        }
    }

    fn lay_out_workers(&mut self) {
        let Some((workers, now)) = &self.workers else { return };
        let text = match workers.as_slice() {
            [] => "no worker is connected".to_owned(),
            workers => {
                let usage = usage_table(workers, self.body().0).unwrap_or_default();
                format!("{}\n\n{usage}", workers_table(workers, *now, self.body().0))
            }
        };
        self.workers_pane.set(text.lines().map(colearn_core::text::one_line).collect());
    }

    pub(super) fn lay_out_details(&mut self) {
        let lines = super::details::lines(self);
        self.details_pane.set(super::pane::wrapped(&lines, self.body().0.saturating_sub(4)));
    }
}
