//! Changes that are computed before their turn: the effect is the same as without.

use std::sync::Arc;

use super::env::{TestEnv, sweep, task, worker};
use crate::{
    failure::FailureReason,
    id::SweepId,
    scheduler::{DataSetShape, DataSets, Event, ExtensionError, KnownDataSet, Prepared, TaskState},
    sweep::{Order, Sweep},
};

const FIRST: SweepId = SweepId(1);

fn there(env: &TestEnv) -> Arc<Sweep> {
    env.scheduler.sweep(FIRST).unwrap().sweep().clone()
}

/// More configurations and seeds, in another order.
fn longer() -> Sweep {
    let mut newer = sweep("first", 6, 4);
    newer.configurations.reverse();
    newer.schedule.order = Order::ByConfiguration;
    newer
}

fn extend(env: &mut TestEnv, prepared: Prepared) {
    let sweep = prepared.sweep().clone();
    env.scheduler.prepare(Box::new(prepared));
    env.apply(Event::SweepExtended { id: FIRST, sweep });
}

#[test]
fn a_prepared_extension_has_the_same_effect_as_one_that_is_not() {
    let mut env = TestEnv::with_sweep(4, 3);
    let leases = env.worker("w", &[1, 1, 1, 2]);
    env.finish_all(&leases[0]);
    let prepared = Prepared::extension(there(&env), &longer()).unwrap();
    assert!(env.scheduler.can_use(FIRST, &prepared));
    // What happens between the preparation and the turn is not lost.
    env.finish_all(&leases[3]);
    env.fail(&leases[1], leases[1].tasks[0].0, FailureReason::Crash);
    extend(&mut env, prepared);
    for (done, _) in leases[0].tasks.iter().chain(&leases[3].tasks) {
        assert_eq!(env.state(*done), TaskState::Done);
    }
    assert!(matches!(env.state(leases[1].tasks[0].0), TaskState::Pending { not_before: Some(_) }));
    assert!(matches!(env.state(leases[2].tasks[0].0), TaskState::Running { .. }));
    assert!(env.is_pending(task(6, 3)));
    assert!(env.scheduler.take_discarded().is_some(), "the state before is dropped elsewhere");
    assert!(env.scheduler.take_discarded().is_none());
    // The replay, which must lead to the same state, knows nothing of the preparation.
    env.crash();
}

#[test]
fn what_was_prepared_for_another_state_of_the_sweep_is_not_used() {
    let mut env = TestEnv::with_sweep(2, 2);
    let late = Prepared::extension(there(&env), &sweep("first", 3, 2)).unwrap();
    let extended = env.scheduler.extension(FIRST, &sweep("first", 2, 3)).unwrap();
    env.apply(Event::SweepExtended { id: FIRST, sweep: Arc::new(extended) });
    assert!(!env.scheduler.can_use(FIRST, &late));
    let journaled = env.journal.len();
    extend(&mut env, late);
    assert_eq!(env.journal.len(), journaled, "it would remove a seed");
    assert_eq!(there(&env).task_count(), 6);
    env.crash();
    let without_change = Prepared::extension(there(&env), &sweep("first", 2, 3)).unwrap();
    extend(&mut env, without_change);
    assert_eq!(env.journal.len(), journaled + 1, "that is the start");
    let fewer = Prepared::extension(there(&env), &sweep("first", 1, 3));
    assert!(matches!(fewer, Err(ExtensionError::Changed { .. })), "{fewer:?}");
}

#[test]
fn a_prepared_submission_has_the_same_effect_as_one_that_is_not() {
    let mut env = TestEnv::new();
    let new = Arc::new(sweep("first", 3, 2));
    env.scheduler.prepare(Box::new(Prepared::submission(new.clone())));
    env.apply(Event::SweepSubmitted { id: FIRST, sweep: new });
    let leases = env.worker("w", &[2]);
    env.crash();
    let again = Arc::new(sweep("first", 3, 2));
    assert!(Prepared::resubmission(there(&env), again).is_none(), "nothing differs");
    let mut edited = sweep("first", 3, 2);
    edited.schedule.order = Order::ByConfiguration;
    edited.report.confidence = 0.9;
    let edited = Arc::new(edited);
    let prepared = Prepared::resubmission(there(&env), edited.clone()).unwrap();
    env.scheduler.prepare(Box::new(prepared));
    env.apply(Event::SweepSubmitted { id: FIRST, sweep: edited });
    assert_eq!(there(&env).report.confidence, 0.9);
    env.crash();
    env.connect("w", &[2], &[&leases[0]]);
    env.finish_all(&leases[0]);
    assert_eq!(env.scheduler.sweep(FIRST).unwrap().counts().done, 2);
}

#[test]
fn a_prepared_sweep_is_held_against_the_same_data() {
    let mut env = TestEnv::new();
    env.connect("w", &[1], &[]);
    let shape = |modalities: &[&str]| DataSetShape {
        modalities: modalities.iter().map(|name| (*name).to_owned()).collect(),
        train_samples: 100,
    };
    let known = |modalities: &[&str]| DataSets {
        complete: true,
        known: [("waves".to_owned(), KnownDataSet { digest: None, shape: Some(shape(modalities)) })].into(),
    };
    let learn = |env: &mut TestEnv, modalities: &[&str]| {
        env.apply(Event::DataSetsKnown { worker: worker("w"), data_sets: known(modalities) });
    };
    learn(&mut env, &["other"]);
    let new = Arc::new(sweep("first", 3, 2));
    let mut prepared = Prepared::submission(new.clone());
    assert!(prepared.data_sets().eq(["waves"]));
    prepared.check(env.scheduler.data_shapes(prepared.data_sets()));
    let plain = env.scheduler.check_data(&new).unwrap_err();
    env.scheduler.prepare(Box::new(prepared));
    assert_eq!(env.scheduler.check_data(&new), Err(plain));
    // What the workers have may change between the check and the turn.
    learn(&mut env, &["inertial"]);
    assert_eq!(env.scheduler.check_data(&new), Ok(()));
}
