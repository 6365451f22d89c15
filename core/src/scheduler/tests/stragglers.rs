//! Reports that come late, twice, or under a lease that is no longer the worker's.

use std::time::Duration;

use super::env::{EPOCHS, LEASE, TestEnv, epoch_reported, task};
use crate::{
    failure::FailureReason,
    id::{LeaseToken, SweepId},
    scheduler::{Action, DropReason, Event, SweepStatus, TaskState},
};

const LONG: Duration = Duration::from_secs(120);

fn refusals(answers: &[Action]) -> Vec<DropReason> {
    answers
        .iter()
        .filter_map(|action| match action {
            Action::RefuseReport { reason, .. } => Some(*reason),
            _ => None,
        })
        .collect()
}

fn records(answers: &[Action]) -> usize {
    answers.iter().filter(|action| matches!(action, Action::RecordResult { .. })).count()
}

#[test]
fn a_finished_task_is_recorded_then_acknowledged() {
    let mut env = TestEnv::with_sweep(1, 1);
    let lease = env.worker("w", &[1]).remove(0);
    env.finish(&lease, task(1, 0));
    let (token, worker) = (lease.token, super::env::worker("w"));
    assert_eq!(
        env.answers(),
        [
            Action::RecordResult { task: task(1, 0), token, attempt: 1, worker },
            Action::Acknowledge { token, task: task(1, 0) },
            Action::EndSweep { sweep: SweepId(1), status: SweepStatus::Complete },
        ]
    );
}

#[test]
fn a_report_after_expiry_is_refused_though_nobody_else_has_the_task_yet() {
    let mut env = TestEnv::with_sweep(1, 1);
    let lease = env.worker("w", &[1]).remove(0);
    env.pass(LEASE);
    let answers = env.answers();
    assert!(
        answers.iter().any(|action| matches!(
            action,
            Action::DropLease { token, reason: DropReason::Expired, .. } if *token == lease.token
        )),
        "the worker is told, should it still be there: {answers:?}"
    );
    env.finish(&lease, task(1, 0));
    let answers = env.answers();
    assert_eq!((records(&answers), refusals(&answers)), (0, vec![DropReason::Stale]));
    assert!(env.is_pending(task(1, 0)));
    env.fail(&lease, task(1, 0), FailureReason::Diverged);
    assert_eq!(refusals(&env.answers()), [DropReason::Stale], "nor can it fail the task");
    assert!(env.is_pending(task(1, 0)));
}

#[test]
fn of_two_workers_that_finish_a_task_the_later_lease_counts() {
    let mut env = TestEnv::with_sweep(1, 1);
    let old = env.worker("old", &[1]).remove(0);
    env.pass(LEASE);
    env.pass(LONG);
    let new = env.worker("new", &[1]).remove(0);
    env.answers();
    env.finish(&old, task(1, 0));
    assert_eq!(refusals(&env.answers()), [DropReason::Stale]);
    env.finish(&new, task(1, 0));
    assert_eq!(records(&env.answers()), 1);
    env.finish(&old, task(1, 0));
    let answers = env.answers();
    assert_eq!((records(&answers), refusals(&answers)), (0, vec![DropReason::Stale]));
}

#[test]
fn heartbeats_and_epochs_keep_a_lease() {
    let mut env = TestEnv::with_sweep(1, 1);
    let lease = env.worker("w", &[1]).remove(0);
    let almost = LEASE - Duration::from_millis(1);
    env.pass(almost);
    env.heartbeat("w");
    env.pass(almost);
    env.apply(epoch_reported(lease.token, task(1, 0), 3));
    assert_eq!(
        env.scheduler.sweep(SweepId(1)).unwrap().running_epochs(),
        (3, u64::from(EPOCHS)),
        "progress is finer than tasks"
    );
    env.pass(almost);
    assert_eq!(env.state(task(1, 0)), TaskState::Running { token: lease.token });
    env.pass(Duration::from_millis(1));
    assert!(env.is_pending(task(1, 0)));
    assert_eq!(env.scheduler.sweep(SweepId(1)).unwrap().running_epochs(), (0, 0));
}

#[test]
fn an_epoch_under_a_stale_token_tells_its_sender_early() {
    let mut env = TestEnv::with_sweep(1, 1);
    let lease = env.worker("w", &[1]).remove(0);
    env.pass(LEASE);
    env.answers();
    env.apply(epoch_reported(lease.token, task(1, 0), 9));
    assert_eq!(refusals(&env.answers()), [DropReason::Stale]);
}

