//! A worker that trains nothing, as benchmarks start it.

use std::{
    io::Read as _,
    process::{Command, Stdio},
};

use colearn_proto::v1::{self, work_request, work_response};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::coordinator::{Coordinator, SETTINGS, task};

const SLOTS: u32 = 128;

#[tokio::test]
async fn any_number_of_slots_answers_at_once() {
    let mut coordinator = Coordinator::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut worker = Command::new(env!("CARGO_BIN_EXE_colearn-worker"))
        .args(["--trainer", "no-op", "--max-cohort", "2", "--slots", &SLOTS.to_string()])
        .args(["--coordinator", &format!("http://{}", coordinator.address)])
        .arg("--data-dir")
        .arg(folder.path())
        .arg("--checkpoints")
        .arg(folder.path())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let hello = coordinator.expect_hello().await;
    let offers = hello.slots[0].offers.clone();
    let slot = |index| v1::Slot { index, device: "no-op".to_owned(), max_cohort: 2, offers: offers.clone() };
    assert_eq!(hello.slots, (0..SLOTS).map(slot).collect::<Vec<_>>());
    let all: Vec<u32> = (0..SLOTS).collect();
    coordinator.expect_free(&all).await;

    for slot in &all {
        let assignment = |seed| v1::Assignment {
            task: Some(task(seed).into()),
            attempt: 1,
            settings_json: SETTINGS.to_owned(),
            checkpoint_every_epochs: 5,
            data_digest: String::new(),
            name: String::new(),
            keep: Vec::new(),
            kept_in: String::new(),
        };
        let seed = u64::from(*slot) * 2;
        let tasks = vec![assignment(seed), assignment(seed + 1)];
        let lease = v1::Lease { token: u64::from(*slot) + 1, slot: *slot, tasks };
        coordinator.say(work_response::Message::Lease(lease)).await;
    }
    let mut seeds = Vec::new();
    for _ in 0..2 * SLOTS {
        let finished = coordinator.expect_finished().await;
        let seed = finished.task.unwrap().seed;
        assert_eq!(finished.token, seed / 2 + 1);
        assert!(finished.result.unwrap().metrics["accuracy"] >= 0.5);
        seeds.push(seed);
        // A late cancellation, instead of an acknowledgement.
        if seed == 1 {
            let drop = v1::Drop { token: 1, tasks: vec![task(1).into()], reason: "cancelled".to_owned() };
            coordinator.say(work_response::Message::Drop(drop)).await;
        } else {
            coordinator.acknowledge(finished.token, seed).await;
        }
    }
    seeds.sort_unstable();
    assert_eq!(seeds, (0..u64::from(2 * SLOTS)).collect::<Vec<_>>());
    coordinator.expect_free(&all).await;

    // Everything was acknowledged or dropped: the worker exits without any message about a lease.
    kill(Pid::from_raw(worker.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(worker.wait().unwrap().code(), Some(0));
    let last_words = |message| match message {
        work_request::Message::FreeSlots(free) => free.slots.is_empty().then_some(()),
        work_request::Message::Released(released) => panic!("{released:?}"),
        _ => None,
    };
    coordinator.expect("that no slot is free", last_words).await;
    let mut log = String::new();
    worker.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(!log.contains("WARN") && !log.contains("slow each other"), "{log}");
}
