//! Compares interrupted and continued training with uninterrupted training.

use colearn_core::settings::{
    BiEflstmSettings, ModalityDraw, ModalityGranularity, ModalityPart, ModelSettings,
};
use colearn_data_format::write;
use colearn_trainer::model::Kernels;
use colearn_trainer_protocol::Member;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::{
    interruptions::{
        assert_identical, assert_near, busy, files, interrupted_with, problem, run, undisturbed,
    },
    problem::{Recorder, dataset, dropping, five, folder, mfn},
};

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
        let kernels = if fused { Kernels::Fused } else { Kernels::InMemory };
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
        let [on_cpus, on_gpus] = [Kernels::InMemory, Kernels::Fused]
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
