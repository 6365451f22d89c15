//! The tasks of a configuration: everything that is known of each.

use std::{
    collections::{BTreeMap, HashMap},
    io,
};

use colearn_core::{
    id::ConfigurationId,
    result::{Artifact, EpochRecord, TaskResult, Values},
    table::{ConfigurationRow, TaskOutcome},
};
use serde::Serialize;
use serde_json::Value;

use crate::report_data::{CANCELLED, FailureNote, Material};

/// All keys are always present; null means that there is no value.
#[derive(Serialize)]
struct Task<'m> {
    configuration: ConfigurationId,
    replicate: BTreeMap<String, Value>,
    seed: u64,
    status: &'static str,
    reason: Option<&'static str>,
    message: Option<&'m str>,
    attempt: Option<u32>,
    worker: Option<&'m str>,
    recorded_at: Option<&'m str>,
    #[serde(flatten)]
    result: Measured<'m>,
}

/// What a result says; nothing for a task without one.
#[derive(Default, Serialize)]
struct Measured<'m> {
    metrics: Option<&'m Values>,
    confusion: Option<&'m [Vec<u64>]>,
    classes: Option<&'m [String]>,
    history: Option<&'m [EpochRecord]>,
    best_epoch: Option<u32>,
    parameters: Option<u64>,
    seconds: Option<f64>,
    device: Option<&'m str>,
    environment: Option<&'m BTreeMap<String, String>>,
    data_digest: Option<&'m str>,
    weights_digest: Option<&'m str>,
    commit: Option<&'m str>,
    resumed_after: Option<&'m [u32]>,
    artifacts: Option<&'m [Artifact]>,
}

impl<'m> Measured<'m> {
    fn of(result: &'m TaskResult) -> Self {
        // A new part of a result does not compile until it is exported.
        let TaskResult {
            metrics,
            confusion,
            classes,
            history,
            best_epoch,
            parameters,
            seconds,
            device,
            data_digest,
            weights_digest,
            resumed_after,
            commit,
            environment,
            artifacts,
        } = result;
        let said = |text: &'m String| Some(text.as_str()).filter(|text| !text.is_empty());
        Self {
            metrics: Some(metrics),
            confusion: Some(confusion).filter(|it| !it.is_empty()).map(Vec::as_slice),
            classes: Some(classes.as_slice()).filter(|it| !it.is_empty()),
            history: Some(history),
            best_epoch: Some(*best_epoch).filter(|epoch| *epoch > 0),
            parameters: Some(*parameters).filter(|parameters| *parameters > 0),
            seconds: Some(*seconds),
            device: said(device),
            environment: Some(environment),
            data_digest: said(data_digest),
            weights_digest: said(weights_digest),
            commit: said(commit),
            resumed_after: Some(resumed_after),
            artifacts: Some(artifacts),
        }
    }
}

/// The last attempts of the tasks that have failed.
pub(super) type Failures<'m> = HashMap<(ConfigurationId, u64), &'m FailureNote>;

pub(super) fn failures(material: &Material) -> Failures<'_> {
    let last = material.failures.iter().filter(|note| note.last);
    last.map(|note| ((note.configuration, note.seed), note)).collect()
}

/// Writes the tasks of a row as a list, one a line.
pub(super) fn write(
    into: &mut dyn io::Write,
    material: &Material,
    row: &ConfigurationRow,
    failures: &Failures<'_>,
) -> io::Result<()> {
    let mut between = "[\n";
    for member in row.configurations() {
        for seed in &material.sweep.seeds {
            let key = (member.id, *seed);
            let record = material.provenance.records.get(&key);
            let mut task = Task {
                configuration: member.id,
                replicate: member.values.clone(),
                seed: *seed,
                status: "missing",
                reason: None,
                message: None,
                attempt: record.map(|record| record.attempt),
                worker: record.map(|record| record.worker.as_str()),
                recorded_at: record.map(|record| record.recorded_at.as_str()),
                result: Measured::default(),
            };
            match material.outcomes.get(&key) {
                Some(TaskOutcome::Done(result)) => {
                    (task.status, task.result) = ("done", Measured::of(result));
                }
                Some(TaskOutcome::Failed(reason)) => {
                    let note = failures.get(&key);
                    (task.status, task.reason) = ("failed", Some(reason.as_str()));
                    task.message = note.map(|note| note.message.as_str());
                    task.attempt = note.map(|note| note.attempt);
                }
                // Readers of `status` have always found cancelled tasks among the missing ones.
                Some(TaskOutcome::Cancelled) => task.reason = Some(CANCELLED),
                None => {}
            }
            write!(into, "{between}        ")?;
            serde_json::to_writer(&mut *into, &task)?;
            between = ",\n";
        }
    }
    write!(into, "\n      ]")
}
