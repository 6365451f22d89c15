//! Cohorts that are asked to stop at the end of their epoch.

use std::path::Path;

use colearn_core::id::TaskId;
use colearn_trainer::{model::Kernels, training::Control};
use colearn_trainer_protocol::{Event, Member};
use tempfile::TempDir;

use crate::{
    interruptions::{assert_identical, busy, problem, run, session, undisturbed},
    problem::Recorder,
};

/// Requests parking at a given call of `abandoned`.
struct Parking {
    recorder: Recorder,
    after: usize,
    parked: Vec<TaskId>,
}

impl Control for Parking {
    fn emit(&mut self, event: Event) {
        match event {
            Event::Parked { task } => self.parked.push(task),
            event => self.recorder.emit(event),
        }
    }

    fn abandoned(&mut self) -> Vec<TaskId> {
        self.recorder.abandoned()
    }

    fn parks(&mut self) -> bool {
        self.recorder.calls > self.after
    }
}

fn park(data: &Path, checkpoints: &Path, members: &[Member], after: usize) -> Parking {
    let mut control = Parking { recorder: Recorder::default(), after, parked: Vec::new() };
    session(data, checkpoints, Kernels::InMemory).train(members, &mut control);
    assert!(control.recorder.failed.is_empty(), "{:?}", control.recorder.failed);
    control
}

/// Epochs have 14 steps and one more query; checkpoints are due after the fifth and the tenth epoch.
#[test]
fn a_parked_cohort_goes_on_after_the_epoch_it_was_in_bit_by_bit() {
    let data = problem(false);
    let members = [busy(1, 5, |_| {}), busy(2, 5, |_| {})];
    let tasks: Vec<TaskId> = members.iter().map(|member| member.task).collect();
    let expected = undisturbed(data.path(), &members);
    let checkpoints = TempDir::new().unwrap();
    // In the middle of the third epoch; at once in the next attempt; at the end of the fourth epoch.
    for (after, epochs) in [(35, 3), (0, 1)] {
        let parked = park(data.path(), checkpoints.path(), &members, after);
        assert_eq!(parked.parked, tasks);
        assert_eq!(parked.recorder.epochs[&tasks[0]].len(), epochs);
        assert!(parked.recorder.finished.is_empty());
    }
    let finished = run(data.path(), checkpoints.path(), &members, usize::MAX).finished;
    for task in tasks {
        assert_eq!(finished[&task].resumed_after, [3, 4]);
        assert_identical(&finished[&task], &expected[&task]);
    }
}

#[test]
fn a_member_that_is_done_with_its_epoch_is_finished_and_not_parked() {
    let data = problem(false);
    let members = [busy(1, 5, |_| {})];
    let checkpoints = TempDir::new().unwrap();
    // In the twelfth and last epoch.
    let parked = park(data.path(), checkpoints.path(), &members, 11 * 15 + 3);
    assert!(parked.parked.is_empty());
    assert_eq!(parked.recorder.finished.len(), 1);
}

#[test]
fn without_checkpoints_parking_does_not_wait_for_the_end_of_the_epoch() {
    let data = problem(false);
    let members = [busy(1, 0, |_| {})];
    let checkpoints = TempDir::new().unwrap();
    let parked = park(data.path(), checkpoints.path(), &members, 20);
    assert_eq!((parked.parked.len(), parked.recorder.calls), (1, 21));
    assert_eq!(std::fs::read_dir(checkpoints.path()).unwrap().count(), 0);
}
