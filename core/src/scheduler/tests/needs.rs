//! A task goes only to a slot that offers what it needs, and workers that cannot take it do not count.

use std::time::Duration;

use super::env::{Granted, LEASE, TestEnv, everything, program, programs_only, slots_offering, task, worker};
use crate::{
    failure::FailureReason,
    id::SweepId,
    needs::{Needs, Offers},
    scheduler::{Event, TaskState},
};

const LONG: Duration = Duration::from_secs(120);

fn gpu(offers: Offers) -> Offers {
    Offers { gpu: true, ..offers }
}

fn needs_gpu() -> Needs {
    Needs { gpu: true, ..Needs::default() }
}

fn places(granted: &[Granted]) -> Vec<(u64, String, u32)> {
    let place = |lease: &Granted| (lease.tasks[0].0.sweep.0, lease.worker.to_string(), lease.slot);
    let mut places: Vec<_> = granted.iter().map(place).collect();
    places.sort_unstable();
    places
}

#[test]
fn a_task_goes_only_to_a_slot_that_meets_its_needs() {
    let mut env = TestEnv::new();
    env.submit(program(
        "first",
        4,
        1,
        Needs { memory: 8, threads: 2, labels: ["a".into()].into(), gpu: true, ..Needs::default() },
    ));
    let enough = Offers {
        gpu: true,
        memory: Some(8),
        threads: Some(2),
        labels: ["a".into(), "b".into()].into(),
        ..programs_only()
    };
    let poor = [
        Offers { trainers: Offers::default().trainers, ..enough.clone() },
        Offers { gpu: false, ..enough.clone() },
        Offers { memory: Some(7), ..enough.clone() },
        Offers { memory: None, ..enough.clone() },
        Offers { threads: Some(1), ..enough.clone() },
        Offers { labels: ["b".into()].into(), ..enough.clone() },
    ];
    assert_eq!(env.worker_offering("poor", &poor), []);
    let mixed = [poor.as_slice(), &[enough]].concat();
    assert_eq!(places(&env.worker_offering("mixed", &mixed)), [(1, "mixed".to_owned(), 6)]);
}

#[test]
fn networks_do_not_go_to_slots_that_only_run_programs() {
    let mut env = TestEnv::with_sweep(4, 1);
    env.submit(program("second", 4, 1, Needs::default()));
    let granted = env.worker_offering("w", &[Offers::default(), programs_only(), programs_only()]);
    let w = || "w".to_owned();
    assert_eq!(places(&granted), [(1, w(), 0), (2, w(), 1), (2, w(), 2)]);
    env.crash();
    assert_eq!(env.worker_offering("x", &[programs_only()]).len(), 1, "after a restart too");
}

#[test]
fn a_slot_that_offers_more_is_left_for_who_needs_it() {
    let mut env = TestEnv::new();
    env.submit(program("small", 1, 1, Needs::default()));
    let granted = env.worker_offering("w", &[gpu(everything()), everything()]);
    assert_eq!(places(&granted), [(1, "w".to_owned(), 1)], "the slot without a GPU");

    let mut env = TestEnv::new();
    env.submit(program("small", 2, 1, Needs::default()));
    env.submit(program("large", 2, 1, Needs { memory: 8, ..Needs::default() }));
    let large = Offers { memory: Some(9), ..everything() };
    let granted = env.worker_offering("w", &[large.clone(), everything(), large, everything()]);
    let w = || "w".to_owned();
    assert_eq!(places(&granted), [(1, w(), 1), (1, w(), 3), (2, w(), 0), (2, w(), 2)]);

    let mut env = TestEnv::new();
    env.submit(program("small", 3, 1, Needs::default()));
    let granted = env.worker_offering("w", &[gpu(everything()), everything()]);
    assert_eq!(granted.len(), 2, "it is not left idle");
}

#[test]
fn slots_that_train_no_networks_get_no_share_of_their_tasks() {
    let mut env = TestEnv::with_sweep(8, 1);
    env.submit(program("second", 6, 1, Needs::default()));
    let slots = [(4, Offers::default()), (4, Offers::default())];
    let slots = slots_offering(slots.into_iter().chain((0..6).map(|_| (1, programs_only()))));
    env.connect_slots("w", slots, &[]);
    let granted = env.offer("w", &(0..8).collect::<Vec<_>>());
    let sizes: Vec<usize> = granted.iter().map(|lease| lease.tasks.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 14, "everything is in training: {sizes:?}");
}

#[test]
fn a_task_does_not_wait_for_a_worker_that_can_never_take_it() {
    let mut env = TestEnv::new();
    env.submit(program("first", 1, 1, Needs::default()));
    let lease = env.worker_offering("a", &[everything()]).remove(0);
    env.fail(&lease, task(1, 0), FailureReason::Crash);
    env.worker("networks", &[1]);
    env.offer("a", &[0]);
    env.pass(LEASE / 2);
    assert_eq!(env.granted().len(), 1, "no other worker runs programs");
}

