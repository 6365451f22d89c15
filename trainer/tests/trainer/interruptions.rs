//! Training that is cut off and continued, as other processes would.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use colearn_core::{
    id::TaskId,
    result::{TaskResult, curve},
    settings::{ModalityGranularity, ModalityPart, NetworkSettings, Schedule, Shuffle},
};
use colearn_data_format::{DataFolder, write};
use colearn_trainer::{
    device::TrainingDevice,
    model::Kernels,
    random::{Purpose, Stream},
    training::{Control, TrainingSession},
};
use colearn_trainer_protocol::{Event, Member, checkpoint::Store};
use tempfile::TempDir;

use crate::problem::{Recorder, dataset, dropping, member, regression};

/// Stops everything at a given call of `abandoned`, like a power cut.
struct Interrupted {
    recorder: Recorder,
    after: usize,
    all: Vec<TaskId>,
}

impl Control for Interrupted {
    fn emit(&mut self, event: Event) {
        self.recorder.emit(event);
    }

    fn abandoned(&mut self) -> Vec<TaskId> {
        let before = self.after;
        self.after = before.saturating_sub(1);
        if before == 0 { self.all.clone() } else { Vec::new() }
    }
}

/// A session as a new process would begin it.
pub(crate) fn session(data: &Path, checkpoints: &Path, kernels: Kernels) -> TrainingSession {
    tch::set_num_threads(1);
    let store = Store::open(checkpoints.to_str().unwrap()).unwrap();
    let device = TrainingDevice { kernels, ..TrainingDevice::find("cpu", 1).unwrap() };
    TrainingSession::new(device, DataFolder::confined(data.to_owned()), Some(store))
}

pub(crate) fn run(data: &Path, checkpoints: &Path, members: &[Member], after: usize) -> Recorder {
    run_with(Kernels::InMemory, data, checkpoints, members, after)
}

fn run_with(kernels: Kernels, data: &Path, checkpoints: &Path, members: &[Member], after: usize) -> Recorder {
    let all = members.iter().map(|member| member.task).collect();
    let mut control = Interrupted { recorder: Recorder::default(), after, all };
    session(data, checkpoints, kernels).train(members, &mut control);
    assert!(control.recorder.failed.is_empty(), "{:?}", control.recorder.failed);
    control.recorder
}

/// Interrupts at each of these numbers of steps, then trains to the end. Finished tasks are not trained again.
fn interrupted(data: &Path, members: &[Member], at: &[usize]) -> BTreeMap<TaskId, TaskResult> {
    interrupted_with(Kernels::InMemory, data, members, at)
}

pub(crate) fn interrupted_with(
    kernels: Kernels,
    data: &Path,
    members: &[Member],
    at: &[usize],
) -> BTreeMap<TaskId, TaskResult> {
    let checkpoints = TempDir::new().unwrap();
    let mut finished = BTreeMap::new();
    for after in at.iter().copied().chain([usize::MAX]) {
        let left: Vec<Member> =
            members.iter().filter(|member| !finished.contains_key(&member.task)).cloned().collect();
        finished.extend(run_with(kernels, data, checkpoints.path(), &left, after).finished);
    }
    finished
}

pub(crate) fn undisturbed(data: &Path, members: &[Member]) -> BTreeMap<TaskId, TaskResult> {
    interrupted(data, members, &[])
}

/// Equal bit by bit: floats that print alike are alike, and the digest covers the bytes of the weights.
pub(crate) fn assert_identical(found: &TaskResult, expected: &TaskResult) {
    let same = TaskResult {
        seconds: expected.seconds,
        resumed_after: expected.resumed_after.clone(),
        ..found.clone()
    };
    assert_eq!(&same, expected);
    assert_eq!(found.weights_digest.len(), 64);
}

pub(crate) fn assert_near(found: &TaskResult, expected: &TaskResult) {
    assert_eq!(found.history.len(), expected.history.len());
    for (a, b) in found.history.iter().zip(&expected.history) {
        assert!((a.values[curve::TRAIN_LOSS] - b.values[curve::TRAIN_LOSS]).abs() < 1e-3, "{a:?} and {b:?}");
        assert!((a.values[curve::VALID_LOSS] - b.values[curve::VALID_LOSS]).abs() < 1e-3, "{a:?} and {b:?}");
    }
}

/// A member that uses every part with a state of its own.
pub(crate) fn busy(seed: u64, every: u32, change: impl FnOnce(&mut NetworkSettings)) -> Member {
    let mut member = member(seed, |settings| {
        dropping(0.5)(settings);
        let training = &mut settings.training;
        training.shuffle = Shuffle::EveryEpoch;
        // 13 full batches and one of 4 samples.
        training.batch_size = 9;
        training.drop_last = false;
        training.schedule = Schedule::Plateau;
        training.plateau_patience = 1;
        training.plateau_factor = 0.5;
        training.learning_rate = 0.03;
        training.weight_decay = 1e-4;
        training.gradient_clip = 1.0;
        training.modality_granularity = ModalityGranularity::Sample;
        training.modality_part = ModalityPart::Features;
        training.keep_by = ["face", "words"].map(str::to_owned).to_vec();
        change(settings);
    });
    member.checkpoint_every_epochs = every;
    member
}

pub(crate) fn problem(of_numbers: bool) -> TempDir {
    let folder = TempDir::new().unwrap();
    let set = if of_numbers { regression() } else { dataset(0) };
    write(&folder.path().join("small.safetensors"), &set).unwrap();
    folder
}

/// The files below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// One draw that tests the helper itself: interruptions come at different places.
#[test]
fn an_interruption_stops_everything_at_its_step() {
    let data = problem(false);
    let checkpoints = TempDir::new().unwrap();
    let members = [busy(1, 0, |_| {}), busy(2, 0, |_| {})];
    let steps = Stream::new(1, Purpose::Shuffle, 0, 0).permutation(60);
    for after in steps.into_iter().take(5).chain([14, 15, 29, 30]) {
        let recorder = run(data.path(), checkpoints.path(), &members, after as usize);
        assert!(recorder.finished.is_empty());
        assert_eq!(recorder.epochs.values().map(Vec::len).sum::<usize>(), 2 * (after as usize / 15));
    }
    assert!(files(checkpoints.path()).is_empty(), "every 0 epochs is never");
}
