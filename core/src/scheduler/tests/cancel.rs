//! Tasks that a person cancels, one scenario each.

use std::time::Duration;

use super::env::{TestEnv, settings, task, worker};
use crate::{
    failure::FailureReason,
    id::{ConfigurationId, SweepId},
    scheduler::{
        Action, DropReason, Event, RetryScope, SchedulerSettings, Selection, SelectionError, SweepStatus,
        TaskState,
    },
};

const FIRST: SweepId = SweepId(1);

fn cancelled(tasks: Selection) -> Event {
    Event::TasksCancelled { sweep: FIRST, tasks }
}

fn drops(actions: Vec<Action>) -> Vec<Action> {
    actions.into_iter().filter(|action| matches!(action, Action::DropLease { .. })).collect()
}

#[test]
fn a_running_task_leaves_its_cohort_and_the_others_go_on() {
    let mut env = TestEnv::with_sweep(3, 1);
    let lease = env.worker("w", &[3]).remove(0);
    env.answers();
    env.apply(cancelled(Selection::Tasks(vec![task(2, 0)])));
    let reason = DropReason::Cancelled;
    let drop = Action::DropLease { worker: worker("w"), token: lease.token, tasks: vec![task(2, 0)], reason };
    assert_eq!(drops(env.answers()), [drop]);
    assert_eq!(env.state(task(2, 0)), TaskState::Cancelled);
    env.finish(&lease, task(2, 0));
    let refused = Action::RefuseReport { token: lease.token, task: task(2, 0), reason };
    assert_eq!(env.answers(), [refused], "its result comes too late");
    env.fail(&lease, task(2, 0), FailureReason::Crash);
    assert!(matches!(env.answers()[..], [Action::RefuseReport { .. }]));
    env.finish(&lease, task(1, 0));
    env.finish(&lease, task(3, 0));
    let view = env.scheduler.sweep(FIRST).unwrap();
    assert_eq!((view.status(), view.counts().done, view.counts().cancelled), (SweepStatus::Cancelled, 2, 1));
    assert_eq!(view.cancelled(), [1 << 32]);
    env.crash();
    assert_eq!(env.state(task(2, 0)), TaskState::Cancelled);
}

#[test]
fn a_lease_without_members_is_dropped_as_a_whole() {
    let mut env = TestEnv::with_sweep(2, 1);
    let lease = env.worker("w", &[2]).remove(0);
    env.finish(&lease, task(1, 0));
    env.answers();
    env.apply(cancelled(Selection::Tasks(vec![task(2, 0)])));
    let actions = env.answers();
    assert!(
        matches!(&actions[..], [Action::DropLease { tasks, .. }, Action::EndSweep { .. }] if tasks.is_empty())
    );
    assert_eq!(env.scheduler.lease_count(), 0);
}

#[test]
fn what_waits_is_not_begun_and_what_has_ended_stays() {
    let mut env = TestEnv::with_sweep(2, 3);
    let leases = env.worker("w", &[1, 1, 1]);
    env.finish(&leases[0], task(1, 0));
    env.fail(&leases[1], task(2, 0), FailureReason::Diverged);
    env.fail(&leases[2], task(1, 1), FailureReason::LeaseExpired);
    assert!(matches!(env.state(task(1, 1)), TaskState::Pending { not_before: Some(_) }));
    let all = Selection::Grid { configurations: vec![ConfigurationId(1)], seeds: Vec::new() };
    let counts = env.scheduler.selected_counts(FIRST, &all).unwrap();
    assert_eq!((counts.pending, counts.done), (2, 1));
    env.apply(cancelled(all.clone()));
    assert_eq!(env.state(task(1, 0)), TaskState::Done);
    assert_eq!([env.state(task(1, 1)), env.state(task(1, 2))], [TaskState::Cancelled; 2]);
    let journaled = env.journal.len();
    env.apply(cancelled(all));
    let ended = Selection::Tasks(vec![task(1, 0), task(2, 0)]);
    env.apply(cancelled(ended));
    assert_eq!(env.journal.len(), journaled, "twice is once, and what has ended is not cancelled");
    assert!(matches!(env.state(task(2, 0)), TaskState::Failed { .. }));
    env.pass(Duration::from_secs(3600));
    assert_eq!(
        env.offer("w", &[0, 1, 2]).iter().flat_map(|it| it.names()).collect::<Vec<_>>(),
        [(2, 1), (2, 2)]
    );
}

#[test]
fn a_seed_of_all_configurations_and_one_of_both_are_cancelled() {
    let mut env = TestEnv::with_sweep(2, 2);
    let of = |configurations: &[u64], seeds: &[u64]| Selection::Grid {
        configurations: configurations.iter().copied().map(ConfigurationId).collect(),
        seeds: seeds.to_vec(),
    };
    env.apply(cancelled(of(&[], &[1])));
    assert_eq!(env.scheduler.sweep(FIRST).unwrap().cancelled(), [1, (1 << 32) + 1]);
    env.apply(cancelled(of(&[2], &[0])));
    assert_eq!(env.scheduler.sweep(FIRST).unwrap().cancelled(), [1, 1 << 32, (1 << 32) + 1]);
    let unknown = env.scheduler.selected_counts(FIRST, &of(&[7], &[])).unwrap_err();
    assert_eq!(unknown.to_string(), "sweep `first` has no configuration 0000000000000007");
    let unknown = env.scheduler.selected_counts(FIRST, &of(&[], &[7])).unwrap_err();
    assert!(matches!(unknown, SelectionError::Seed { seed: 7, .. }));
    let foreign = crate::id::TaskId { sweep: SweepId(9), ..task(1, 0) };
    assert!(env.scheduler.selected_counts(FIRST, &Selection::Tasks(vec![foreign])).is_err());
}

#[test]
fn the_last_open_task_ends_the_sweep_and_a_retry_brings_it_back() {
    let settle_after = Some(Duration::from_secs(20));
    let mut env = TestEnv::with_settings(SchedulerSettings { settle_after, ..settings() });
    env.submit(super::env::sweep("first", 1, 2));
    env.apply(Event::SweepPaused { sweep: FIRST, paused: true });
    env.apply(cancelled(Selection::Grid { configurations: Vec::new(), seeds: Vec::new() }));
    let view = env.scheduler.sweep(FIRST).unwrap();
    assert_eq!((view.status(), view.paused()), (SweepStatus::Cancelled, false));
    env.pass(Duration::from_secs(60));
    assert!(env.scheduler.settled(FIRST).is_some());
    env.revive(FIRST);
    env.apply(Event::TasksRetried { sweep: FIRST, scope: RetryScope::Tasks(vec![task(1, 1)]) });
    let lease = env.worker("w", &[2]).remove(0);
    assert_eq!(lease.names(), [(1, 1)]);
    env.finish_all(&lease);
    let view = env.scheduler.sweep(FIRST).unwrap();
    assert_eq!((view.status(), view.counts().done, view.counts().cancelled), (SweepStatus::Cancelled, 1, 1));
    env.apply(Event::TasksRetried { sweep: FIRST, scope: RetryScope::FailedAndCancelled });
    let lease = env.offer("w", &[0]).remove(0);
    env.finish_all(&lease);
    assert_eq!(env.scheduler.sweep(FIRST).unwrap().status(), SweepStatus::Complete);
}
