//! Runs the fuzz targets with a few thousand changed inputs each, which are the same in every run.

use std::{io::Write, path::Path};

use colearn_data_format::{Description, Modality, Names, NewDataset, NewLabels, NewSplit, Task, write};
use colearn_fuzz_targets::{
    change::{Chance, changed},
    targets,
};
use colearn_proto::v1::{self, get_results_response::Part, work_request, work_response};
use prost::Message;

/// Gives a target the inputs unchanged, then this number of changed ones.
fn feed(name: &str, count: u64, inputs: &[Vec<u8>], target: fn(&[u8])) {
    inputs.iter().for_each(|input| target(input));
    for seed in 0..count {
        let input = changed(&mut Chance::new(seed), inputs);
        let outcome = std::panic::catch_unwind(|| target(&input));
        if let Err(cause) = outcome {
            eprintln!("{name}, input {seed}: {:?}", String::from_utf8_lossy(&input));
            std::panic::resume_unwind(cause);
        }
    }
    // Unlike `println`, this is not captured.
    let _ = writeln!(std::io::stderr(), "{name}: {count} changed inputs, seeds 0 to {}", count - 1);
}

fn task() -> Option<v1::TaskId> {
    Some(v1::TaskId { sweep: 26, configuration: "000000000000feed".to_owned(), seed: 3 })
}

fn record() -> v1::EpochRecord {
    v1::EpochRecord { epoch: 1, train_loss: 1.0, valid_loss: 0.5, valid_accuracy: 0.25, ..Default::default() }
}

fn result() -> v1::TaskResult {
    v1::TaskResult {
        metrics: [("accuracy".to_owned(), 0.5)].into(),
        confusion: vec![v1::ConfusionRow { counts: vec![3, 1] }, v1::ConfusionRow { counts: vec![0, 4] }],
        history: vec![record()],
        best_epoch: 1,
        seconds: 1.5,
        device: "cpu x1".to_owned(),
        classes: vec!["a".to_owned(), "b".to_owned()],
        resumed_after: vec![3],
        ..v1::TaskResult::default()
    }
}

fn failure() -> Option<v1::Failure> {
    Some(v1::Failure { reason: v1::FailureReason::Crash.into(), message: "why".to_owned() })
}

#[test]
fn sweep_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sweeps");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let inputs: Vec<_> = files.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(inputs.len() > 2);
    feed("sweep files", 3000, &inputs, targets::sweep_file);
}

#[test]
fn messages_of_workers() {
    use work_request::Message as Said;
    let held = vec![v1::HeldLease { token: 7, tasks: task().into_iter().collect() }];
    let slots = vec![v1::Slot { index: 0, device: "cpu x1".to_owned(), max_cohort: 2, ..Default::default() }];
    let hello = v1::Hello {
        worker: "w".to_owned(),
        host: "h".to_owned(),
        version: "1".to_owned(),
        slots,
        held,
        warnings: vec![],
        ..Default::default()
    };
    let line = v1::LogLine { at: 1, source: v1::LogSource::Trainer.into(), text: "a line".to_owned() };
    let messages = [
        Said::Hello(hello),
        Said::FreeSlots(v1::FreeSlots { slots: vec![0, 3] }),
        Said::Epoch(v1::EpochReport { token: 7, task: task(), record: Some(record()), epochs: 9 }),
        Said::Finished(v1::TaskFinished { token: 7, task: task(), result: Some(result()) }),
        Said::Failed(v1::TaskFailed { token: 7, task: task(), failure: failure() }),
        Said::Released(v1::LeaseReleased { token: 7 }),
        Said::Log(v1::LogLines { token: 7, tasks: task().into_iter().collect(), lines: vec![line] }),
    ];
    let inputs = messages.map(|message| v1::WorkRequest { message: Some(message) }.encode_to_vec());
    feed("messages of workers", 20_000, &inputs, targets::from_worker);
}

#[test]
fn messages_to_workers() {
    use work_response::Message as Said;
    let assignment = v1::Assignment {
        task: task(),
        attempt: 1,
        settings_json: r#"{"dataset":"demo","primary":"words","unimodal":false,"modality_dropout":{}}"#
            .to_owned(),
        checkpoint_every_epochs: 5,
        data_digest: String::new(),
        name: String::new(),
        keep: Vec::new(),
        kept_in: String::new(),
    };
    let messages = [
        Said::Welcome(v1::Welcome {
            lease_millis: 9,
            heartbeat_millis: 3,
            coordinator_version: "1".to_owned(),
            protocol: 1,
            oldest_protocol: 0,
        }),
        Said::Lease(v1::Lease { token: 7, slot: 0, tasks: vec![assignment] }),
        Said::Acknowledged(v1::Acknowledged { token: 7, task: task() }),
        Said::Drop(v1::Drop { token: 7, tasks: task().into_iter().collect(), reason: "late".to_owned() }),
        Said::Drain(v1::Drain { now: true }),
    ];
    let inputs = messages.map(|message| v1::WorkResponse { message: Some(message) }.encode_to_vec());
    feed("messages to workers", 20_000, &inputs, targets::to_worker);
}

#[test]
fn messages_of_people_and_to_them() {
    let recorded =
        v1::RecordedResult { task: task(), attempt: 1, result: Some(result()), ..Default::default() };
    let failed =
        v1::TaskFailure { task: task(), attempt: 3, failure: failure(), r#final: true, name: String::new() };
    let source =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sweeps/demo.yaml"));
    let submit = v1::SubmitSweepRequest {
        source: source.unwrap(),
        origin: "demo.yaml".to_owned(),
        ..Default::default()
    };
    let inputs = [
        v1::GetResultsResponse { part: Some(Part::Result(recorded)) }.encode_to_vec(),
        v1::GetResultsResponse { part: Some(Part::Failure(failed)) }.encode_to_vec(),
        submit.encode_to_vec(),
    ];
    feed("messages of people", 5000, &inputs, targets::sweep_service);
}

#[test]
fn checkpoints() {
    feed("checkpoints", 10_000, &[targets::a_checkpoint()], targets::checkpoint);
}

#[test]
fn data_sets() {
    let split = || NewSplit { features: vec![vec![0.5; 6]], labels: NewLabels::Classes(vec![0, 1]) };
    let small = NewDataset {
        modalities: vec![Modality { name: "words".to_owned(), dim: 3 }],
        steps: 1,
        task: Task::Classification { classes: vec!["a".to_owned(), "b".to_owned()] },
        description: Description {
            source: String::new(),
            licence: String::new(),
            preparation: String::new(),
        },
        names: Names::default(),
        train: split(),
        valid: split(),
        test: split(),
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    write(&path, &small).unwrap();
    let small = std::fs::read(&path).unwrap();
    feed("data sets", 2000, &[small], targets::data_set);
}
