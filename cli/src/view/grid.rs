//! The tasks of a sweep, as a grid of configurations and seeds.

use std::collections::HashMap;

use colearn_core::text::counted_len;
use colearn_proto::v1::{Failure, TaskRow, TaskState};

/// Maximum number of tasks whose changes are told at once.
const CHANGES: usize = 8;

/// What a cell of the grid says about its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Pending,
    /// An attempt has failed, and the task will be tried again.
    Again,
    Running,
    Done,
    Failed,
    Cancelled,
}

impl Mark {
    /// All marks, in the order of the legend.
    pub(crate) const ALL: [Self; 6] =
        [Self::Done, Self::Running, Self::Pending, Self::Again, Self::Failed, Self::Cancelled];

    /// The letter: the state must be readable without colours.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Pending => '.',
            Self::Again => 'A',
            Self::Running => 'R',
            Self::Done => 'D',
            Self::Failed => 'F',
            Self::Cancelled => 'C',
        }
    }

    /// The word for people.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Again => "again",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    fn of(row: &TaskRow) -> Self {
        match row.state() {
            TaskState::Running => Self::Running,
            TaskState::Done => Self::Done,
            TaskState::Failed => Self::Failed,
            TaskState::Cancelled => Self::Cancelled,
            TaskState::Pending if row.failure.is_some() => Self::Again,
            TaskState::Pending | TaskState::Unspecified => Self::Pending,
        }
    }
}

/// A task.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) mark: Mark,
    pub(crate) attempts: u32,
    /// Finished epochs, and their number; the number is 0 for a program.
    pub(crate) epochs: (u32, u32),
    /// Worker and slot of a running task.
    pub(crate) place: Option<Box<(String, u32)>>,
    /// The last failure.
    pub(crate) failure: Option<Box<Failure>>,
    /// The earliest time of the next attempt, in milliseconds since the Unix epoch.
    pub(crate) not_before: i64,
}

/// A configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// 16 hexadecimal digits.
    pub(crate) id: String,
    pub(crate) name: String,
}

/// All tasks of a sweep.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grid {
    pub(crate) rows: Vec<Row>,
    pub(crate) seeds: Vec<u64>,
    /// Row by row; `None` where a configuration does not have the seed.
    cells: Vec<Option<Cell>>,
    /// The length of the longest name.
    pub(crate) longest: usize,
}

impl Grid {
    /// The grid of tasks that come in the order of the sweep.
    pub(crate) fn of(tasks: Vec<TaskRow>) -> Self {
        let mut grid = Self::default();
        let mut rows: HashMap<String, usize> = HashMap::new();
        let mut columns: HashMap<u64, usize> = HashMap::new();
        let mut placed = Vec::with_capacity(tasks.len());
        for task in tasks {
            let id = task.task.clone().unwrap_or_default();
            let row = *rows.entry(id.configuration.clone()).or_insert_with(|| {
                let name = crate::remote::called(&task.name, &id.configuration);
                grid.longest = grid.longest.max(name.chars().count());
                grid.rows.push(Row { id: id.configuration, name });
                grid.rows.len() - 1
            });
            let column = *columns.entry(id.seed).or_insert_with(|| {
                grid.seeds.push(id.seed);
                grid.seeds.len() - 1
            });
            let running = task.state() == TaskState::Running;
            let cell = Cell {
                mark: Mark::of(&task),
                attempts: task.attempts,
                epochs: (task.epoch, task.epochs),
                place: running.then(|| Box::new((task.worker, task.slot))),
                failure: task.failure.map(Box::new),
                not_before: task.not_before,
            };
            placed.push((row, column, cell));
        }
        grid.cells = vec![None; grid.rows.len() * grid.seeds.len()];
        for (row, column, cell) in placed {
            if let Some(place) = grid.cells.get_mut(row * grid.seeds.len() + column) {
                *place = Some(cell);
            }
        }
        grid
    }

    /// What is new in a later grid of the same tasks, in lines for people.
    pub(crate) fn changes(&self, later: &Self) -> Vec<String> {
        if self.rows != later.rows || self.seeds != later.seeds {
            return Vec::new();
        }
        let pairs = self.cells.iter().zip(&later.cells).enumerate();
        let changed = pairs.filter_map(|(at, (before, now))| {
            let (before, now) = (before.as_ref()?, now.as_ref()?);
            let ends = matches!(now.mark, Mark::Done | Mark::Failed | Mark::Again | Mark::Cancelled);
            (ends && before.mark != now.mark).then_some((at, now))
        });
        let changed: Vec<(usize, &Cell)> = changed.collect();
        let line = |(at, cell): &(usize, &Cell)| {
            let name = self.rows.get(at / self.seeds.len())?.name.as_str();
            let seed = self.seeds.get(at % self.seeds.len())?;
            let what = if cell.mark == Mark::Again { "will be tried again" } else { cell.mark.word() };
            Some(format!("{name} seed {seed}: {what}"))
        };
        let mut lines: Vec<String> = changed.iter().take(CHANGES).filter_map(line).collect();
        if changed.len() > CHANGES {
            lines.push(format!("and {} more", counted_len(changed.len() - CHANGES, "task")));
        }
        lines
    }

    /// A task; `None` if there is none.
    pub(crate) fn cell(&self, row: usize, column: usize) -> Option<&Cell> {
        if column >= self.seeds.len() {
            return None;
        }
        self.cells.get(row * self.seeds.len() + column)?.as_ref()
    }

    /// The tasks of a configuration.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = &Cell> {
        let begin = (row * self.seeds.len()).min(self.cells.len());
        let end = (begin + self.seeds.len()).min(self.cells.len());
        self.cells.get(begin..end).unwrap_or_default().iter().flatten()
    }

    /// How many tasks of a configuration are done, and how many there are.
    pub(crate) fn done(&self, row: usize) -> (usize, usize) {
        let done = self.row(row).filter(|cell| cell.mark == Mark::Done).count();
        (done, self.row(row).count())
    }

    /// How many tasks of a configuration run.
    pub(crate) fn running(&self, row: usize) -> usize {
        self.row(row).filter(|cell| cell.mark == Mark::Running).count()
    }

    /// The next task after a place, or before it, that failed, will be tried again or runs; beyond the end it is sought
    /// from the beginning.
    pub(crate) fn next(&self, (row, column): (usize, usize), back: bool) -> Option<(usize, usize)> {
        let (width, all) = (self.seeds.len(), self.cells.len());
        let here = row * width + column;
        let is_wanted = |at: &usize| {
            let mark = self.cells.get(*at).and_then(Option::as_ref).map(|cell| cell.mark);
            matches!(mark, Some(Mark::Failed | Mark::Again | Mark::Running))
        };
        let mut places =
            (1..all).map(|step| if back { here + all - step } else { here + step }).map(|at| at % all);
        places.find(is_wanted).map(|at| (at / width, at % width))
    }
}
