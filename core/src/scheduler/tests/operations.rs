//! Operations of people on sweeps, one scenario each.

use std::{sync::Arc, time::Duration};

use super::env::{LEASE, TestEnv, epoch_reported, settings, sweep, task, worker};
use crate::{
    failure::FailureReason,
    id::{ConfigurationId, LeaseToken, SweepId},
    scheduler::{
        Action, DropReason, Event, ExtensionError, RetryError, RetryScope, SchedulerSettings,
        SubmissionError, SweepStatus, TaskState,
    },
    sweep::{Order, Sweep},
};

const FIRST: SweepId = SweepId(1);

fn sweeps_of(leases: &[super::env::Granted]) -> Vec<u64> {
    leases.iter().map(|lease| lease.tasks[0].0.sweep.0).collect()
}

fn extend(env: &mut TestEnv, newer: &Sweep) {
    let extended = env.scheduler.extension(FIRST, newer).unwrap();
    env.apply(Event::SweepExtended { id: FIRST, sweep: Arc::new(extended) });
}

#[test]
fn sweeps_of_one_priority_share_the_slots_evenly() {
    let mut env = TestEnv::with_sweep(10, 1);
    env.submit(sweep("second", 10, 1));
    let leases = env.worker("w", &[1, 1, 1, 1]);
    assert_eq!(sweeps_of(&leases), [1, 2, 1, 2]);
    env.finish_all(&leases[0]);
    env.finish_all(&leases[2]);
    // The first sweep has no slots now, the second has two.
    assert_eq!(sweeps_of(&env.offer("w", &[0, 2])), [1, 1]);
}

#[test]
fn a_higher_priority_goes_first() {
    let mut env = TestEnv::with_sweep(2, 1);
    let mut urgent = sweep("urgent", 2, 1);
    urgent.schedule.priority = 5;
    env.submit(urgent);
    let mut late = sweep("late", 2, 1);
    late.schedule.priority = -1;
    env.submit(late);
    env.apply(Event::SweepPrioritized { sweep: SweepId(3), priority: 9 });
    assert_eq!(sweeps_of(&env.worker("w", &[1; 6])), [3, 3, 2, 2, 1, 1]);
    env.crash();
    let priorities: Vec<i32> = env.scheduler.sweeps().map(|view| view.priority()).collect();
    assert_eq!(priorities, [0, 5, 9]);
}

#[test]
fn a_sweep_submitted_again_keeps_the_priority_a_person_gave_it() {
    let mut env = TestEnv::with_sweep(1, 1);
    env.apply(Event::SweepPrioritized { sweep: FIRST, priority: 3 });
    env.submit(sweep("first", 1, 1));
    assert_eq!(env.scheduler.sweep(FIRST).unwrap().priority(), 3);
    let mut edited = sweep("first", 1, 1);
    edited.schedule.priority = -2;
    env.submit(edited);
    assert_eq!(env.scheduler.sweep(FIRST).unwrap().priority(), -2, "the file says something else now");
}

#[test]
fn no_more_tasks_run_than_the_sweep_allows() {
    let mut env = TestEnv::new();
    let mut few = sweep("few", 10, 1);
    few.schedule.max_concurrent_tasks = Some(3);
    env.submit(few);
    let leases = env.worker("w", &[2, 2, 2, 2]);
    let running: usize = leases.iter().map(|lease| lease.tasks.len()).sum();
    assert_eq!(running, 3);
    env.finish_all(&leases[0]);
    let next = env.offer("w", &[leases[0].slot, 3]);
    assert_eq!(next.iter().map(|lease| lease.tasks.len()).sum::<usize>(), leases[0].tasks.len());
}