#[test]
fn a_report_whose_acknowledgement_was_lost_is_acknowledged_again() {
    let mut env = TestEnv::with_sweep(2, 1);
    let lease = env.worker("w", &[2]).remove(0);
    env.finish(&lease, task(1, 0));
    env.fail(&lease, task(2, 0), FailureReason::Crash);
    let journaled = env.journal.len();
    env.answers();
    env.finish(&lease, task(1, 0));
    env.fail(&lease, task(2, 0), FailureReason::Crash);
    let token = lease.token;
    assert_eq!(
        env.answers(),
        [Action::Acknowledge { token, task: task(1, 0) }, Action::Acknowledge { token, task: task(2, 0) }],
        "and nothing is recorded or charged twice"
    );
    assert_eq!(env.journal.len(), journaled);
}

#[test]
fn a_worker_that_changes_its_mind_is_refused() {
    let mut env = TestEnv::with_sweep(2, 1);
    let lease = env.worker("w", &[2]).remove(0);
    env.finish(&lease, task(1, 0));
    env.fail(&lease, task(2, 0), FailureReason::Crash);
    env.answers();
    env.fail(&lease, task(1, 0), FailureReason::Crash);
    env.finish(&lease, task(2, 0));
    assert_eq!(refusals(&env.answers()), [DropReason::Stale, DropReason::Stale]);
    assert_eq!(env.state(task(1, 0)), TaskState::Done);
}

#[test]
fn cancelling_drops_what_runs_and_refuses_what_comes_later() {
    let mut env = TestEnv::with_sweep(3, 1);
    let lease = env.worker("w", &[2]).remove(0);
    env.finish(&lease, task(1, 0));
    env.answers();
    env.apply(Event::SweepCancelled { sweep: SweepId(1) });
    let (token, worker) = (lease.token, super::env::worker("w"));
    assert_eq!(
        env.answers(),
        [
            Action::DropLease { worker, token, tasks: vec![], reason: DropReason::Cancelled },
            Action::EndSweep { sweep: SweepId(1), status: SweepStatus::Cancelled }
        ]
    );
    env.finish(&lease, task(2, 0));
    env.fail(&lease, task(2, 0), FailureReason::Crash);
    let answers = env.answers();
    assert_eq!(refusals(&answers), [DropReason::Cancelled, DropReason::Cancelled]);
    let counts = env.scheduler.sweep(SweepId(1)).unwrap().counts();
    assert_eq!((counts.done, counts.cancelled, records(&answers)), (1, 2, 0), "what was done stays done");
    env.finish(&lease, task(1, 0));
    assert!(matches!(env.answers()[..], [Action::Acknowledge { .. }]));
    assert!(env.offer("w", &[0]).is_empty());
    let journaled = env.journal.len();
    env.apply(Event::SweepCancelled { sweep: SweepId(1) });
    assert_eq!((env.answers(), env.journal.len()), (vec![], journaled), "twice is once");
}

#[test]
fn cancelling_forgets_tasks_that_back_off() {
    let mut env = TestEnv::with_sweep(1, 1);
    let lease = env.worker("w", &[1]).remove(0);
    env.fail(&lease, task(1, 0), FailureReason::Crash);
    env.apply(Event::SweepCancelled { sweep: SweepId(1) });
    env.pass(LONG);
    assert_eq!(env.state(task(1, 0)), TaskState::Cancelled);
    assert_eq!(env.scheduler.next_deadline(), None);
}

#[test]
fn reports_about_strangers_are_refused() {
    let mut env = TestEnv::with_sweep(1, 1);
    let mut stranger = task(1, 0);
    stranger.seed = 77;
    env.apply(Event::TaskFinished { token: LeaseToken(1), task: stranger, data_digest: String::new() });
    stranger.sweep = SweepId(9);
    env.apply(Event::TaskFinished { token: LeaseToken(1), task: stranger, data_digest: String::new() });
    env.apply(Event::TaskFinished { token: LeaseToken(0), task: task(1, 0), data_digest: String::new() });
    env.apply(Event::AttemptFailed {
        token: LeaseToken(0),
        task: task(1, 0),
        failure: crate::failure::Failure::new(FailureReason::Crash, "x"),
        unconfirmed: false,
    });
    assert_eq!(
        refusals(&env.answers()),
        [DropReason::Unknown, DropReason::Unknown, DropReason::Stale, DropReason::Stale]
    );
}
