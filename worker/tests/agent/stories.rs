//! Leases, reports, and a coordinator that crashes and returns.

use colearn_proto::v1::{self, FailureReason, work_request, work_response};
use tonic::Status;

use crate::{
    coordinator::{Coordinator, task},
    worker::{Worker, seed, until},
};

/// A coordinator, and a worker that has offered its slot.
pub(crate) async fn pair() -> (Coordinator, Worker) {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start(coordinator.address);
    coordinator.expect_free(&[0]).await;
    (coordinator, worker)
}

#[tokio::test]
async fn a_lease_is_trained_reported_and_acknowledged() {
    let mut coordinator = Coordinator::start().await;
    let _worker = Worker::start(coordinator.address);
    let hello = coordinator.expect_hello().await;
    let [slot] = &hello.slots[..] else { panic!("{hello:?}") };
    assert_eq!((slot.index, slot.max_cohort), (0, 1));
    assert!(slot.device.starts_with("cpu x"), "{hello:?}");
    let offers = slot.offers.clone().unwrap();
    assert_eq!(offers.trainers, [i32::from(v1::TrainerKind::Networks)]);
    assert!(!offers.gpu && offers.threads >= Some(1), "{offers:?}");
    #[cfg(target_os = "linux")]
    assert!(offers.memory_bytes > Some(1 << 20), "{offers:?}");
    assert_eq!(hello.held, []);
    coordinator.expect_free(&[0]).await;
    coordinator.lease(7, seed::FINISH).await;
    let finished = coordinator.expect_finished().await;
    assert_eq!((finished.token, finished.task), (7, Some(task(seed::FINISH).into())));
    assert_eq!(finished.result.unwrap().metrics["accuracy"], 0.5);
    coordinator.acknowledge(7, seed::FINISH).await;
    coordinator.expect_free(&[0]).await;
    let heartbeat = |message| matches!(message, work_request::Message::Heartbeat(_)).then_some(());
    coordinator.expect("a heartbeat", heartbeat).await;
    let mut coordinator = coordinator.crash_and_return().await;
    assert_eq!(coordinator.expect_hello().await.held, [], "what is acknowledged is forgotten");
}

#[tokio::test]
async fn a_report_outlives_its_coordinator_until_it_is_acknowledged() {
    let (mut coordinator, worker) = pair().await;
    coordinator.lease(7, seed::WAIT).await;
    worker.expect_log("trains 1/000000000000feed/5");
    coordinator.crash();
    worker.expect_log("no connection to the coordinator");
    worker.go();
    worker.expect_log("is done");

    let held = [v1::HeldLease { token: 7, tasks: vec![task(seed::WAIT).into()] }];
    for _ in 0..2 {
        coordinator = coordinator.crash_and_return().await;
        assert_eq!(coordinator.expect_hello().await.held, held);
        let finished = coordinator.expect_finished().await;
        assert_eq!((finished.token, finished.task), (7, Some(task(seed::WAIT).into())));
    }
    coordinator.acknowledge(7, seed::WAIT).await;
    // The next lease is sent after the acknowledgement, so its report proves that the acknowledgement was read.
    coordinator.expect_free(&[0]).await;
    coordinator.lease(8, seed::FINISH).await;
    assert_eq!(coordinator.expect_finished().await.token, 8);
    let mut coordinator = coordinator.crash_and_return().await;
    let held = coordinator.expect_hello().await.held;
    assert_eq!(held.iter().map(|lease| lease.token).collect::<Vec<_>>(), [8]);
}