#[test]
fn configurations_can_go_one_after_the_other() {
    let mut env = TestEnv::new();
    let mut ordered = sweep("first", 2, 2);
    ordered.schedule.order = Order::ByConfiguration;
    env.submit(ordered);
    let lease = env.worker("w", &[4]).remove(0);
    assert_eq!(lease.names(), [(1, 0), (1, 1), (2, 0), (2, 1)]);
    env.finish(&lease, task(1, 1));
    env.crash();
    assert_eq!(env.state(task(1, 1)), TaskState::Done);
    let place = |configuration, seed| env.scheduler.position_of(task(configuration, seed)).unwrap();
    assert!(place(1, 0) < place(1, 1) && place(1, 1) < place(2, 0), "the grid's order is another thing");
}

#[test]
fn another_order_renumbers_what_runs_and_waits() {
    let mut env = TestEnv::with_sweep(2, 2);
    let lease = env.worker("w", &[2]).remove(0);
    assert_eq!(lease.names(), [(1, 0), (2, 0)]);
    env.fail(&lease, task(2, 0), FailureReason::LeaseExpired);
    let mut edited = sweep("first", 2, 2);
    edited.schedule.order = Order::ByConfiguration;
    env.submit(edited);
    env.finish(&lease, task(1, 0));
    assert_eq!(env.state(task(1, 0)), TaskState::Done);
    assert!(matches!(env.state(task(2, 0)), TaskState::Pending { not_before: Some(_) }));
    assert_eq!(env.offer("w", &[0])[0].names(), [(1, 1), (2, 1)]);
}

#[test]
fn a_paused_sweep_starts_nothing_and_loses_nothing() {
    let mut env = TestEnv::with_sweep(2, 1);
    let lease = env.worker("w", &[1]).remove(0);
    env.apply(Event::SweepPaused { sweep: FIRST, paused: true });
    env.finish_all(&lease);
    assert!(env.offer("w", &[0]).is_empty());
    env.crash();
    assert!(env.worker("w", &[1]).is_empty(), "a restart does not resume it");
    env.apply(Event::SweepPaused { sweep: FIRST, paused: false });
    assert_eq!(env.granted()[0].names(), [(2, 0)]);
}

#[test]
fn failed_tasks_are_tried_again_with_all_their_attempts() {
    let mut env = TestEnv::with_sweep(1, 1);
    let mut leases = env.worker("w", &[1]);
    for _ in 0..2 {
        env.fail(&leases[0], task(1, 0), FailureReason::Crash);
        env.offer("w", &[0]);
        env.pass(Duration::from_secs(120));
        leases = env.granted();
    }
    env.fail(&leases[0], task(1, 0), FailureReason::Crash);
    assert_eq!(env.scheduler.sweep(FIRST).unwrap().status(), SweepStatus::Failed);
    env.apply(Event::TasksRetried { sweep: FIRST, scope: RetryScope::Failed });
    let view = env.scheduler.sweep(FIRST).unwrap();
    assert_eq!((view.status(), view.failures().len()), (SweepStatus::Active, 0));
    let again = env.offer("w", &[0]).remove(0);
    assert_eq!(again.tasks, [(task(1, 0), 4)], "attempts go on counting: checkpoints are ordered by them");
    env.fail(&again, task(1, 0), FailureReason::Crash);
    assert!(env.is_pending(task(1, 0)), "it has three again");
    let stale = Event::TaskFinished { token: leases[0].token, task: task(1, 0), data_digest: String::new() };
    env.answers();
    env.apply(stale);
    assert!(matches!(env.answers().as_slice(), [Action::RefuseReport { reason: DropReason::Stale, .. }]));
}

#[test]
fn a_cancelled_sweep_goes_on_when_it_is_retried() {
    let mut env = TestEnv::with_sweep(3, 1);
    let lease = env.worker("w", &[1]).remove(0);
    env.finish_all(&lease);
    env.apply(Event::SweepCancelled { sweep: FIRST });
    assert_eq!(env.scheduler.retry_count(FIRST, &RetryScope::Failed), Ok(0));
    env.apply(Event::TasksRetried { sweep: FIRST, scope: RetryScope::Tasks(vec![task(2, 0)]) });
    assert_eq!(env.offer("w", &[0])[0].names(), [(2, 0)]);
    assert_eq!(env.scheduler.retry_count(FIRST, &RetryScope::FailedAndCancelled), Ok(1));
    let done = RetryScope::Tasks(vec![task(1, 0)]);
    assert!(matches!(env.scheduler.retry_count(FIRST, &done), Err(RetryError::Done { .. })));
    let unknown = RetryScope::Tasks(vec![task(9, 0)]);
    assert!(matches!(env.scheduler.retry_count(FIRST, &unknown), Err(RetryError::Unknown { .. })));
}

