//! Slots that also run programs, with a script in the place of the part that runs them.

use std::time::{Duration, Instant};

use colearn_proto::v1::{self, FailureReason, work_response};
use nix::sys::signal::Signal;

use crate::{
    coordinator::{Coordinator, PROGRAM},
    lifecycle::is_gone,
    worker::{Worker, seed, until},
};

/// It takes its time to clean up after its standard input was closed.
const RUNNER: &str = r#"
echo $$ >> "$FOLDER/pids"
echo "sees [$OMP_PROC_BIND,$MKL_CBWR,$RUST_BACKTRACE], $OMP_NUM_THREADS thread, called with $*" >&2
echo '{"event":"ready","device":"runner"}'
while IFS= read -r line; do
    case $line in
    *'"command":"train"'*)
        task=${line#*\"task\":}
        task=${task%%\}*}\}
        case $task in
        *'"seed":1}')
            printf '{"event":"finished","task":%s,"result":{"metrics":{"accuracy":0.5},"confusion":[],"history":[],"best_epoch":0,"parameters":0,"seconds":0.5,"device":"runner"}}\n' "$task"
            echo '{"event":"idle"}' ;;
        *'"seed":2}') echo "runs for ever" >&2 ;;
        *'"seed":6}') echo "hears nothing" >&2; sleep 1000 ;;
        esac ;;
    *'"command":"park"'*) printf '{"event":"parked","task":%s}\n{"event":"idle"}\n' "$task" ;;
    esac
done
sleep 0.5
touch "$FOLDER/clean"
"#;

/// A worker that takes programs too, and environment variables for it.
fn start(coordinator: &Coordinator, environment: &[(&str, &str)]) -> Worker {
    let own = [("COLEARN_TEST_RUNNER", RUNNER), ("COLEARN_ALLOW_PROGRAMS", "1"), ("COLEARN_THREADS", "1")];
    Worker::start_so(coordinator.address, &[&own[..], environment].concat())
}

/// A worker whose slot runs a program of this seed.
async fn running(seed: u64, said: &str) -> (Coordinator, Worker) {
    let mut coordinator = Coordinator::start().await;
    let worker = start(&coordinator, &[]);
    coordinator.expect_free(&[0]).await;
    coordinator.lease_of(PROGRAM, 7, seed).await;
    worker.expect_log(said);
    (coordinator, worker)
}

#[tokio::test]
async fn a_slot_changes_between_networks_and_programs() {
    let mut coordinator = Coordinator::start().await;
    let labels = ("COLEARN_LABELS", "big,near");
    let worker = start(&coordinator, &[labels, ("COLEARN_MEMORY", "1MB")]);
    let hello = coordinator.expect_hello().await;
    let offers = v1::Offers {
        trainers: vec![v1::TrainerKind::Networks.into(), v1::TrainerKind::Programs.into()],
        gpu: false,
        memory_bytes: Some(1_000_000),
        threads: Some(1),
    };
    assert_eq!(hello.slots[0].offers, Some(offers));
    assert_eq!(hello.labels, ["big", "near"]);
    coordinator.expect_free(&[0]).await;
    for (token, settings, device) in [
        (7, None, "script"),
        (8, Some(PROGRAM), "runner"),
        (9, Some(PROGRAM), "runner"),
        (10, None, "script"),
    ] {
        match settings {
            None => coordinator.lease(token, seed::FINISH).await,
            Some(settings) => coordinator.lease_of(settings, token, seed::FINISH).await,
        }
        let finished = coordinator.expect_finished().await;
        assert_eq!((finished.token, finished.result.unwrap().device), (token, device.to_owned()));
        coordinator.expect_free(&[0]).await;
    }
    assert_eq!(worker.trainers().len(), 3, "programs follow each other on one");
    assert!(worker.has("clean"));
}

#[tokio::test]
async fn programs_see_the_environment_of_the_site_but_bind_no_threads() {
    let mut coordinator = Coordinator::start().await;
    let site = [("OMP_PROC_BIND", "true"), ("MKL_CBWR", "AVX2"), ("RUST_BACKTRACE", "full")];
    let worker = start(&coordinator, &[&site[..], &[("OMP_NUM_THREADS", "64")]].concat());
    coordinator.expect_free(&[0]).await;
    coordinator.lease_of(PROGRAM, 7, seed::TRAIN).await;
    worker.expect_log("sees [,AVX2,full], 1 thread, called with --device cpu --threads 1 --checkpoints");
}

#[tokio::test]
async fn a_worker_that_takes_no_programs_says_so() {
    let mut coordinator = Coordinator::start().await;
    let _worker = Worker::start_so(coordinator.address, &[("COLEARN_TEST_RUNNER", RUNNER)]);
    coordinator.expect_free(&[0]).await;
    coordinator.lease_of(PROGRAM, 7, seed::FINISH).await;
    let (token, reason, message) = coordinator.expect_failure().await;
    assert_eq!((token, reason), (7, FailureReason::Settings));
    assert!(message.contains("start the worker with --allow-programs"), "{message}");
}

#[tokio::test]
async fn a_stopped_worker_lets_programs_be_cleaned_up() {
    let (mut coordinator, mut worker) = running(seed::TRAIN, "runs for ever").await;
    worker.signal(Signal::SIGTERM);
    worker.expect_log("is parked");
    coordinator.expect_released(7).await;
    assert_eq!(worker.expect_exit().code(), Some(0));
    assert!(worker.has("clean") && is_gone(worker.trainers()[1]));
}

#[tokio::test]
async fn programs_are_cleaned_up_after_their_agent_was_killed() {
    let (_coordinator, mut worker) = running(seed::TRAIN, "runs for ever").await;
    worker.signal(Signal::SIGKILL);
    worker.expect_exit();
    until("the programs are cleaned up", || worker.has("clean"));
}

#[tokio::test]
async fn what_does_not_clean_up_in_time_is_killed() {
    let (mut coordinator, worker) = running(seed::DEAF, "hears nothing").await;
    let dropped = Instant::now();
    let drop = v1::Drop { token: 7, tasks: vec![], reason: "the sweep was cancelled".to_owned() };
    coordinator.say(work_response::Message::Drop(drop)).await;
    coordinator.expect_free(&[0]).await;
    // Five seconds to become idle, and two to clean up.
    assert!(dropped.elapsed() > Duration::from_millis(6900), "{:?}", dropped.elapsed());
    assert!(!worker.has("clean"));
    until("the first runner is gone", || is_gone(worker.trainers()[1]));
}
