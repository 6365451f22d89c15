//! Two submissions of one sweep give one sweep.

use std::sync::Arc;

use super::env::{TestEnv, sweep, task};
use crate::{
    id::SweepId,
    scheduler::{Event, Submission, SubmissionError, TaskState},
    sweep::Kept,
};

#[test]
fn the_same_sweep_twice_is_one() {
    let mut env = TestEnv::with_sweep(2, 2);
    let again = sweep("first", 2, 2);
    let known = Submission::Known { id: SweepId(1), changed: false };
    assert_eq!(env.scheduler.submission(&again), Ok(known));
    let journaled = env.journal.len();
    env.submit(again);
    assert_eq!(env.journal.len(), journaled);
    assert_eq!(env.scheduler.sweeps().count(), 1);
}

#[test]
fn other_retry_checkpoint_and_report_settings_are_taken_over_and_nothing_else() {
    let mut env = TestEnv::with_sweep(2, 2);
    let lease = env.worker("w", &[1]).remove(0);
    env.finish(&lease, task(1, 0));
    let mut again = sweep("first", 2, 2);
    again.retries.max_attempts = 9;
    again.checkpoint.every_epochs = 7;
    again.keep = [Kept::Weights].into();
    again.report.confidence = 0.5;
    again.configurations[1].baseline = true;
    again.seeds.reverse();
    again.configurations.reverse();
    assert_eq!(env.scheduler.submission(&again), Ok(Submission::Known { id: SweepId(1), changed: true }));
    env.submit(again);
    let view = env.scheduler.sweep(SweepId(1)).unwrap();
    assert_eq!(view.sweep().retries.max_attempts, 9);
    assert_eq!(view.sweep().checkpoint.every_epochs, 7);
    assert_eq!(view.sweep().keep, [Kept::Weights].into());
    assert_eq!(view.sweep().seeds, [0, 1], "the order of the tasks stays");
    assert_eq!(view.sweep().configurations.iter().map(|c| c.baseline).collect::<Vec<_>>(), [false, true]);
    assert_eq!(env.state(task(1, 0)), TaskState::Done);
    env.crash();
}

#[test]
fn another_sweep_of_the_same_name_is_an_error() {
    let env = TestEnv::with_sweep(2, 2);
    for other in [sweep("first", 3, 2), sweep("first", 2, 1)] {
        let error = env.scheduler.submission(&other).unwrap_err();
        assert!(matches!(error, SubmissionError::OtherTasks { .. }), "{error}");
        let what = if other.seeds.len() == 1 {
            "seeds: without 1"
        } else {
            "combinations of the same values: 1 new"
        };
        assert!(error.to_string().contains(what), "{error}");
    }
    let mut other_seed = sweep("first", 2, 2);
    other_seed.seeds[1] = 5;
    assert!(env.scheduler.submission(&other_seed).is_err());
}

#[test]
fn another_sweep_of_the_same_name_in_a_journal_changes_nothing() {
    let mut env = TestEnv::with_sweep(2, 2);
    env.apply(Event::SweepSubmitted { id: SweepId(1), sweep: Arc::new(sweep("first", 3, 2)) });
    env.apply(Event::SweepSubmitted { id: SweepId(2), sweep: Arc::new(sweep("first", 3, 2)) });
    assert_eq!(env.scheduler.sweep(SweepId(1)).unwrap().counts().total(), 4);
    assert!(env.scheduler.sweep(SweepId(2)).is_none());
}

#[test]
fn sweeps_without_tasks_or_with_too_many_are_errors() {
    let env = TestEnv::new();
    assert!(matches!(env.scheduler.submission(&sweep("none", 0, 1)), Err(SubmissionError::Empty(_))));
    let mut huge = sweep("huge", 1, 0);
    huge.seeds = (0..10_000_001).collect();
    assert!(matches!(env.scheduler.submission(&huge), Err(SubmissionError::TooManyTasks { .. })));
}

#[test]
fn a_sweep_that_is_submitted_again_gets_its_new_baselines() {
    let mut env = TestEnv::new();
    let first = sweep("first", 4, 1);
    env.submit(first.clone());
    let mut again = first;
    for (configuration, with) in [(1, 0), (3, 2)] {
        again.configurations[with].baseline = true;
        again.configurations[configuration].compared_with = Some(again.configurations[with].id);
    }
    assert!(matches!(env.scheduler.submission(&again), Ok(Submission::Known { changed: true, .. })));
    env.submit(again.clone());
    assert!(matches!(env.scheduler.submission(&again), Ok(Submission::Known { changed: false, .. })));
}
