//! The results of a sweep, as a coordinator sends them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

use colearn_core::{
    id::{ConfigurationId, SweepId},
    names::Names,
    result::{Artifact, NameSets, TaskResult},
    sweep::{Configuration, Sweep},
    table::{ResultsTable, TaskOutcome},
};
use colearn_proto::{
    convert::{self, ConvertError},
    v1::{self, get_results_response::Part},
};
use colearn_report::{FailureNote, Material, Provenance, Record};
use tonic::{Status, Streaming};

use crate::words::{failure_parts, instant};

/// The reason why results could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The coordinator refused, or the connection was lost.
    #[error("{}", .0.message())]
    Refused(Box<Status>),
    /// The coordinator is of another version.
    #[error("the coordinator sent something this version does not understand: {0}")]
    NotUnderstood(String),
}

impl From<Status> for FetchError {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

/// A sweep's results as they were received, and the failures of tasks without a result.
#[derive(Clone, Debug)]
pub struct Received {
    number: Option<SweepId>,
    sweep: Sweep,
    outcomes: HashMap<(ConfigurationId, u64), TaskOutcome>,
    notes: Vec<FailureNote>,
    records: HashMap<(ConfigurationId, u64), Record>,
    failures: Vec<v1::TaskFailure>,
}

impl Received {
    /// Averages the results. It takes time and memory in proportion to their number: close a connection that is no longer
    /// needed before.
    #[must_use]
    pub fn averaged(self) -> Fetched {
        let Self { number, sweep, outcomes, notes, records, failures } = self;
        let table = ResultsTable::of(&sweep, &outcomes);
        Fetched { number, sweep, outcomes, notes, records, table, failures }
    }
}

/// A sweep's results with their averages, and the failures of tasks without a result.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The number of the sweep, if it has a result.
    pub number: Option<SweepId>,
    /// The resolved sweep.
    pub sweep: Sweep,
    /// The outcomes of its tasks, as far as they are known.
    pub outcomes: HashMap<(ConfigurationId, u64), TaskOutcome>,
    /// Failed attempts, for the report.
    pub notes: Vec<FailureNote>,
    /// Who delivered each result.
    pub records: HashMap<(ConfigurationId, u64), Record>,
    /// The averaged results.
    pub table: ResultsTable,
    /// Failed attempts with the names of their configurations.
    pub failures: Vec<v1::TaskFailure>,
}

impl Fetched {
    /// The kept files that results record.
    pub fn artifacts(&self) -> impl Iterator<Item = &Artifact> {
        self.outcomes.values().flat_map(|outcome| match outcome {
            TaskOutcome::Done(result) => result.artifacts.as_slice(),
            TaskOutcome::Failed(_) | TaskOutcome::Cancelled => &[],
        })
    }

    /// What a report is made of, and its table.
    #[must_use]
    pub fn into_material(self, provenance: Provenance) -> (Material, ResultsTable) {
        let material = Material {
            sweep: self.sweep,
            outcomes: self.outcomes,
            failures: self.notes,
            reference: None,
            provenance: Provenance { records: self.records, ..provenance },
        };
        (material, self.table)
    }
}

/// Receives all results of a sweep, and averages them.
///
/// # Errors
/// If the connection is lost, or an answer cannot be understood.
pub async fn gather(parts: Streaming<v1::GetResultsResponse>) -> Result<Fetched, FetchError> {
    receive(parts).await.map(Received::averaged)
}

