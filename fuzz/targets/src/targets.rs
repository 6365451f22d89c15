//! One function for each kind of input. A function panics if an accepted input does not have the expected properties.

use std::{collections::BTreeMap, io::Write};

use colearn_core::{
    failure::Failure,
    id::{ConfigurationId, SweepId, TaskId},
    result::TaskResult,
    sweep::Sweep,
};
use colearn_data_format::Dataset;
use colearn_proto::{
    convert,
    v1::{self, get_results_response::Part},
    worker::ToWorker,
};
use colearn_trainer_protocol::checkpoint::{Checkpoint, Expected, Header, decode, encode};
use prost::Message;

/// A sweep file: it is refused with diagnostics, or is a sweep that the journal stores and reads back unchanged.
pub fn sweep_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Sweep::parse(text, "fuzz.yaml") {
        Ok(parsed) => {
            assert!(parsed.sweep.task_count() > 0, "a sweep has tasks");
            for warning in &parsed.warnings {
                assert!(!format!("{warning:?}").is_empty(), "a warning says something");
            }
        }
        Err(diagnostics) => assert!(!diagnostics.to_string().is_empty(), "a refusal says why"),
    }
}

/// A message of a worker, as the coordinator reads it.
pub fn from_worker(bytes: &[u8]) {
    let Ok(request) = v1::WorkRequest::decode(bytes) else { return };
    // Both a refusal and a valid input are correct.
    let _ = colearn_coordinator::understands(request);
}

/// A message of the coordinator to a worker, as the agent reads it.
pub fn to_worker(bytes: &[u8]) {
    let Ok(response) = v1::WorkResponse::decode(bytes) else { return };
    // Both a refusal and a valid input are correct.
    let _ = ToWorker::try_from(response);
}

/// A request to the coordinator and its answer, as far as they are converted.
pub fn sweep_service(bytes: &[u8]) {
    if let Ok(request) = v1::SubmitSweepRequest::decode(bytes) {
        sweep_file(request.source.as_bytes());
    }
    let Ok(response) = v1::GetResultsResponse::decode(bytes) else { return };
    match response.part {
        Some(Part::Result(recorded)) => {
            // Both a refusal and a valid input are correct.
            let _ = convert::task(recorded.task);
            if let Ok(result) = recorded.result.unwrap_or_default().try_into() {
                let result: TaskResult = result;
                let again = TaskResult::try_from(v1::TaskResult::from(result.clone()));
                assert_eq!(again, Ok(result), "what was accepted once is accepted again");
            }
        }
        Some(Part::Failure(failed)) => {
            // Both a refusal and a valid input are correct.
            let _ = convert::task(failed.task);
            if let Ok(failure) = Failure::try_from(failed.failure.unwrap_or_default()) {
                assert!(failure.message.len() <= Failure::MAX_MESSAGE_CHARS, "messages are bounded");
            }
        }
        Some(Part::SweepJson(_) | Part::Cancelled(_)) | None => {}
    }
}

/// A checkpoint: it is refused, or it belongs to the one expected task.
pub fn checkpoint(bytes: &[u8]) {
    if let Ok(read) = decode(bytes, &expected()) {
        let lengths: BTreeMap<String, usize> =
            read.tensors.iter().map(|(name, floats)| (name.clone(), floats.len())).collect();
        assert_eq!(lengths, expected().tensors, "exactly what was expected is read");
    }
}

/// A data set: it is refused with its name, or can be used.
///
/// # Panics
/// Also if there is no space for a temporary file.
pub fn data_set(bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("there is a folder for temporary files");
    file.write_all(bytes).expect("there is room for it");
    match Dataset::open(file.path()) {
        Ok(opened) => assert!(opened.steps() > 0, "a data set has steps"),
        Err(error) => assert!(!error.to_string().is_empty(), "a refusal says why"),
    }
}

/// The checkpoint that [`checkpoint`] expects.
#[must_use]
pub fn expected() -> Expected {
    Expected {
        task: TaskId { sweep: SweepId(26), configuration: ConfigurationId(0xfeed), seed: 3 },
        data_digest: "da".repeat(32),
        layout_digest: "1a".repeat(32),
        tensors: [("best".to_owned(), 3), ("parameters".to_owned(), 5)].into(),
    }
}

/// A valid checkpoint.
#[must_use]
pub fn a_checkpoint() -> Vec<u8> {
    let Expected { task, data_digest, layout_digest, tensors } = expected();
    encode(&Checkpoint {
        header: Header { task, attempt: 2, epoch: 7, data_digest, layout_digest },
        progress: r#"{"history": []}"#.to_owned(),
        tensors: tensors.into_iter().map(|(name, length)| (name, vec![0.5; length])).collect(),
    })
}
