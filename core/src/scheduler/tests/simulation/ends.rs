//! In every history each task ends exactly once.

use super::{World, chance};
use crate::needs::TrainerKind;

const HISTORIES: u64 = 2000;
const STEPS: usize = 400;

/// How often each end occurred, so that the test can check that it covers them.
#[derive(Default, Debug)]
struct Seen {
    done: u32,
    failed: u32,
    cancelled: u32,
    retried: u64,
    /// Operations of people that changed something.
    operations: u64,
    removed: usize,
    drained: u64,
    races: u64,
    jumps: u64,
    set_aside: u64,
    restored: u64,
    refused: u64,
    parked: u64,
    replacements: u64,
    cancelled_running: u64,
    cancelled_pending: u64,
    /// Sweeps that nobody could run.
    stopped: u64,
    stranded: u64,
    /// Results of programs.
    of_programs: u32,
}

fn history(seed: u64) -> Seen {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.calm_down();
    world.check_end();
    world.env.crash();
    let mut seen = Seen {
        operations: world.operations,
        removed: world.removed.len(),
        drained: world.drained,
        races: world.races,
        jumps: world.jumps,
        set_aside: world.set_aside,
        restored: world.restored,
        refused: world.refused,
        parked: world.parked,
        replacements: world.replacements,
        cancelled_running: world.cancelled_running,
        cancelled_pending: world.cancelled_pending,
        stopped: world.stopped,
        stranded: world.stranded,
        ..Seen::default()
    };
    for view in world.env.scheduler.sweeps() {
        seen.done += view.counts().done;
        if view.sweep().needs.trainer == TrainerKind::Programs {
            seen.of_programs += view.counts().done;
        }
        seen.failed += view.counts().failed;
        seen.cancelled += view.counts().cancelled;
        seen.retried += view.retried();
    }
    seen
}

#[test]
fn every_task_ends_exactly_once_in_every_history() {
    let mut all = Seen::default();
    let run = chance::every("every_task_ends_exactly_once", HISTORIES, |seed| {
        let seen = history(seed);
        all.done += seen.done;
        all.failed += seen.failed;
        all.cancelled += seen.cancelled;
        all.retried += seen.retried;
        all.operations += seen.operations;
        all.removed += seen.removed;
        all.drained += seen.drained;
        all.races += seen.races;
        all.jumps += seen.jumps;
        all.set_aside += seen.set_aside;
        all.restored += seen.restored;
        all.refused += seen.refused;
        all.parked += seen.parked;
        all.replacements += seen.replacements;
        all.cancelled_running += seen.cancelled_running;
        all.cancelled_pending += seen.cancelled_pending;
        all.stopped += seen.stopped;
        all.stranded += seen.stranded;
        all.of_programs += seen.of_programs;
    });
    println!("{all:?}");
    if run < HISTORIES {
        return;
    }
    let varied = all.done > 10_000 && all.failed > 500 && all.cancelled > 200 && all.retried > 5000;
    let varied = varied && all.operations > 5000 && all.removed > 20;
    let varied = varied && all.drained > 500 && all.races > 500 && all.jumps > 1000;
    let varied = varied && all.set_aside > 400 && all.restored > 50 && all.refused > 0;
    let varied = varied && all.parked > 1000 && all.replacements > 200;
    let varied = varied && all.stranded > 50 && all.stopped > 50 && all.of_programs > 2000;
    let varied = varied && all.cancelled_running > 200 && all.cancelled_pending > 200;
    assert!(varied, "the histories are too tame to mean anything: {all:?}");
}

#[test]
fn a_history_is_a_function_of_its_seed() {
    let journal = |seed| {
        let mut world = World::new(seed);
        (0..STEPS).for_each(|_| world.step());
        world.env.journal
    };
    assert_eq!(journal(7), journal(7));
}
