//! Compares interrupted and continued training with uninterrupted training.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use colearn_core::{
    id::TaskId,
    result::TaskResult,
    settings::{
        BiEflstmSettings, ModalityDraw, ModalityGranularity, ModalityPart, ModelSettings, Schedule, Shuffle,
        TaskSettings,
    },
};
use colearn_data_format::{DataFolder, write};
use colearn_trainer::{
    device::TrainingDevice,
    model::Kernels,
    random::{Purpose, Stream},
    training::{Control, Session},
};
use colearn_trainer_protocol::{Event, Member, checkpoint::Store};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::problem::{Recorder, dataset, dropping, five, folder, member, mfn, regression};

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
    session(data, checkpoints, Kernels::InPlace).train(members, &mut control);
    assert!(control.recorder.failed.is_empty(), "{:?}", control.recorder.failed);
    control
}

/// A session as a new process would begin it.
fn session(data: &Path, checkpoints: &Path, kernels: Kernels) -> Session {
    tch::set_num_threads(1);
    let store = Store::open(checkpoints.to_str().unwrap()).unwrap();
    let device = TrainingDevice { kernels, ..TrainingDevice::find("cpu", 1).unwrap() };
    Session::new(device, DataFolder::confined(data.to_owned()), Some(store))
}

fn run(data: &Path, checkpoints: &Path, members: &[Member], after: usize) -> Recorder {
    run_with(Kernels::InPlace, data, checkpoints, members, after)
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
    interrupted_with(Kernels::InPlace, data, members, at)
}

fn interrupted_with(
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

fn undisturbed(data: &Path, members: &[Member]) -> BTreeMap<TaskId, TaskResult> {
    interrupted(data, members, &[])
}

/// Equal bit by bit: floats that print alike are alike, and the digest covers the bytes of the weights.
fn assert_identical(found: &TaskResult, expected: &TaskResult) {
    let same = TaskResult {
        seconds: expected.seconds,
        resumed_after: expected.resumed_after.clone(),
        ..found.clone()
    };
    assert_eq!(&same, expected);
    assert_eq!(found.weights_digest.len(), 64);
}

fn assert_near(found: &TaskResult, expected: &TaskResult) {
    assert_eq!(found.history.len(), expected.history.len());
    for (a, b) in found.history.iter().zip(&expected.history) {
        assert!((a.train_loss - b.train_loss).abs() < 1e-3, "{a:?} and {b:?}");
        assert!((a.valid_loss - b.valid_loss).abs() < 1e-3, "{a:?} and {b:?}");
    }
}

/// A member that uses every part with a state of its own.
fn busy(seed: u64, every: u32, change: impl FnOnce(&mut TaskSettings)) -> Member {
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
        change(settings);
    });
    member.checkpoint_every_epochs = every;
    member
}

fn problem(of_numbers: bool) -> TempDir {
    let folder = TempDir::new().unwrap();
    let set = if of_numbers { regression() } else { dataset(0) };
    write(&folder.path().join("small.safetensors"), &set).unwrap();
    folder
}

proptest! {
    // A case trains several small networks, which takes about a second.
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// A task of 12 epochs of 14 steps is interrupted up to four times, at any step.
    #[test]
    fn interrupted_at_random_places_it_ends_bit_by_bit_the_same(
        at in prop::collection::vec(0_usize..170, 1..5),
        every in 1_u32..6,
        memory_fusion: bool,
        of_numbers: bool,
        fused: bool,
    ) {
        let kernels = if fused { Kernels::Fused } else { Kernels::InPlace };
        let data = problem(of_numbers);
        let member = busy(7, every, |settings| if memory_fusion { mfn(settings) });
        let members = std::slice::from_ref(&member);
        let found = interrupted_with(kernels, data.path(), members, &at);
        let expected = interrupted_with(kernels, data.path(), members, &[]);
        assert_identical(&found[&member.task], &expected[&member.task]);
    }
}

