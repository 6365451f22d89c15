//! A person lets a sweep go on with another data set or a changed program.

use std::{sync::Arc, time::Duration};

use super::env::{Granted, TestEnv, everything, program, programs_only, slots_offering, task, worker};
use crate::{
    failure::FailureReason,
    id::SweepId,
    needs::Needs,
    scheduler::{Event, RestoreCause, RetryScope, SchedulerSettings, Submission, TaskState},
    settings::TaskSettings,
};

const FIRST: SweepId = SweepId(1);
const REPLACED: Event = Event::DataReplaced { sweep: FIRST };

fn finish(env: &mut TestEnv, lease: &Granted, digest: &str) {
    let (token, task) = (lease.token, lease.tasks[0].0);
    env.apply(match env.scheduler.wrong_data(token, task, digest) {
        Some(failure) => env.scheduler.failed_attempt(token, task, failure),
        None => Event::TaskFinished { token, task, data_digest: digest.to_owned() },
    });
}

fn digest(env: &TestEnv) -> Option<&str> {
    env.scheduler.data_digest_of(task(1, 0))
}

#[test]
fn the_next_result_determines_the_files_again() {
    let mut env = TestEnv::new();
    env.submit(program("first", 4, 1, Needs::default()));
    let leases = env.worker_offering("w", &[everything(), everything()]);
    finish(&mut env, &leases[0], "old");
    let refused = env.scheduler.wrong_data(leases[1].token, task(2, 0), "new").unwrap();
    assert_eq!(
        refused.message,
        "the program `/home/me/first: python3 train.py` has changed: its files have the digest new here, but the \
         results so far are from old; to go on with the changed program, submit the sweep file again with \
         --changed-program"
    );
    env.apply(Event::LeaseReleased { token: leases[1].token });
    env.apply(REPLACED);
    assert_eq!(digest(&env), None);
    env.crash();
    assert_eq!(digest(&env), None, "results before it determine nothing after a restart either");
    let lease = env.worker_offering("w", &[everything()]).remove(0);
    finish(&mut env, &lease, "new");
    assert_eq!(digest(&env), Some("new"));
    let lease = env.offer("w", &[0]).remove(0);
    assert!(env.scheduler.wrong_data(lease.token, lease.tasks[0].0, "old").is_some());
    env.crash();
    assert_eq!(digest(&env), Some("new"));
}

#[test]
fn what_was_begun_before_is_accepted_and_determines_nothing() {
    let mut env = TestEnv::new();
    env.submit(program("first", 6, 1, Needs::default()));
    let leases = env.worker_offering("w", &[everything(), everything(), everything(), everything()]);
    finish(&mut env, &leases[0], "old");
    env.apply(REPLACED);
    finish(&mut env, &leases[1], "old");
    assert_eq!((env.state(task(2, 0)), digest(&env)), (TaskState::Done, None));
    let new = env.offer("w", &[0]).remove(0);
    finish(&mut env, &new, "new");
    finish(&mut env, &leases[2], "old");
    assert_eq!((env.state(task(3, 0)), digest(&env)), (TaskState::Done, Some("new")));
    // It was bound to the old files, and does not find them any more.
    env.fail(&leases[3], task(4, 0), FailureReason::Data);
    let state = &env.scheduler.sweeps[&FIRST];
    assert_eq!((state.task(3).charged(), state.failed_on.len()), (0, 0));
    assert!(env.is_pending(task(4, 0)) && env.scheduler.records.is_empty());
    env.crash();
    assert_eq!(env.scheduler.sweep(FIRST).unwrap().counts().done, 4);
}

#[test]
fn it_is_no_failure_in_the_only_worker_either() {
    let settings = SchedulerSettings { one_worker: true, ..super::env::settings() };
    let mut env = TestEnv::with_settings(settings);
    env.submit(program("first", 2, 1, Needs::default()));
    let leases = env.worker_offering("w", &[everything(), everything()]);
    finish(&mut env, &leases[0], "old");
    env.apply(REPLACED);
    env.fail(&leases[1], task(2, 0), FailureReason::Data);
    assert!(env.is_pending(task(2, 0)));
    env.pass(Duration::from_secs(60));
    env.heartbeat("w");
    let again = env.offer("w", &[0]).remove(0);
    env.fail(&again, task(2, 0), FailureReason::Data);
    assert_eq!(env.state(task(2, 0)), TaskState::Failed { reason: FailureReason::Data });
}