#[test]
fn a_sweep_grows_while_it_runs() {
    let mut env = TestEnv::with_sweep(2, 2);
    let lease = env.worker("w", &[3]).remove(0);
    env.finish(&lease, task(1, 0));
    // New configurations come first in the file.
    let mut newer = sweep("first", 3, 3);
    newer.configurations.rotate_right(1);
    newer.seeds.rotate_right(1);
    extend(&mut env, &newer);
    let view = env.scheduler.sweep(FIRST).unwrap();
    assert_eq!((view.counts().total(), view.counts().done, view.counts().running), (9, 1, 2));
    let ids: Vec<u64> = view.sweep().configurations.iter().map(|c| c.id.0).collect();
    assert_eq!((ids, &view.sweep().seeds), (vec![1, 2, 3], &vec![0, 1, 2]), "what was there keeps its place");
    env.finish(&lease, task(2, 0));
    env.finish(&lease, task(1, 1));
    assert_eq!(env.state(task(1, 1)), TaskState::Done);
    env.crash();
    env.worker("v", &[8]);
    assert_eq!(env.scheduler.sweep(FIRST).unwrap().counts().running, 6);
}

#[test]
fn a_sweep_that_has_ended_grows_too() {
    let mut env = TestEnv::with_sweep(1, 1);
    let lease = env.worker("w", &[1]).remove(0);
    env.finish_all(&lease);
    assert_eq!(env.scheduler.sweep(FIRST).unwrap().status(), SweepStatus::Complete);
    extend(&mut env, &sweep("first", 1, 2));
    assert_eq!(env.offer("w", &[0])[0].names(), [(1, 1)]);
}

#[test]
fn extending_takes_nothing_away_and_changes_nothing() {
    let env = TestEnv::with_sweep(2, 2);
    let fewer_seeds = env.scheduler.extension(FIRST, &sweep("first", 2, 1));
    assert_eq!(fewer_seeds, Err(ExtensionError::SeedsGone { seeds: vec![1] }));
    let mut changed = sweep("first", 2, 2);
    changed.configurations[1].id = ConfigurationId(77);
    changed.configurations[1].network_mut().unwrap().training.epochs = 11;
    let error = env.scheduler.extension(FIRST, &changed).unwrap_err().to_string();
    assert!(error.contains("1 of the 2 configurations of sweep `first` are not in the file"), "{error}");
}

#[test]
fn attempts_that_get_further_do_not_use_up_the_allowance() {
    let mut env = TestEnv::new();
    let mut saving = sweep("first", 1, 1);
    saving.checkpoint.every_epochs = 2;
    env.submit(saving);
    let lose = |env: &mut TestEnv, epoch: u32| {
        env.pass(Duration::from_secs(120));
        let lease = env.worker("w", &[1]).remove(0);
        env.apply(epoch_reported(lease.token, task(1, 0), epoch));
        env.apply(Event::WorkerDisconnected { worker: worker("w") });
        env.pass(LEASE);
    };
    for epoch in [2, 4, 6, 9] {
        lose(&mut env, epoch);
        assert!(env.is_pending(task(1, 0)), "it was saved at epoch {epoch}, further than before");
    }
    env.crash();
    // It continues from a checkpoint at epoch 8: epoch 9 is no progress.
    lose(&mut env, 9);
    assert!(env.is_pending(task(1, 0)));
    lose(&mut env, 9);
    assert_eq!(env.state(task(1, 0)), TaskState::Failed { reason: FailureReason::LeaseExpired });
}