/// A cohort of different members, some of which leave early, with partial drops and every other feature in use.
#[test]
fn the_kernels_of_gpus_train_as_those_of_cpus_do() {
    for (of_numbers, memory_fusion) in [(false, false), (true, true)] {
        let data = problem(of_numbers);
        let members: Vec<Member> = (0..3_u32)
            .map(|seed| {
                busy(seed.into(), 0, |settings| {
                    if memory_fusion {
                        mfn(settings);
                    }
                    settings.training.learning_rate = 0.002 * f64::from(seed + 1);
                    settings.training.patience = 2 * seed;
                })
            })
            .collect();
        let [on_cpus, on_gpus] = [Kernels::InPlace, Kernels::Fused]
            .map(|kernels| interrupted_with(kernels, data.path(), &members, &[]));
        for member in &members {
            let (found, expected) = (&on_gpus[&member.task], &on_cpus[&member.task]);
            assert_near(found, expected);
            assert_ne!(found.weights_digest, expected.weights_digest, "they are not the same code");
        }
    }
}

#[test]
fn it_goes_on_from_the_newest_checkpoint() {
    let data = problem(false);
    let checkpoints = TempDir::new().unwrap();
    let member = busy(1, 2, |_| {});
    let members = std::slice::from_ref(&member);
    // 14 batches an epoch and one query at its end: this is within the sixth epoch.
    let first = run(data.path(), checkpoints.path(), members, 5 * 15 + 3);
    assert_eq!(first.epochs[&member.task].len(), 5);
    let second = run(data.path(), checkpoints.path(), members, 4 * 15 + 1);
    let epochs = |recorder: &Recorder| -> Vec<u32> {
        recorder.epochs[&member.task].iter().map(|record| record.epoch).collect()
    };
    assert_eq!(epochs(&second), [5, 6, 7, 8]);
    let third = run(data.path(), checkpoints.path(), members, usize::MAX);
    assert_eq!(epochs(&third), [9, 10, 11, 12]);
    let result = &third.finished[&member.task];
    assert_eq!(result.resumed_after, [4, 8]);
    assert_eq!(result.history.len(), 12);
}

/// In cohorts of one size the identity and the progress of the other members change nothing.
#[test]
fn a_member_can_go_on_beside_others_than_before() {
    let data = problem(false);
    let checkpoints = TempDir::new().unwrap();
    let members: Vec<Member> =
        (0..4).map(|seed| busy(seed, 1, |s| s.training.learning_rate = 0.01 * (1 + seed) as f64)).collect();
    let pair = |a: usize, b: usize| [members[a].clone(), members[b].clone()];
    let expected = undisturbed(data.path(), &pair(0, 1));
    // Members 0 and 1 get as far as the fifth epoch, 2 and 3 to the second.
    run(data.path(), checkpoints.path(), &pair(0, 1), 5 * 15 + 6);
    run(data.path(), checkpoints.path(), &pair(2, 3), 2 * 15 + 6);
    let mixed = run(data.path(), checkpoints.path(), &pair(2, 1), usize::MAX);
    let first = |task| mixed.epochs[&task][0].epoch;
    assert_eq!((first(members[2].task), first(members[1].task)), (3, 6));
    // Member 1 ends first. Member 2 then trains alone for three epochs, which have another cohort size.
    assert_identical(&mixed.finished[&members[1].task], &expected[&members[1].task]);
    let alone = undisturbed(data.path(), &pair(2, 3));
    assert_near(&mixed.finished[&members[2].task], &alone[&members[2].task]);
}