#[test]
fn what_failed_stays_failed_until_a_person_retries_it() {
    let settings = SchedulerSettings { one_worker: true, ..super::env::settings() };
    let mut env = TestEnv::with_settings(settings);
    env.submit(program("first", 2, 1, Needs::default()));
    let leases = env.worker_offering("w", &[everything(), everything()]);
    finish(&mut env, &leases[0], "old");
    finish(&mut env, &leases[1], "new");
    assert_eq!(env.state(task(2, 0)), TaskState::Failed { reason: FailureReason::Data });
    assert!(env.scheduler.changes_state(&REPLACED), "of an ended sweep too");
    env.apply(REPLACED);
    assert_eq!(env.state(task(2, 0)), TaskState::Failed { reason: FailureReason::Data });
    env.apply(Event::TasksRetried { sweep: FIRST, scope: RetryScope::Failed });
    let again = env.offer("w", &[0, 1]).remove(0);
    finish(&mut env, &again, "new");
    assert_eq!((env.state(task(2, 0)), digest(&env)), (TaskState::Done, Some("new")));
}

#[test]
fn workers_that_were_set_aside_for_the_files_get_tasks_again() {
    let mut env = TestEnv::new();
    env.submit(program("first", 4, 1, Needs::default()));
    let lease = env.worker_offering("good", &[programs_only()]).remove(0);
    finish(&mut env, &lease, "old");
    env.connect_slots("bad", slots_offering([(1, programs_only())]), &[]);
    let lease = env.offer("bad", &[0]).remove(0);
    finish(&mut env, &lease, "new");
    let pauses = env.scheduler.set_aside_for(&worker("bad"));
    assert!(pauses.len() == 1 && pauses[0].program, "{pauses:?}");
    let ending = env.scheduler.pauses_for_data_of(FIRST);
    assert_eq!(ending, [(worker("bad"), "/home/me/first: python3 train.py".to_owned())]);
    env.apply(REPLACED);
    for (worker, data_set) in ending {
        let (data_set, cause) = (Some(data_set), RestoreCause::Person);
        env.apply(Event::WorkerRestored { worker, data_set, cause });
    }
    assert!(env.scheduler.records.is_empty());
    assert!(env.scheduler.sweeps[&FIRST].failed_on.is_empty());
    env.crash();
    assert_eq!(env.scheduler.set_aside_for(&worker("bad")), []);
}

#[test]
fn where_there_is_nothing_to_forget_nothing_is_journaled() {
    let mut env = TestEnv::new();
    env.submit(program("first", 3, 1, Needs::default()));
    assert!(!env.scheduler.changes_state(&REPLACED), "nothing determines its files");
    assert!(
        !env.scheduler.changes_state(&Event::DataReplaced { sweep: SweepId(7) }),
        "there is no such sweep"
    );
    let lease = env.worker_offering("w", &[everything()]).remove(0);
    assert!(env.scheduler.changes_state(&REPLACED), "what runs would determine them");
    env.apply(REPLACED);
    assert!(!env.scheduler.changes_state(&REPLACED));
    finish(&mut env, &lease, "old");
    assert!(!env.scheduler.changes_state(&REPLACED));
}

#[test]
fn a_program_that_runs_elsewhere_now_is_still_the_same() {
    let mut env = TestEnv::new();
    env.submit(program("first", 3, 1, Needs::default()));
    let lease = env.worker_offering("w", &[everything()]).remove(0);
    finish(&mut env, &lease, "old");
    let mut moved = program("first", 3, 1, Needs::default());
    for configuration in &mut moved.configurations {
        let TaskSettings::Program(settings) = Arc::make_mut(&mut configuration.settings) else { panic!() };
        settings.directory = "/elsewhere".to_owned();
        settings.timeout = Some(Duration::from_secs(60));
    }
    assert_eq!(env.scheduler.submission(&moved), Ok(Submission::Known { id: FIRST, changed: true }));
    env.submit(moved.clone());
    let settings = env.scheduler.settings_of(task(2, 0)).unwrap();
    assert_eq!(*settings, *moved.configurations[1].settings);
    assert_eq!(digest(&env), Some("old"));
    let lease = env.offer("w", &[0]).remove(0);
    let refused = env.scheduler.wrong_data(lease.token, lease.tasks[0].0, "new").unwrap();
    assert!(refused.message.contains("`/elsewhere: python3"), "{refused}");
    finish(&mut env, &lease, "old");
    env.crash();
    assert_eq!((env.scheduler.sweep(FIRST).unwrap().counts().done, digest(&env)), (2, Some("old")));
    assert_eq!(env.scheduler.submission(&moved), Ok(Submission::Known { id: FIRST, changed: false }));
}

#[test]
fn it_survives_that_the_sweep_is_settled_and_revived() {
    let settle_after = Some(Duration::from_secs(10));
    let mut env = TestEnv::with_settings(SchedulerSettings { settle_after, ..super::env::settings() });
    env.submit(program("first", 2, 1, Needs::default()));
    let leases = env.worker_offering("w", &[everything(), everything()]);
    finish(&mut env, &leases[0], "old");
    env.apply(REPLACED);
    finish(&mut env, &leases[1], "old");
    env.pass(Duration::from_secs(20));
    assert!(env.scheduler.settled(FIRST).is_some());
    env.revive(FIRST);
    assert_eq!(digest(&env), None);
    assert_eq!(env.scheduler.sweeps[&FIRST].data_replaced_after, leases[1].token);
}
