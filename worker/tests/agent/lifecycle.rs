//! Trainers and agents that crash, and those that are asked to stop.

use std::time::{Duration, Instant};

use colearn_proto::v1::{self, FailureReason, work_response};
use nix::sys::signal::{Signal, kill};

use crate::{
    coordinator::Coordinator,
    stories::pair,
    worker::{Worker, seed, until},
};

#[tokio::test]
async fn a_killed_trainer_fails_its_task_and_is_replaced() {
    let (mut coordinator, worker) = pair().await;
    coordinator.lease(7, seed::TRAIN).await;
    worker.expect_log("trains for ever");
    kill(worker.trainers()[0], Signal::SIGKILL).unwrap();
    let (token, reason, message) = coordinator.expect_failure().await;
    assert_eq!((token, reason), (7, FailureReason::Crash));
    assert_eq!(message, "trainer was killed by signal 9: trains for ever");
    coordinator.expect_free(&[0]).await;
    coordinator.lease(8, seed::FINISH).await;
    assert_eq!(coordinator.expect_finished().await.token, 8);
    assert_eq!(worker.trainers().len(), 2);
}

#[tokio::test]
async fn the_last_words_of_a_trainer_explain_its_end() {
    let (mut coordinator, _worker) = pair().await;
    coordinator.lease(7, seed::EXIT).await;
    let (_, reason, message) = coordinator.expect_failure().await;
    assert_eq!(reason, FailureReason::Crash);
    assert_eq!(message, "trainer exited with code 3: no such tensor");
}

#[tokio::test]
async fn a_trainer_that_babbles_is_killed_and_replaced() {
    let (mut coordinator, worker) = pair().await;
    coordinator.lease(7, seed::BABBLE).await;
    let (token, reason, message) = coordinator.expect_failure().await;
    assert_eq!((token, reason), (7, FailureReason::Crash));
    assert!(message.starts_with("trainer violated the protocol: "), "{message}");
    assert!(message.contains("I am not JSON"), "{message}");
    coordinator.expect_free(&[0]).await;
    assert_eq!(worker.trainers().len(), 2);
    until("the first trainer is gone", || is_gone(worker.trainers()[0]));
}

#[tokio::test]
async fn a_worker_whose_trainers_do_not_start_gives_up() {
    let coordinator = Coordinator::start().await;
    let mut worker = Worker::start_with(coordinator.address, "echo 'no libtorch' >&2; exit 3");
    worker.expect_log("slot 0 is withdrawn");
    worker.expect_log("error: no slot is usable");
    assert_eq!(worker.expect_exit().code(), Some(4));
}

/// Slurm jobs have such variables in their environment: each trainer would bind itself to the same core.
#[tokio::test]
async fn trainers_are_not_bound_to_cores_by_the_environment() {
    let coordinator = Coordinator::start().await;
    let said = r#"echo "bound by [$OMP_PROC_BIND$OMP_PLACES$GOMP_CPU_AFFINITY$KMP_AFFINITY], $OMP_NUM_THREADS thread" >&2; exit 3"#;
    let environment = [
        ("OMP_PROC_BIND", "true"),
        ("OMP_PLACES", "cores"),
        ("GOMP_CPU_AFFINITY", "0-1"),
        ("KMP_AFFINITY", "compact"),
        ("OMP_NUM_THREADS", "64"),
        ("COLEARN_THREADS", "1"),
    ];
    let worker = Worker::start_in(coordinator.address, said, &environment);
    worker.expect_log("bound by [], 1 thread");
}

#[tokio::test]
async fn a_first_signal_parks_and_gives_leases_back() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (mut coordinator, mut worker) = pair().await;
        coordinator.lease(7, seed::TRAIN).await;
        worker.expect_log("trains for ever");
        worker.signal(signal);
        worker.expect_log("is parked");
        coordinator.expect_released(7).await;
        assert_eq!(worker.expect_exit().code(), Some(0));
        until("the trainer is gone", || is_gone(worker.trainers()[0]));
    }
}

#[tokio::test]
async fn an_epoch_is_not_waited_for_longer_than_the_grace() {
    let mut coordinator = Coordinator::start().await;
    let mut worker = Worker::start_so(coordinator.address, &[("COLEARN_GRACE", "1")]);
    coordinator.expect_free(&[0]).await;
    coordinator.lease(7, seed::DEAF).await;
    worker.expect_log("hears nothing");
    coordinator.say(work_response::Message::Drain(v1::Drain { now: true })).await;
    worker.expect_log("its epoch takes too long");
    coordinator.expect_released(7).await;
    assert_eq!(worker.expect_exit().code(), Some(0));
    until("the trainer is gone", || is_gone(worker.trainers()[0]));
}

