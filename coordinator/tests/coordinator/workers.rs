//! A scripted worker against the real coordinator, over gRPC.

use std::time::Duration;

use colearn_core::settings::TaskSettings;
use colearn_proto::v1::{self, SweepState, get_results_response::Part, work_request};
use tonic::Code;

use crate::support::{self, Person, ScriptedWorker, config, held, small_sweep, start, start_with, tasks};

#[tokio::test]
async fn a_sweep_is_trained_from_submission_to_results() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    let sweep = small_sweep("first", 2, 1);
    let submitted = person.submit(&sweep).await;
    assert!(submitted.created);
    assert_eq!(submitted.warnings, ["sweeps/test.yaml: a warning"]);

    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[4], vec![]).await;
    assert!(worker.welcome.heartbeat_millis * 2 <= worker.welcome.lease_millis);
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    assert_eq!((lease.slot, lease.tasks.len()), (0, 2));
    assert_eq!(lease.tasks[0].attempt, 1);
    assert_eq!(lease.tasks[1].checkpoint_every_epochs, sweep.checkpoint.every_epochs);
    let settings: TaskSettings = serde_json::from_str(&lease.tasks[0].settings_json).unwrap();
    assert_eq!(settings, *sweep.configurations[0].settings);

    let [one, two] = tasks(&lease).try_into().unwrap();
    worker.epoch(lease.token, &one, 4).await;
    worker.finish(lease.token, &two, 0.75).await;
    assert_eq!(worker.acknowledged().await, v1::Acknowledged { token: lease.token, task: Some(two.clone()) });
    let summary = person.get("first").await.sweep.unwrap();
    assert_eq!((summary.running_epochs_done, summary.running_epochs_total), (4, 10));
    assert_eq!((summary.workers, summary.slots), (1, 1));

    worker.fail(lease.token, &one, v1::FailureReason::Diverged).await;
    worker.acknowledged().await;
    let seen = person.get("first").await;
    assert_eq!(seen.sweep.unwrap().state(), SweepState::Failed);
    assert_eq!(seen.failures.len(), 1);
    assert!(seen.failures[0].r#final);
    let done: Vec<u64> = seen.configurations.iter().map(|c| c.tasks.unwrap().done).collect();
    assert_eq!(done, [0, 1]);

    let parts = person.results("first").await;
    let [Part::SweepJson(json), Part::Failure(failure), Part::Result(result)] = parts.as_slice() else {
        panic!("the sweep, then tasks in the order of the grid, not {parts:?}");
    };
    assert_eq!(serde_json::from_str::<colearn_core::sweep::Sweep>(json).unwrap(), sweep);
    assert_eq!(failure.task, Some(one));
    assert_eq!((result.task.clone(), result.attempt, result.worker.as_str()), (Some(two), 1, "w"));
    assert_eq!(result.result.as_ref().unwrap().metrics["accuracy"], 0.75);
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_worker_keeps_its_lease_over_a_restart_of_the_coordinator() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    Person::at(&coordinator).await.submit(&small_sweep("first", 2, 1)).await;
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[4], vec![]).await;
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    let [one, two] = tasks(&lease).try_into().unwrap();
    worker.finish(lease.token, &one, 0.5).await;
    worker.acknowledged().await;
    coordinator.stop().await.unwrap();
    assert_eq!(worker.next().await, None, "the stream ends");

    let coordinator = start(folder.path()).await;
    // The acknowledgement of the first may have been lost, from the worker's point of view.
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[4], vec![held(&lease)]).await;
    assert_eq!(worker.acknowledged().await.task, Some(one.clone()));
    worker.finish(lease.token, &two, 0.25).await;
    assert_eq!(worker.acknowledged().await.task, Some(two));
    worker.finish(lease.token, &one, 0.9).await;
    worker.acknowledged().await;

    let mut person = Person::at(&coordinator).await;
    assert_eq!(person.get("first").await.sweep.unwrap().state(), SweepState::Complete);
    let parts = person.results("first").await;
    let accuracies: Vec<f64> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Result(result) => Some(result.result.as_ref()?.metrics["accuracy"]),
            _ => None,
        })
        .collect();
    assert_eq!(accuracies, [0.5, 0.25], "the first report counts, the repeated one does not");
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_report_under_an_older_lease_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.lease = Duration::from_secs(3);
    config.heartbeat = Duration::from_secs(1);
    let coordinator = start_with(config).await.unwrap();
    let mut person = Person::at(&coordinator).await;
    person.submit(&small_sweep("first", 1, 1)).await;
    let mut silent = ScriptedWorker::connect(&coordinator, "silent", &[1], vec![]).await;
    silent.offer(&[0]).await;
    let old = silent.lease().await;
    let [task] = tasks(&old).try_into().unwrap();
    let dropped = silent.dropped().await;
    assert_eq!((dropped.token, dropped.tasks), (old.token, vec![]), "it was silent for too long");

    let mut other = ScriptedWorker::connect(&coordinator, "other", &[1], vec![]).await;
    other.offer(&[0]).await;
    let new = other.lease().await;
    assert!(new.token > old.token);
    assert_eq!(new.tasks[0].attempt, 2);
    silent.finish(old.token, &task, 0.1).await;
    assert_eq!(silent.dropped().await.tasks, std::slice::from_ref(&task));
    other.finish(new.token, &task, 0.2).await;
    other.acknowledged().await;
    let parts = person.results("first").await;
    let [_, Part::Result(result)] = parts.as_slice() else { panic!("one result, not {parts:?}") };
    assert_eq!((result.worker.as_str(), result.attempt), ("other", 2));
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn cancelling_reaches_the_worker() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    person.submit(&small_sweep("first", 3, 1)).await;
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[1], vec![]).await;
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    let summary = person.cancel("first").await;
    assert_eq!(summary.state(), SweepState::Cancelled);
    assert_eq!(summary.tasks.unwrap().cancelled, 3);
    let dropped = worker.dropped().await;
    assert_eq!(dropped.token, lease.token);
    assert!(dropped.reason.contains("cancelled"), "{}", dropped.reason);
    let [task] = tasks(&lease).try_into().unwrap();
    worker.finish(lease.token, &task, 0.5).await;
    assert_eq!(worker.dropped().await.tasks, [task]);
    let parts = person.results("first").await;
    let [_, Part::Cancelled(cancelled)] = parts.as_slice() else { panic!("no result, not {parts:?}") };
    assert_eq!(cancelled.tasks.len(), 3);
    assert_eq!(person.cancel("first").await.state(), SweepState::Cancelled, "twice is once");
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_single_task_is_cancelled_and_the_sweep_goes_on_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    person.submit(&small_sweep("first", 2, 2)).await;
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[2], vec![]).await;
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    let [one, two] = tasks(&lease).try_into().unwrap();
    let named =
        |task: &v1::TaskId| v1::TaskReference { configuration: task.configuration.clone(), seed: task.seed };
    let name = || "first".to_owned();
    let cancel = v1::CancelTasksRequest { name: name(), tasks: vec![named(&one)], ..Default::default() };
    let answer = person.0.cancel_tasks(cancel.clone()).await.unwrap().into_inner();
    assert_eq!((answer.cancelled, answer.cancelled_before), (1, 0));
    assert_eq!(answer.sweep.unwrap().state(), SweepState::Active);
    let dropped = worker.dropped().await;
    assert_eq!((dropped.token, dropped.tasks), (lease.token, vec![one.clone()]));
    worker.finish(lease.token, &one, 0.5).await;
    assert_eq!(worker.dropped().await.tasks, std::slice::from_ref(&one), "a late result is refused");
    worker.finish(lease.token, &two, 0.5).await;
    worker.acknowledged().await;
    let answer = person.0.cancel_tasks(cancel).await.unwrap().into_inner();
    assert_eq!((answer.cancelled, answer.cancelled_before), (0, 1), "twice is once");
    let done = v1::CancelTasksRequest { name: name(), tasks: vec![named(&two)], ..Default::default() };
    assert_eq!(person.0.cancel_tasks(done).await.unwrap().into_inner().done, 1);

    let of = |configurations: &[&str], seeds: &[u64]| v1::CancelTasksRequest {
        name: name(),
        configurations: configurations.iter().map(|&id| id.to_owned()).collect(),
        seeds: seeds.to_vec(),
        ..Default::default()
    };
    for (wrong, code) in [
        (of(&[], &[]), Code::InvalidArgument),
        (of(&["x"], &[]), Code::InvalidArgument),
        (of(&["00000000000000ff"], &[]), Code::NotFound),
        (of(&[], &[9]), Code::NotFound),
        (v1::CancelTasksRequest { tasks: vec![named(&one)], ..of(&[], &[0]) }, Code::InvalidArgument),
        (v1::CancelTasksRequest { name: "none".to_owned(), ..of(&[], &[0]) }, Code::NotFound),
    ] {
        assert_eq!(person.0.cancel_tasks(wrong.clone()).await.unwrap_err().code(), code, "{wrong:?}");
    }
    assert_eq!(person.tasks("first").await.cancelled, 1, "what is refused changes nothing");

    coordinator.stop().await.unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    let answer = person.0.cancel_tasks(of(&[&two.configuration], &[1])).await.unwrap().into_inner();
    assert_eq!(answer.cancelled, 1);
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[2], vec![]).await;
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    let [last] = tasks(&lease).try_into().unwrap();
    assert_eq!((&last.configuration, last.seed), (&one.configuration, 1));
    worker.finish(lease.token, &last, 0.5).await;
    worker.acknowledged().await;
    let summary = person.get("first").await.sweep.unwrap();
    assert_eq!((summary.state(), summary.tasks.unwrap().done), (SweepState::Cancelled, 2));
    let parts = person.results("first").await;
    let Some(Part::Cancelled(cancelled)) = parts.last() else { panic!("they come last: {parts:?}") };
    assert_eq!(cancelled.tasks, [named(&one), v1::TaskReference { seed: 1, ..named(&two) }]);
    let retry = v1::RetrySweepRequest { name: name(), tasks: vec![named(&one)], ..Default::default() };
    assert_eq!(person.0.retry_sweep(retry).await.unwrap().into_inner().retried, 1);
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_lost_grant_is_noticed_when_the_worker_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    person.submit(&small_sweep("first", 1, 1)).await;
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[1], vec![]).await;
    worker.offer(&[0]).await;
    let lost = worker.lease().await;
    let mut again = ScriptedWorker::connect(&coordinator, "w", &[1], vec![]).await;
    assert_eq!(worker.next().await, None, "the older stream is closed");
    assert_eq!(again.dropped().await.token, lost.token);
    again.offer(&[0]).await;
    let lease = again.lease().await;
    assert_eq!(lease.tasks[0].attempt, 1, "nobody has tried");
    assert!(lease.token > lost.token);
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_result_that_is_no_number_is_a_failed_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    person.submit(&small_sweep("first", 1, 1)).await;
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[1], vec![]).await;
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    worker.finish(lease.token, &tasks(&lease)[0], f64::NAN).await;
    worker.acknowledged().await;
    let failures = person.get("first").await.failures;
    assert_eq!(failures[0].failure.as_ref().unwrap().reason(), v1::FailureReason::Diverged);
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_released_lease_is_granted_again_with_the_same_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    Person::at(&coordinator).await.submit(&small_sweep("first", 1, 1)).await;
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[1], vec![]).await;
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    worker.say(work_request::Message::Released(v1::LeaseReleased { token: lease.token })).await;
    let answer = worker.dropped().await;
    assert_eq!((answer.token, &answer.reason[..]), (lease.token, "the lease was returned"));
    worker.offer(&[0]).await;
    let again = worker.lease().await;
    assert_eq!(again.tasks[0].attempt, 1);
    assert!(again.token > lease.token);
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_stream_that_does_not_begin_with_a_proper_hello_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let nameless = work_request::Message::Hello(v1::Hello::default());
    for first in [work_request::Message::Heartbeat(v1::Heartbeat {}), nameless] {
        let Err(status) = ScriptedWorker::open(&coordinator, first).await else { panic!("it is refused") };
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[1], vec![]).await;
    let nonsense = v1::TaskFinished { token: 1, task: None, result: None };
    worker.say(work_request::Message::Finished(nonsense)).await;
    assert_eq!(worker.end().await.unwrap_err().code(), Code::InvalidArgument);
    let mut worker = ScriptedWorker::connect(&coordinator, "v", &[1], vec![]).await;
    worker.say(work_request::Message::Hello(v1::Hello::default())).await;
    let refused = worker.end().await.unwrap_err();
    assert_eq!(refused.message(), "unexpected `hello`: a stream has one, at its beginning");
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_odd_about_a_worker_is_told_with_it_within_limits() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    // The thousandth byte and the next twenty-four are of two-byte letters; the limit cuts one of them in half.
    let long = format!("{}{}", "x".repeat(1001), "é".repeat(100));
    let mut warnings = vec!["no \u{1b}[31mGPU".to_owned(), long];
    warnings.resize(100, "more".to_owned());
    let offers = v1::Offers {
        trainers: vec![v1::TrainerKind::Programs.into()],
        gpu: true,
        memory_bytes: Some(8_000_000_000),
        threads: Some(2),
    };
    let slot = v1::Slot { index: 3, offers: Some(offers.clone()), ..v1::Slot::default() };
    let labels = vec!["b\u{1b}ig".to_owned()];
    let hello =
        v1::Hello { worker: "w".to_owned(), warnings, slots: vec![slot], labels, ..v1::Hello::default() };
    let _worker = ScriptedWorker::open(&coordinator, work_request::Message::Hello(hello)).await.unwrap();
    let mut person = Person::at(&coordinator).await;
    let listed = person.0.list_workers(v1::ListWorkersRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.workers[0].slots[0].offers, Some(offers));
    assert_eq!(listed.workers[0].labels, ["big"]);
    let told = &listed.workers[0].warnings;
    assert_eq!(told.len(), 8);
    assert_eq!(told[0], "no [31mGPU");
    assert_eq!(told[1], format!("{}{}", "x".repeat(1001), "é".repeat(11)));
    coordinator.stop().await.unwrap();
}

