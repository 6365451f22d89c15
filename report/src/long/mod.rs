//! Results in long format: one record per value, with its configuration, settings and seed.

mod columns;
mod write;

use std::io;

use colearn_core::{
    result::{TaskResult, metric},
    table::{ResultsTable, TaskOutcome},
};
use serde_json::Value;

use self::columns::Columns;
#[cfg(feature = "parquet")]
pub(crate) use self::columns::Kind;
use crate::report_data::{CANCELLED, Material};

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// One metric of one task. A task without a result has one record, without a metric.
    Metrics,
    /// One curve in one epoch of one task.
    Epochs,
}

impl Records {
    /// The name of the files with these records in the folder of a report, without extension.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::Metrics => "results-long",
            Self::Epochs => "history-long",
        }
    }
}

/// One cell of a record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// There is no value.
    Empty,
    Text(String),
    Number(f64),
    Count(u64),
    /// The value of a setting.
    Setting(Value),
}

/// The results of a sweep in long format. The records are made one after the other while they are written.
#[derive(Debug)]
pub struct Long<'m> {
    material: &'m Material,
    table: &'m ResultsTable,
    records: Records,
    columns: Columns,
}

/// Takes a record.
pub(crate) type Sink<'s> = &'s mut dyn FnMut(&[Cell]) -> io::Result<()>;

impl<'m> Long<'m> {
    /// The results of `material`, whose table is `table`.
    #[must_use]
    pub fn of(material: &'m Material, table: &'m ResultsTable, records: Records) -> Self {
        Self { material, table, records, columns: Columns::of(table, records) }
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self.records {
            Records::Metrics => false,
            Records::Epochs => {
                self.material.done().flat_map(|result| &result.history).all(|epoch| epoch.values.is_empty())
            }
        }
    }

    /// What its records are about.
    #[must_use]
    pub fn records(&self) -> Records {
        self.records
    }

    /// Name and kind of every column.
    #[cfg(feature = "parquet")]
    pub(crate) fn kinds(&self) -> impl Iterator<Item = (&str, Kind)> {
        self.columns.all.iter().map(|(name, kind)| (name.as_str(), *kind))
    }

    /// Passes on every record, in the order of the grid, the seeds, and the metrics or epochs.
    pub(crate) fn each(&self, sink: Sink<'_>) -> io::Result<()> {
        for row in &self.table.configurations {
            let setting = |path: &String| row.values.get(path).cloned().map_or(Cell::Empty, Cell::Setting);
            let mut cells = vec![Cell::Text(row.id.to_string()), Cell::Text(row.name.clone())];
            cells.extend(self.columns.settings.iter().map(setting));
            let of_row = cells.len();
            for member in row.configurations() {
                cells.truncate(of_row);
                if !self.columns.replicates.is_empty() {
                    let value =
                        |path: &String| member.values.get(path).cloned().map_or(Cell::Empty, Cell::Setting);
                    cells.extend(self.columns.replicates.iter().map(value));
                    cells.push(Cell::Text(member.id.to_string()));
                }
                let of_member = cells.len();
                for seed in &self.material.sweep.seeds {
                    cells.truncate(of_member);
                    cells.push(Cell::Count(*seed));
                    let outcome = self.material.outcomes.get(&(member.id, *seed));
                    match self.records {
                        Records::Metrics => self.metrics(&mut cells, outcome, sink)?,
                        Records::Epochs => epochs(&mut cells, outcome, sink)?,
                    }
                }
            }
        }
        Ok(())
    }

    /// The records of one task: `cells` is what they have in common.
    fn metrics(
        &self,
        cells: &mut Vec<Cell>,
        outcome: Option<&TaskOutcome>,
        sink: Sink<'_>,
    ) -> io::Result<()> {
        let common = cells.len();
        let result = match outcome {
            Some(TaskOutcome::Done(result)) => result,
            other => {
                let (status, reason) = match other {
                    Some(TaskOutcome::Failed(reason)) => ("failed", Cell::Text(reason.as_str().to_owned())),
                    Some(TaskOutcome::Cancelled) => ("missing", Cell::Text(CANCELLED.to_owned())),
                    _ => ("missing", Cell::Empty),
                };
                cells.extend([const { Cell::Empty }; 4]);
                cells.extend([Cell::Text(status.to_owned()), reason]);
                return sink(cells);
            }
        };
        for name in self.names(result) {
            let Some(value) = result.metrics.get(name) else { continue };
            cells.truncate(common);
            cells.extend(self.parts(name));
            cells.extend([Cell::Number(value), Cell::Text("done".to_owned()), Cell::Empty]);
            sink(cells)?;
        }
        Ok(())
    }

    /// The metrics of a result: those that the sweep shows come first.
    fn names<'r>(&'r self, result: &'r TaskResult) -> impl Iterator<Item = &'r str> {
        let shown = &self.table.metrics;
        let others = result.metrics.keys().filter(|name| !shown.iter().any(|it| it == name));
        shown.iter().map(String::as_str).chain(others)
    }

    /// Metric, split and modalities. The names of a program's metrics mean what its author says.
    fn parts(&self, name: &str) -> [Cell; 3] {
        if !self.table.is_of_networks() {
            return [Cell::Text(name.to_owned()), Cell::Empty, Cell::Empty];
        }
        let (split, name) = match metric::of_validation(name) {
            Some(name) => ("valid", name),
            None => ("test", name),
        };
        let (plain, modalities) = metric::split(name);
        let modalities = modalities.map_or(Cell::Empty, |names| Cell::Text(names.to_owned()));
        [Cell::Text(plain.to_owned()), Cell::Text(split.to_owned()), modalities]
    }
}

/// The records of one task: `cells` is what they have in common.
fn epochs(cells: &mut Vec<Cell>, outcome: Option<&TaskOutcome>, sink: Sink<'_>) -> io::Result<()> {
    let Some(TaskOutcome::Done(result)) = outcome else { return Ok(()) };
    let common = cells.len();
    for epoch in &result.history {
        for (curve, value) in epoch.values.pairs() {
            cells.truncate(common);
            cells.extend([
                Cell::Count(epoch.epoch.into()),
                Cell::Text(curve.to_owned()),
                Cell::Number(value),
            ]);
            sink(cells)?;
        }
    }
    Ok(())
}
