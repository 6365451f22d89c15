//! Why no slot can take the tasks of a sweep.

use super::env::{TestEnv, everything, program, programs_only, task, worker};
use crate::{
    failure::FailureReason,
    id::SweepId,
    needs::{Needs, Offers},
    scheduler::{Event, WhyWaiting},
};

const FIRST: SweepId = SweepId(1);

fn told(env: &TestEnv) -> Option<String> {
    env.scheduler.why_waiting(FIRST).map(|why| why.to_string())
}

#[test]
fn a_sweep_without_workers_waits_for_one() {
    let mut env = TestEnv::with_sweep(1, 1);
    assert_eq!(env.scheduler.why_waiting(FIRST), Some(WhyWaiting::NoWorker));
    assert_eq!(env.scheduler.why_waiting(SweepId(7)), None, "there is no such sweep");
    let lease = env.worker("w", &[1]).remove(0);
    assert_eq!(told(&env), None);
    env.finish(&lease, task(1, 0));
    env.apply(Event::WorkerDisconnected { worker: worker("w") });
    assert_eq!(told(&env), None, "nothing is pending");
}

#[test]
fn what_slots_lack_is_told_with_the_nearest_miss_first() {
    let mut env = TestEnv::new();
    env.submit(program("first", 2, 1, Needs { gpu: true, memory: 8_000_000_000, ..Needs::default() }));
    let offers = |gpu, memory| Offers { gpu, memory, ..Offers::default() };
    let networks = vec![offers(true, Some(9_000_000_000)); 4];
    env.worker_offering("gpus", &networks);
    assert_eq!(
        told(&env).unwrap(),
        "none of 4 slots can run its tasks: 4 run no programs of users (start the worker with --allow-programs)"
    );
    let poor = [offers(false, Some(1_000_000_000)), offers(false, Some(4_000_000_000)), offers(false, None)];
    env.worker_offering("poor", &poor);
    assert_eq!(
        told(&env).unwrap(),
        "none of 7 slots can run its tasks: 7 run no programs of users (start the worker with --allow-programs); \
         3 have no GPU; 3 have less than 8.0 GB of memory, the largest 4.0 GB"
    );
    env.apply(Event::WorkerDisconnected { worker: worker("gpus") });
    env.apply(Event::WorkerDisconnected { worker: worker("poor") });
    assert_eq!(told(&env).unwrap(), "no worker is connected");
    env.worker_offering("one", &[programs_only()]);
    assert_eq!(
        told(&env).unwrap(),
        "the only slot cannot run its tasks: 1 has no GPU; 1 does not say whether it has 8.0 GB of memory"
    );
    env.connect("none", &[], &[]);
    env.apply(Event::WorkerDisconnected { worker: worker("one") });
    assert_eq!(told(&env).unwrap(), "the connected workers have no slots");
    let enough = Offers { trainers: programs_only().trainers, ..networks[0].clone() };
    env.worker_offering("enough", &[enough]);
    assert_eq!(told(&env), None);
}

#[test]
fn threads_and_labels_are_told() {
    let mut env = TestEnv::new();
    env.submit(program(
        "first",
        1,
        1,
        Needs { threads: 4, labels: ["big".into()].into(), ..Needs::default() },
    ));
    let threads = |threads| Offers { threads, ..programs_only() };
    env.worker_offering("w", &[threads(Some(1)), threads(Some(2)), threads(None)]);
    assert_eq!(
        told(&env).unwrap(),
        "none of 3 slots can run its tasks: 3 have less than 4 threads, the largest 2; 3 have no label `big`"
    );
}

#[test]
fn workers_that_can_not_take_a_sweep_are_not_told_to_be_set_aside_from_it() {
    let mut env = TestEnv::with_sweep(4, 1);
    env.worker("other", &[1]);
    env.connect("bad", &[1], &[]);
    for _ in 0..3 {
        let lease = env.offer("bad", &[0]).remove(0);
        env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
    }
    let id = env.submit(program("second", 1, 1, Needs::default()));
    assert_eq!(env.scheduler.set_aside_from(FIRST).len(), 1);
    assert_eq!(env.scheduler.set_aside_from(id), []);
    assert!(env.scheduler.why_waiting(id).is_some() && env.scheduler.why_waiting(FIRST).is_none());
    env.worker_offering("able", &[everything()]);
    assert_eq!(env.scheduler.why_waiting(id), None);
}