/// Receives all results of a sweep.
///
/// # Errors
/// As [`gather`].
pub async fn receive(mut parts: Streaming<v1::GetResultsResponse>) -> Result<Received, FetchError> {
    let (mut sweep_json, mut number) = (String::new(), None);
    let mut outcomes = HashMap::new();
    let mut failures = Vec::new();
    let mut notes = Vec::new();
    let mut records = HashMap::new();
    let mut shared = Shared::default();
    while let Some(message) = parts.message().await? {
        match message.part {
            // A large sweep is sent in several parts.
            Some(Part::SweepJson(text)) => sweep_json += &text,
            Some(Part::Result(recorded)) => {
                let task = convert::task(recorded.task).map_err(bad)?;
                number = Some(task.sweep);
                let record = Record {
                    attempt: recorded.attempt,
                    worker: recorded.worker,
                    recorded_at: instant(recorded.recorded_at),
                };
                records.insert((task.configuration, task.seed), record);
                let mut result: TaskResult = recorded.result.unwrap_or_default().try_into().map_err(bad)?;
                shared.share(&mut result);
                outcomes.insert((task.configuration, task.seed), TaskOutcome::Done(result));
            }
            Some(Part::Failure(failed)) => {
                let task = convert::task(failed.task.clone()).map_err(bad)?;
                let reason = failed.failure.as_ref().map_or(0, |failure| failure.reason);
                let reason = convert::failure_reason(reason).map_err(bad)?;
                notes.push(failure_note(failed.clone()).map_err(bad)?);
                failures.push(failed);
                outcomes.insert((task.configuration, task.seed), TaskOutcome::Failed(reason));
            }
            Some(Part::Cancelled(v1::CancelledTasks { tasks })) => {
                for v1::TaskReference { configuration, seed } in tasks {
                    let configuration = configuration.parse().map_err(|_| {
                        FetchError::NotUnderstood(format!("`{configuration}` is no configuration"))
                    })?;
                    outcomes.insert((configuration, seed), TaskOutcome::Cancelled);
                }
            }
            None => {}
        }
    }
    let sweep: Sweep =
        serde_json::from_str(&sweep_json).map_err(|error| FetchError::NotUnderstood(error.to_string()))?;
    name_failures(&sweep, &mut failures);
    Ok(Received { number, sweep, outcomes, notes, records, failures })
}

/// What many results have in common, held once.
#[derive(Default)]
struct Shared {
    names: NameSets,
    classes: HashSet<Arc<Vec<String>>>,
    environments: HashSet<Arc<BTreeMap<String, String>>>,
}

impl Shared {
    fn share(&mut self, result: &mut TaskResult) {
        self.names.share(&mut result.metrics);
        result.history.iter_mut().for_each(|record| self.names.share(&mut record.values));
        one_of(&mut self.classes, &mut result.classes);
        one_of(&mut self.environments, &mut result.environment);
    }
}

/// Replaces a value with the equal one that is known, or makes it known.
fn one_of<T: Hash + Eq>(known: &mut HashSet<Arc<T>>, value: &mut Arc<T>) {
    match known.get(&*value) {
        Some(there) => *value = there.clone(),
        None => {
            known.insert(value.clone());
        }
    }
}

fn bad(error: ConvertError) -> FetchError {
    FetchError::NotUnderstood(error.to_string())
}

/// Gives failures the names of their configurations.
fn name_failures(sweep: &Sweep, failures: &mut [v1::TaskFailure]) {
    if failures.is_empty() {
        return;
    }
    let names = Names::of(sweep);
    let by_id: HashMap<String, &Configuration> =
        sweep.configurations.iter().map(|it| (it.id.to_string(), it)).collect();
    for failed in failures {
        let of = failed.task.as_ref().and_then(|task| by_id.get(&task.configuration));
        failed.name = of.map(|configuration| names.name(*configuration)).unwrap_or_default();
    }
}

/// A failed attempt for a report.
///
/// # Errors
/// If the coordinator is of another version and sends something unknown.
pub fn failure_note(failed: v1::TaskFailure) -> Result<FailureNote, ConvertError> {
    let (_, _, reason, message) = failure_parts(&failed);
    let task = convert::task(failed.task)?;
    Ok(FailureNote {
        configuration: task.configuration,
        seed: task.seed,
        attempt: failed.attempt,
        last: failed.r#final,
        reason: reason.to_owned(),
        message,
    })
}
