//! Workers that send unusual messages, and their effects.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use colearn_coordinator::RunningCoordinator;
use colearn_proto::v1::{self, get_results_response::Part, work_request};

use crate::support::{Person, ScriptedWorker, a_sweep_is_trained, result, small_sweep, start, tasks};

fn released(token: u64) -> work_request::Message {
    work_request::Message::Released(v1::LeaseReleased { token })
}

#[tokio::test]
async fn a_worker_that_gives_back_whatever_it_gets_is_slowed_down() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    Person::at(&coordinator).await.submit(&small_sweep("first", 1, 1)).await;
    let began = Instant::now();
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[1], vec![]).await;
    // Unknown leases count too, and cost the test no time.
    for _ in 0..1024 {
        worker.say(released(999_999)).await;
    }
    worker.offer(&[0]).await;
    let mut lease = worker.lease().await;
    for _ in 0..2 {
        worker.say(released(lease.token)).await;
        worker.offer(&[0]).await;
        assert_eq!(worker.dropped().await.token, lease.token);
        lease = worker.lease().await;
    }
    assert!(began.elapsed() > Duration::from_millis(1900), "{:?}", began.elapsed());
    assert_eq!(lease.tasks[0].attempt, 1, "and loses nothing by it");
    coordinator.stop().await.unwrap();
}

/// A coordinator, a person, and a worker with a lease of this number of tasks of the sweep `first`.
async fn leased(folder: &Path, count: u64) -> (RunningCoordinator, Person, ScriptedWorker, v1::Lease) {
    let coordinator = start(folder).await;
    let mut person = Person::at(&coordinator).await;
    person.submit(&small_sweep("first", count, 1)).await;
    let mut worker = ScriptedWorker::connect(&coordinator, "holder", &[100], vec![]).await;
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    assert_eq!(lease.tasks.len() as u64, count);
    (coordinator, person, worker, lease)
}

#[tokio::test]
async fn results_with_anything_that_is_no_number_are_failed_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let history = |train_loss, valid_loss, valid_accuracy| v1::TaskResult {
        history: vec![v1::EpochRecord {
            epoch: 1,
            train_loss,
            valid_loss,
            valid_accuracy,
            ..Default::default()
        }],
        ..result(0.5)
    };
    let strange = [
        result(f64::NAN),
        result(f64::NEG_INFINITY),
        history(f64::NAN, 1.0, 1.0),
        history(1.0, f64::INFINITY, 1.0),
        history(1.0, 1.0, f64::NAN),
        v1::TaskResult { seconds: f64::NAN, ..result(0.5) },
    ];
    let (coordinator, mut person, mut worker, lease) = leased(folder.path(), strange.len() as u64).await;
    for (task, result) in tasks(&lease).iter().zip(strange) {
        worker.finish_with(lease.token, task, result).await;
        worker.acknowledged().await;
    }
    let counts = person.tasks("first").await;
    assert_eq!((counts.failed, counts.done), (6, 0));
    for failed in person.get("first").await.failures {
        assert_eq!(failed.failure.unwrap().reason(), v1::FailureReason::Diverged);
    }
    // Data that cannot be read again would prevent the next coordinator from reading the results.
    assert_eq!(person.results("first").await.len(), 7);
    a_sweep_is_trained(&coordinator, "second").await;
    coordinator.stop().await.unwrap();
}

/// Sets a terminal's title, clears it, and rings its bell.
const ESCAPES: &str = "\u{1b}]0;mine\u{7}\u{1b}[2J\u{9b}1m\r";
/// The rest after control characters are removed.
const HARMLESS: &str = "]0;mine[2J1m";