#[test]
fn a_member_that_crashes_its_cohort_is_found_and_fails_alone() {
    let mut env = TestEnv::with_sweep(4, 1);
    let culprit = task(3, 0);
    let mut leases = env.worker("w", &[4]);
    for _ in 0..40 {
        for lease in &leases {
            let crashes = lease.tasks.iter().any(|(task, _)| *task == culprit);
            for (task, _) in &lease.tasks {
                if crashes {
                    env.fail(lease, *task, FailureReason::Crash);
                } else {
                    env.finish(lease, *task);
                }
            }
        }
        env.pass(Duration::from_secs(60));
        env.granted();
        leases = env.offer("w", &[0]);
        if leases.is_empty() {
            env.pass(Duration::from_secs(60));
            leases = env.granted();
        }
    }
    let counts = env.scheduler.sweep(FIRST).unwrap().counts();
    assert_eq!((counts.done, counts.failed), (3, 1));
    assert_eq!(env.state(culprit), TaskState::Failed { reason: FailureReason::Crash });
}

#[test]
fn a_draining_worker_is_given_nothing_new() {
    let mut env = TestEnv::with_sweep(3, 1);
    let lease = env.worker("w", &[1]).remove(0);
    env.apply(Event::DrainRequested { worker: worker("w"), now: false });
    assert_eq!(env.answers(), [Action::DrainWorker { worker: worker("w"), now: false }]);
    env.finish_all(&lease);
    assert!(env.offer("w", &[0]).is_empty());
    env.answers();
    env.connect("w", &[1], &[]);
    assert_eq!(env.answers(), [Action::DrainWorker { worker: worker("w"), now: false }], "it is told again");
    assert!(env.offer("w", &[0]).is_empty());
    assert!(env.scheduler.workers().next().unwrap().draining);
}

#[test]
fn a_sweep_that_ended_long_ago_is_settled_and_comes_back_when_needed() {
    let settle_after = Some(Duration::from_secs(60));
    let mut env = TestEnv::with_settings(SchedulerSettings { settle_after, ..settings() });
    env.submit(sweep("first", 1, 1));
    let lease = env.worker("w", &[1]).remove(0);
    env.finish_all(&lease);
    assert!(env.scheduler.sweep(FIRST).is_some());
    assert_eq!(env.scheduler.next_deadline(), Some(env.now.after(Duration::from_secs(60))));
    env.pass(Duration::from_secs(60));
    assert!(env.scheduler.sweep(FIRST).is_none());
    let outcome = env.scheduler.settled(FIRST).unwrap();
    assert_eq!((outcome.status, outcome.counts.done), (SweepStatus::Complete, 1));
    env.crash();
    assert_eq!(env.scheduler.last_token, LeaseToken(1), "tokens do not come again");
    let again = env.scheduler.submission(&sweep("first", 1, 1));
    assert!(matches!(again, Err(SubmissionError::Settled(_))), "it cannot be compared with what is not here");
    env.revive(FIRST);
    extend(&mut env, &sweep("first", 1, 2));
    assert_eq!(env.worker("v", &[1])[0].names(), [(1, 1)]);
}

#[test]
fn a_removed_sweep_leaves_its_number_behind() {
    let mut env = TestEnv::with_sweep(1, 1);
    let lease = env.worker("w", &[1]).remove(0);
    assert!(env.scheduler.removable(FIRST).is_err());
    env.apply(Event::SweepRemoved { sweep: FIRST });
    assert!(env.scheduler.sweep(FIRST).is_some(), "it has not ended");
    env.finish_all(&lease);
    env.apply(Event::SweepRemoved { sweep: FIRST });
    env.crash();
    assert_eq!(env.submit(sweep("first", 1, 1)), SweepId(2));
    env.answers();
    env.apply(Event::TaskFinished { token: lease.token, task: task(1, 0), data_digest: String::new() });
    assert!(matches!(env.answers().as_slice(), [Action::RefuseReport { reason: DropReason::Unknown, .. }]));
}