#[tokio::test]
async fn a_worker_leaves_before_its_time_is_up() {
    let mut coordinator = Coordinator::start().await;
    let limits = [("COLEARN_GRACE", "0"), ("COLEARN_TIME_LIMIT", "12s")];
    let mut worker = Worker::start_so(coordinator.address, &limits);
    coordinator.expect_free(&[0]).await;
    coordinator.lease(7, seed::DEAF).await;
    coordinator.expect_released(7).await;
    assert_eq!(worker.expect_exit().code(), Some(0));
}

/// The test waits up to sixty seconds; the agent waits five.
#[tokio::test]
async fn a_cancelled_task_stops_also_in_the_middle_of_a_long_epoch() {
    let (mut coordinator, worker) = pair().await;
    coordinator.lease(7, seed::DEAF).await;
    worker.expect_log("hears nothing");
    let dropped = std::time::Instant::now();
    let drop = v1::Drop { token: 7, tasks: vec![], reason: "the sweep was cancelled".to_owned() };
    coordinator.say(work_response::Message::Drop(drop)).await;
    coordinator.expect_free(&[0]).await;
    assert!(dropped.elapsed() < std::time::Duration::from_secs(30), "{:?}", dropped.elapsed());
    assert_eq!(worker.trainers().len(), 2);
    until("the first trainer is gone", || is_gone(worker.trainers()[0]));
}

#[tokio::test]
async fn a_trainer_that_is_busy_without_progress_hangs() {
    let mut coordinator = Coordinator::start().await;
    let worker = Worker::start_so(coordinator.address, &[("COLEARN_TRAINER_TIMEOUT", "1")]);
    coordinator.expect_free(&[0]).await;
    // The trainer neither sends events nor sleeps.
    coordinator.lease(7, seed::BUSY).await;
    let (token, reason, message) = coordinator.expect_failure().await;
    assert_eq!((token, reason), (7, FailureReason::Hang));
    assert!(message.starts_with("trainer sent nothing for "), "{message}");
    coordinator.expect_free(&[0]).await;
    until("the first trainer is gone", || is_gone(worker.trainers()[0]));
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_acknowledgements() {
    let (mut coordinator, mut worker) = pair().await;
    coordinator.lease(7, seed::FINISH).await;
    coordinator.expect_finished().await;
    let began = Instant::now();
    worker.signal(Signal::SIGTERM);
    worker.expect_log("stopping");
    // Signals within the first two seconds count as one.
    let status = worker.signal_until_exit(Signal::SIGTERM);
    assert_eq!(status.code(), Some(5));
    assert!(began.elapsed() > Duration::from_millis(1500), "{:?}", began.elapsed());
}

/// Slurm's preemption sends two signals, 28 ms apart.
#[tokio::test]
async fn two_signals_at_once_are_one() {
    let (mut coordinator, mut worker) = pair().await;
    coordinator.lease(7, seed::TRAIN).await;
    worker.expect_log("trains for ever");
    worker.signal(Signal::SIGTERM);
    worker.expect_log("stopping");
    worker.signal(Signal::SIGTERM);
    worker.expect_log("is parked");
    coordinator.expect_released(7).await;
    assert_eq!(worker.expect_exit().code(), Some(0));
}

#[tokio::test]
async fn a_trainer_does_not_outlive_its_agent() {
    let (coordinator, mut worker) = pair().await;
    coordinator.lease(7, seed::TRAIN).await;
    worker.expect_log("trains for ever");
    let trainer = worker.trainers()[0];
    assert!(!is_gone(trainer));
    worker.signal(Signal::SIGKILL);
    worker.expect_exit();
    until("the trainer is gone", || is_gone(trainer));
}

/// Whether a process has ended. Until somebody waits for it, it is listed as a zombie.
pub(crate) fn is_gone(process: nix::unistd::Pid) -> bool {
    let status = std::process::Command::new("ps").args(["-o", "stat=", "-p", &process.to_string()]).output();
    let status = status.expect("ps lists processes").stdout;
    status.is_empty() || status.starts_with(b"Z")
}
