//! `colearn results NAME`, and fetching results for other commands.

use std::collections::HashMap;

use colearn_core::{
    id::{ConfigurationId, SweepId},
    names::Names,
    result::Artifact,
    sweep::{Configuration, Sweep},
    table::{ResultsTable, TaskOutcome},
};
use colearn_proto::{
    convert::{self, ConvertError},
    v1::{self, get_results_response::Part},
};
use colearn_report::{FailureNote, warnings};

use super::{
    Client,
    labels::{failure_lines, failure_parts},
    request::answered,
};
use crate::{
    args::{Format, Target},
    connect::Connection,
    exit::{Exit, Failure, Outcome},
    format,
};

/// `colearn results NAME`.
pub(crate) async fn results(name: &str, target: &Target, format: Format) -> Outcome {
    let mut connection = Connection::open_to_look(target).await?;
    let fetched = fetch_results(&mut connection.sweeps, name).await?;
    connection.close().await;
    fetched.warn(format);
    out!("{}", format::render(&fetched.table, format));
    Ok(Exit::Success)
}

/// A sweep's results, and the failures of tasks without a result.
pub(crate) struct Fetched {
    /// The number of the sweep, if it has a result.
    pub(crate) number: Option<SweepId>,
    /// The resolved sweep.
    pub(crate) sweep: Sweep,
    /// The outcomes of its tasks, as far as they are known.
    pub(crate) outcomes: HashMap<(ConfigurationId, u64), TaskOutcome>,
    /// Failed attempts, for the report.
    pub(crate) notes: Vec<FailureNote>,
    /// The averaged results.
    pub(crate) table: ResultsTable,
    /// Failed tasks for people: equal failures share one line.
    pub(crate) failures: Vec<String>,
}

impl Fetched {
    /// The kept files that results record.
    pub(crate) fn artifacts(&self) -> impl Iterator<Item = &Artifact> {
        self.outcomes.values().flat_map(|outcome| match outcome {
            TaskOutcome::Done(result) => result.artifacts.as_slice(),
            _ => &[],
        })
    }

    /// Prints the warnings on standard error, unless the format is the table, which contains them.
    pub(crate) fn warn(&self, format: Format) {
        if format != Format::Table {
            self.warn_anyway();
        }
    }

    /// Prints the warnings on standard error.
    pub(crate) fn warn_anyway(&self) {
        for warning in warnings(&self.table) {
            errln!("warning: {}: {warning}", self.table.sweep);
        }
    }
}

/// Fetches all results of a sweep and averages them.
pub(crate) async fn fetch_results(client: &mut Client, name: &str) -> Result<Fetched, Failure> {
    let bad = |error: &dyn std::fmt::Display| {
        Failure::new(
            Exit::Failure,
            format!("the coordinator sent something this version does not understand: {error}"),
        )
    };
    let request = v1::GetResultsRequest { name: name.to_owned() };
    let answer = client.get_results(request).await;
    let mut parts = answered(client, name, answer).await?;
    let (mut sweep_json, mut number) = (String::new(), None);
    let mut outcomes = HashMap::new();
    let mut failures = Vec::new();
    let mut notes = Vec::new();
    while let Some(message) = parts.message().await.map_err(|status| client.failure(&status))? {
        match message.part {
            // A large sweep is sent in several parts.
            Some(Part::SweepJson(text)) => sweep_json += &text,
            Some(Part::Result(recorded)) => {
                let task = convert::task(recorded.task).map_err(|error| bad(&error))?;
                number = Some(task.sweep);
                let result = recorded.result.unwrap_or_default().try_into().map_err(|error| bad(&error))?;
                outcomes.insert((task.configuration, task.seed), TaskOutcome::Done(result));
            }
            Some(Part::Failure(failed)) => {
                let task = convert::task(failed.task.clone()).map_err(|error| bad(&error))?;
                let reason = failed.failure.as_ref().map_or(0, |failure| failure.reason);
                let reason = convert::failure_reason(reason).map_err(|error| bad(&error))?;
                notes.push(failure_note(failed.clone()).map_err(|error| bad(&error))?);
                failures.push(failed);
                outcomes.insert((task.configuration, task.seed), TaskOutcome::Failed(reason));
            }
            None => {}
        }
    }
    let sweep: Sweep = serde_json::from_str(&sweep_json).map_err(|error| bad(&error))?;
    name_failures(&sweep, &mut failures);
    let table = ResultsTable::of(&sweep, &outcomes);
    Ok(Fetched { number, table, sweep, outcomes, notes, failures: failure_lines(&failures) })
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
pub(crate) fn failure_note(failed: v1::TaskFailure) -> Result<FailureNote, ConvertError> {
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