#[tokio::test]
async fn names_in_results_do_not_play_with_terminals() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, mut person, mut worker, lease) = leased(folder.path(), 1).await;
    let escapes = || ESCAPES.to_owned();
    let strange = v1::TaskResult {
        metrics: [(escapes(), 0.5)].into(),
        device: escapes(),
        classes: vec![escapes()],
        data_digest: escapes(),
        weights_digest: escapes(),
        commit: escapes(),
        environment: [(escapes(), escapes())].into(),
        history: vec![v1::EpochRecord { epoch: 1, values: [(escapes(), 0.5)].into(), ..Default::default() }],
        ..result(0.5)
    };
    worker.finish_with(lease.token, &tasks(&lease)[0], strange).await;
    worker.acknowledged().await;
    let parts = person.results("first").await;
    let Some(Part::Result(recorded)) = parts.into_iter().nth(1) else { panic!("it is recorded") };
    let kept = recorded.result.unwrap();
    assert_eq!(kept.metrics, [(HARMLESS.to_owned(), 0.5)].into());
    let names = [&kept.device, &kept.classes[0], &kept.data_digest, &kept.weights_digest, &kept.commit];
    assert_eq!(names, [HARMLESS; 5]);
    assert_eq!(kept.environment, [(HARMLESS.to_owned(), HARMLESS.to_owned())].into());
    assert_eq!(kept.history[0].values, [(HARMLESS.to_owned(), 0.5)].into());
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn failures_do_not_play_with_terminals_and_are_not_endless() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, mut person, mut worker, lease) = leased(folder.path(), 3).await;
    let [one, two, three] = tasks(&lease).try_into().unwrap();
    let told = format!("{ESCAPES}\n\tat line 3");
    worker.fail_with(lease.token, &one, v1::FailureReason::Data, &told).await;
    worker.fail_with(lease.token, &two, v1::FailureReason::Data, &"x".repeat(1 << 20)).await;
    let strange = v1::TaskResult { metrics: [(ESCAPES.to_owned(), f64::NAN)].into(), ..result(0.5) };
    worker.finish_with(lease.token, &three, strange).await;
    for _ in 0..3 {
        worker.acknowledged().await;
    }
    // The newest failure comes first.
    let failures = person.get("first").await.failures.into_iter().rev();
    let messages: Vec<String> = failures.map(|failed| failed.failure.unwrap().message).collect();
    assert_eq!(messages[0], format!("{HARMLESS}\n\tat line 3"), "lines stay");
    assert_eq!(messages[1], "x".repeat(4096));
    assert!(messages[2].contains(&format!("`{HARMLESS}`")), "{}", messages[2]);
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn names_that_are_too_long_are_failed_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let long = || "x".repeat(1 << 20);
    let strange = [
        v1::TaskResult { metrics: [(long(), 0.5)].into(), ..result(0.5) },
        v1::TaskResult { device: long(), ..result(0.5) },
        v1::TaskResult { classes: vec![long()], ..result(0.5) },
        v1::TaskResult { data_digest: long(), ..result(0.5) },
        v1::TaskResult { weights_digest: long(), ..result(0.5) },
    ];
    let (coordinator, mut person, mut worker, lease) = leased(folder.path(), strange.len() as u64).await;
    for (task, result) in tasks(&lease).iter().zip(strange) {
        worker.finish_with(lease.token, task, result).await;
        worker.acknowledged().await;
    }
    let failures = person.get("first").await.failures;
    assert_eq!(failures.len(), 5);
    for failed in failures {
        let message = failed.failure.unwrap().message;
        assert!(message.starts_with("its result is not acceptable: ") && message.len() < 200, "{message}");
    }
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn nobody_reports_under_the_lease_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, mut person, mut holder, lease) = leased(folder.path(), 1).await;
    let task = &tasks(&lease)[0];
    let mut other = ScriptedWorker::connect(&coordinator, "other", &[1], vec![]).await;
    other.epoch(lease.token, task, 9).await;
    assert_eq!(other.dropped().await.token, lease.token);
    other.say(released(lease.token)).await;
    assert_eq!(other.dropped().await.token, lease.token);
    other.fail(lease.token, task, v1::FailureReason::Data).await;
    assert_eq!(other.dropped().await.token, lease.token);
    let sweep = person.get("first").await.sweep.unwrap();
    assert_eq!((sweep.tasks.unwrap().running, sweep.running_epochs_done), (1, 0), "nothing was believed");
    holder.finish(lease.token, task, 0.5).await;
    assert_eq!(holder.acknowledged().await.token, lease.token);
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_said_under_a_stale_token_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (coordinator, mut person, mut worker, stale) = leased(folder.path(), 1).await;
    worker.say(released(stale.token)).await;
    worker.dropped().await;
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    let task = &tasks(&lease)[0];
    worker.say(released(stale.token)).await;
    worker.fail(stale.token, task, v1::FailureReason::Data).await;
    assert_eq!(worker.dropped().await.token, stale.token);
    worker.epoch(stale.token, task, 9).await;
    assert_eq!(worker.dropped().await.token, stale.token);
    worker.epoch(lease.token, task, 2).await;
    worker.fail(stale.token, task, v1::FailureReason::Data).await;
    assert_eq!(worker.dropped().await.token, stale.token, "all before it was heard");
    let sweep = person.get("first").await.sweep.unwrap();
    assert_eq!((sweep.tasks.unwrap().running, sweep.running_epochs_done), (1, 2));
    worker.finish(lease.token, task, 0.5).await;
    assert_eq!(worker.acknowledged().await.token, lease.token);
    coordinator.stop().await.unwrap();
}