#[test]
fn the_last_attempt_does_not_wait_for_a_sound_worker_that_can_never_take_it() {
    let mut env = TestEnv::with_sweep(1, 1);
    let lease = env.worker("networks", &[1]).remove(0);
    env.finish(&lease, task(1, 0));
    let id = env.submit(program("second", 1, 1, Needs::default()));
    let mut leases = env.worker_offering("a", &[programs_only()]);
    for attempt in 1..=3 {
        let lease = leases.pop().unwrap_or_else(|| panic!("there is no attempt {attempt}"));
        env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
        env.offer("a", &[0]);
        env.now = env.now.after(LEASE / 2);
        env.heartbeat("networks");
        env.now = env.now.after(LONG);
        env.heartbeat("a");
        leases = env.granted();
    }
    assert_eq!(env.scheduler.sweep(id).unwrap().counts().failed, 1);
}

#[test]
fn the_only_worker_that_runs_programs_is_not_set_aside_for_their_failures() {
    let mut env = TestEnv::new();
    env.submit(program("first", 4, 1, Needs::default()));
    env.worker("networks", &[1]);
    env.connect_slots("a", slots_offering([(1, programs_only())]), &[]);
    for _ in 0..3 {
        let lease = env.offer("a", &[0]).remove(0);
        env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
    }
    assert_eq!(env.scheduler.set_aside_for(&worker("a")), []);
    env.connect_slots("b", slots_offering([(1, programs_only())]), &[]);
    env.heartbeat("b");
    assert_eq!(env.scheduler.set_aside_for(&worker("a")).len(), 1, "now there is another");
}

#[test]
fn what_one_worker_misses_does_not_wait_for_a_worker_that_can_never_take_it() {
    let mut env = TestEnv::new();
    env.submit(program("first", 1, 1, Needs::default()));
    env.worker("networks", &[1]);
    let lease = env.worker_offering("a", &[programs_only()]).remove(0);
    env.fail(&lease, task(1, 0), FailureReason::Data);
    assert_eq!(env.scheduler.set_aside_for(&worker("a")), [], "its files may be nowhere");
    for attempt in 2..=3 {
        env.pass(LONG);
        env.heartbeat("a");
        let lease = env.offer("a", &[0]).remove(0);
        assert_eq!(lease.tasks, [(task(1, 0), attempt)]);
        env.fail(&lease, task(1, 0), FailureReason::Data);
    }
    assert_eq!(env.state(task(1, 0)), TaskState::Failed { reason: FailureReason::Data });
}

#[test]
fn files_of_a_program_are_not_looked_for_where_it_can_not_run() {
    let mut env = TestEnv::new();
    let id = env.submit(program("first", 2, 1, Needs::default()));
    let lease = env.worker_offering("a", &[programs_only()]).remove(0);
    let (token, first) = (lease.token, lease.tasks[0].0);
    env.apply(Event::TaskFinished { token, task: first, data_digest: "old".to_owned() });
    env.worker("networks", &[1]);
    let name = env.scheduler.sweep(id).unwrap().sweep().configurations[0].settings.data_set().into_owned();
    let known = crate::scheduler::KnownDataSet { digest: Some("new".to_owned()), shape: None };
    let data_sets = crate::scheduler::DataSets { known: [(name.clone(), known)].into(), complete: true };
    env.apply(Event::DataSetsKnown { worker: worker("a"), data_sets });
    let without = env.scheduler.without_data(id);
    assert_eq!(without.iter().map(|without| without.worker.as_str()).collect::<Vec<_>>(), ["a"]);
    assert!(without[0].program && without[0].data_set == name);
    assert_eq!(env.offer("a", &[0]).len(), 1, "nobody else may have the old files");
}

#[test]
fn a_program_fits_its_data_at_once() {
    let mut env = TestEnv::new();
    env.worker("networks", &[1]);
    let id = env.submit(program("first", 1, 1, Needs::default()));
    assert_eq!(env.scheduler.check_data(&program("x", 1, 1, Needs::default())), Ok(()));
    assert_eq!((env.scheduler.misfit(id), env.scheduler.next_deadline()), (None, None));
    assert_eq!(env.worker_offering("a", &[programs_only()]).len(), 1);
}

#[test]
fn needs_may_change_with_the_sweep_file() {
    let mut env = TestEnv::new();
    env.submit(program("first", 1, 1, needs_gpu()));
    assert_eq!(env.worker_offering("a", &[programs_only()]), []);
    let id = env.submit(program("first", 1, 1, Needs::default()));
    assert_eq!(id, SweepId(1));
    assert_eq!(env.granted().len(), 1);
    env.crash();
}

#[test]
fn a_worker_that_comes_back_with_other_slots_gets_tasks_by_these() {
    let mut env = TestEnv::new();
    env.submit(program("first", 2, 1, needs_gpu()));
    assert_eq!(env.worker_offering("a", &[programs_only()]), []);
    let lease = env.worker_offering("a", &[gpu(programs_only())]).remove(0);
    env.connect_slots("a", slots_offering([(1, programs_only()), (1, programs_only())]), &[&lease]);
    assert_eq!(env.offer("a", &[0, 1]), []);
    env.apply(Event::WorkerDisconnected { worker: worker("a") });
    env.connect_slots("a", slots_offering([(1, programs_only()), (1, gpu(programs_only()))]), &[&lease]);
    assert_eq!(env.offer("a", &[1]).len(), 1);
}