/// The curves of the running tasks of a sweep, as (epoch, names) of each.
async fn running_curves(person: &mut Person, name: &str) -> Vec<(u32, Vec<(u32, Vec<String>)>)> {
    let request = v1::GetRunningCurvesRequest { name: name.to_owned(), configurations: Vec::new() };
    let mut parts = person.0.get_running_curves(request).await.expect("an answer").into_inner();
    let mut found = Vec::new();
    while let Some(part) = parts.message().await.expect("a part") {
        let epoch = |record: v1::EpochRecord| {
            let mut names: Vec<String> = record.values.into_keys().collect();
            names.sort();
            (record.epoch, names)
        };
        found.push((part.attempt, part.history.into_iter().map(epoch).collect()));
    }
    found
}

#[tokio::test]
async fn reported_epochs_are_the_curves_of_running_tasks() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    person.submit(&small_sweep("first", 1, 2)).await;
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[2], vec![]).await;
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    let [one, two] = [0, 1].map(|at: usize| tasks(&lease)[at].clone());
    // As workers of the first versions report them.
    worker.epoch(lease.token, &one, 1).await;
    // Names are not trusted: neither what they hold nor how many there are.
    let report = |epoch: u32, names: Vec<String>| {
        let values = names.into_iter().map(|name| (name, 1.0)).collect();
        let record = v1::EpochRecord { epoch, values, ..Default::default() };
        let (task, record) = (Some(two.clone()), Some(record));
        work_request::Message::Epoch(v1::EpochReport { token: lease.token, task, record, epochs: 10 })
    };
    worker.say(report(1, vec!["loss\u{1b}[2J".to_owned(), "x".repeat(5000), "epoch".to_owned()])).await;
    worker.say(report(2, (0..20).map(|name| format!("{name:02}")).collect())).await;
    worker.say(report(3, (0..1000).map(|name| name.to_string()).collect())).await;
    worker.heartbeat().await;
    // A question is answered after what was said before it.
    let network = ["train_loss", "valid_accuracy", "valid_loss"].map(str::to_owned).to_vec();
    let mut of_two: Vec<(u32, Vec<String>)> = vec![(1, vec!["loss[2J".to_owned()])];
    of_two.push((2, (0..15).map(|name| format!("{name:02}")).collect()));
    let expected = vec![(1, vec![(1, network)]), (1, of_two)];
    let end = std::time::Instant::now() + support::SOON;
    while running_curves(&mut person, "first").await != expected {
        assert!(std::time::Instant::now() < end, "{:?}", running_curves(&mut person, "first").await);
    }
    worker.finish(lease.token, &one, 0.5).await;
    worker.acknowledged().await;
    assert_eq!(running_curves(&mut person, "first").await, expected[1..]);
    person.cancel("first").await;
    assert_eq!(running_curves(&mut person, "first").await, []);
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn what_a_host_does_is_known_while_its_worker_says_it() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    let old = ScriptedWorker::connect(&coordinator, "old", &[1], vec![]).await;
    let new = ScriptedWorker::connect(&coordinator, "new", &[1], vec![]).await;
    let usage = v1::Usage { processors: Some(2000), busy: Some(9000), ..Default::default() };
    new.say(work_request::Message::Usage(usage)).await;
    let mut listed = async || {
        let workers = person.0.list_workers(v1::ListWorkersRequest::default()).await.unwrap();
        let workers = workers.into_inner().workers.into_iter();
        workers.map(|it| (it.worker, it.usage.map(|usage| usage.busy))).collect::<Vec<_>>()
    };
    let end = std::time::Instant::now() + support::SOON;
    let expected = [("new".to_owned(), Some(Some(2000))), ("old".to_owned(), None)];
    while listed().await != expected {
        assert!(std::time::Instant::now() < end, "{:?}", listed().await);
    }
    drop(new);
    while listed().await.iter().any(|(_, usage)| usage.is_some()) {
        assert!(std::time::Instant::now() < end, "{:?}", listed().await);
    }
    drop(old);
    coordinator.stop().await.unwrap();
}