#[tokio::test]
async fn a_dropped_task_is_abandoned_and_the_slot_freed() {
    let (mut coordinator, worker) = pair().await;
    coordinator.lease(7, seed::TRAIN).await;
    worker.expect_log("trains for ever");
    let drop = v1::Drop { token: 7, tasks: vec![], reason: "the sweep was cancelled".to_owned() };
    coordinator.say(work_response::Message::Drop(drop)).await;
    worker.expect_log("abandons");
    coordinator.expect_free(&[0]).await;
    let mut coordinator = coordinator.crash_and_return().await;
    assert_eq!(coordinator.expect_hello().await.held, []);
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let (mut coordinator, _worker) = pair().await;
    let assignment = v1::Assignment {
        task: Some(task(seed::FINISH).into()),
        attempt: 1,
        settings_json: r#"{"dataset":"demo","colour":"red"}"#.to_owned(),
        checkpoint_every_epochs: 5,
        data_digest: String::new(),
        name: String::new(),
        keep: Vec::new(),
        kept_in: String::new(),
    };
    let lease = v1::Lease { token: 7, slot: 0, tasks: vec![assignment] };
    coordinator.say(work_response::Message::Lease(lease)).await;
    let (token, reason, message) = coordinator.expect_failure().await;
    assert_eq!((token, reason), (7, FailureReason::Settings));
    assert!(message.contains("unknown field `colour`"), "{message}");
    coordinator.expect_free(&[0]).await;
}

#[tokio::test]
async fn a_drained_worker_finishes_what_runs_and_exits() {
    let (mut coordinator, mut worker) = pair().await;
    coordinator.lease(7, seed::WAIT).await;
    worker.expect_log("trains 1/");
    coordinator.say(work_response::Message::Drain(v1::Drain { now: false })).await;
    worker.expect_log("draining");
    worker.go();
    assert_eq!(coordinator.expect_finished().await.token, 7);
    coordinator.acknowledge(7, seed::WAIT).await;
    assert_eq!(worker.expect_exit().code(), Some(0));
}

#[tokio::test]
async fn a_worker_that_is_turned_away_says_why_and_exits() {
    let why = Status::invalid_argument("version 0.0.9 is too old");
    let coordinator = Coordinator::start_refusing(why).await;
    let mut worker = Worker::start(coordinator.address);
    worker.expect_log("refused this worker: ");
    assert_eq!(worker.expect_exit().code(), Some(3));
}

#[tokio::test]
async fn checkpoints_go_when_a_result_is_durable_and_not_before() {
    let (mut coordinator, worker) = pair().await;
    let kept = worker.checkpoint(seed::BABBLE);
    coordinator.lease(7, seed::BABBLE).await;
    coordinator.expect_failure().await;
    coordinator.acknowledge(7, seed::BABBLE).await;
    coordinator.expect_free(&[0]).await;

    let finished = worker.checkpoint(seed::FINISH);
    coordinator.lease(8, seed::FINISH).await;
    coordinator.expect_finished().await;
    assert!(finished.exists(), "the result may be lost yet");
    coordinator.acknowledge(8, seed::FINISH).await;
    until("the checkpoint is gone", || !finished.exists());
    assert!(kept.exists(), "a failed task may be tried again");
}

#[tokio::test]
async fn logs_of_worker_and_trainer_reach_the_coordinator() {
    let (mut coordinator, _worker) = pair().await;
    coordinator.lease(7, seed::EXIT).await;
    let (mut of_lease, mut own) = (None, Vec::new());
    let both = |message| {
        let work_request::Message::Log(logged) = message else { return None };
        let of_trainer = logged.lines.iter().any(|line| line.source() == v1::LogSource::Trainer);
        own.extend(logged.lines.iter().map(|line| (logged.token, line.text.clone())));
        if logged.token == 7 && of_trainer {
            of_lease = Some(logged);
        }
        let failed = |(token, text): &&(u64, String)| *token == 7 && text.contains("failed: crash");
        let end = own.iter().find(failed)?.1.clone();
        of_lease.clone().map(|lines| (lines, end))
    };
    let (logged, end) = coordinator.expect("both logs", both).await;
    assert_eq!((logged.token, &logged.tasks[..]), (7, &[task(seed::EXIT).into()][..]));
    let trainers = |line: &&v1::LogLine| line.source() == v1::LogSource::Trainer;
    assert_eq!(logged.lines.iter().find(trainers).unwrap().text, "no such tensor");
    assert!(end.starts_with("WARN "), "{end}");
    let twice = |text: &str| own.iter().filter(|(_, line)| line.contains(text)).count();
    assert_eq!((twice("slot 0 trains"), twice("slot 0: no such tensor")), (1, 0), "{own:?}");
}