/// Whole batches are dropped, so columns that no member has are left out of the products. The modalities of the other
/// members must not influence a member's rounding.
#[test]
fn what_the_others_drop_changes_nothing() {
    let data = problem(false);
    let member = |seed, level: f64| {
        let mut member = busy(seed, 1, |settings| {
            settings.training.modality_granularity = ModalityGranularity::Batch;
            settings.training.modality_part = ModalityPart::All;
            settings.training.modality_draw = ModalityDraw::Independent;
            settings.model =
                ModelSettings::BiEflstm(BiEflstmSettings { hidden: 24, layers: 1, dropout: 0.1 });
            dropping(level)(settings);
        });
        member.checkpoint_every_epochs = 1;
        member
    };
    let expected = undisturbed(data.path(), &[member(1, 0.6), member(2, 0.9)]);
    for other in [member(3, 0.0), member(4, 0.3), member(5, 1.0)] {
        let checkpoints = TempDir::new().unwrap();
        run(data.path(), checkpoints.path(), &[member(1, 0.6), member(2, 0.9)], 4 * 15 + 6);
        // This member is as far as the first, so that both end together and the cohort keeps its size.
        run(data.path(), checkpoints.path(), &[other.clone(), member(6, 0.5)], 4 * 15 + 6);
        let found = run(data.path(), checkpoints.path(), &[other, member(1, 0.6)], usize::MAX);
        let task = member(1, 0.6).task;
        assert_identical(&found.finished[&task], &expected[&task]);
    }
}

/// Another cohort size changes the rounding and nothing else.
#[test]
fn a_member_can_go_on_in_a_cohort_of_another_size() {
    let data = folder();
    let mut members = five();
    members.iter_mut().for_each(|member| member.checkpoint_every_epochs = 3);
    let expected = undisturbed(data.path(), &members);
    let checkpoints = TempDir::new().unwrap();
    run(data.path(), checkpoints.path(), &members, 7 * 13);
    for member in &members {
        let found = run(data.path(), checkpoints.path(), std::slice::from_ref(member), usize::MAX);
        assert_eq!(found.finished[&member.task].resumed_after, [6]);
        assert_near(&found.finished[&member.task], &expected[&member.task]);
    }
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn checkpoints_that_are_of_no_use_are_refused_and_the_task_starts_over() {
    let data = problem(false);
    let member = busy(1, 2, |_| {});
    let members = std::slice::from_ref(&member);
    let expected = undisturbed(data.path(), members);
    type Spoil = fn(&mut Vec<u8>);
    let spoil: [(&str, Spoil); 4] = [
        ("corrupt", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }),
        ("truncated", |bytes| bytes.truncate(bytes.len() / 3)),
        ("oversized", |bytes| bytes.resize(bytes.len() + (200 << 20), 0)),
        ("empty", Vec::clear),
    ];
    for (what, spoil) in spoil {
        let checkpoints = TempDir::new().unwrap();
        run(data.path(), checkpoints.path(), members, 5 * 15 + 3);
        let written = files(checkpoints.path());
        assert_eq!(written.len(), 2, "{written:?}");
        for file in written {
            let mut bytes = std::fs::read(&file).unwrap();
            spoil(&mut bytes);
            std::fs::write(&file, bytes).unwrap();
        }
        let again = run(data.path(), checkpoints.path(), members, usize::MAX);
        assert_eq!(again.epochs[&member.task][0].epoch, 1, "{what}");
        assert_identical(&again.finished[&member.task], &expected[&member.task]);
    }
    // The checkpoints of another task replace those of this one.
    let (checkpoints, others) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    run(data.path(), checkpoints.path(), members, 5 * 15 + 3);
    run(data.path(), others.path(), std::slice::from_ref(&busy(2, 2, |_| {})), 5 * 15 + 3);
    let (own, foreign) = (files(checkpoints.path()), files(others.path()));
    assert_eq!((own.len(), foreign.len()), (2, 2));
    for (own, foreign) in own.iter().zip(&foreign) {
        std::fs::copy(foreign, own).unwrap();
    }
    let again = run(data.path(), checkpoints.path(), members, usize::MAX);
    assert_eq!(again.epochs[&member.task][0].epoch, 1);
}

/// If the data set under the same name changed, training does not continue with the old weights.
#[test]
fn a_checkpoint_of_other_data_is_refused() {
    let data = problem(false);
    let checkpoints = TempDir::new().unwrap();
    let member = busy(1, 2, |_| {});
    let members = std::slice::from_ref(&member);
    run(data.path(), checkpoints.path(), members, 5 * 15 + 3);
    write(&data.path().join("small.safetensors"), &dataset(1)).unwrap();
    let again = run(data.path(), checkpoints.path(), members, usize::MAX);
    assert_eq!(again.epochs[&member.task][0].epoch, 1);
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
