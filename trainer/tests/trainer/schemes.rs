//! Schemes of modality dropout: exclusive draws, annealed levels, replaced and rescaled values.

use std::collections::BTreeMap;

use colearn_core::{
    id::TaskId,
    result::{TaskResult, metric},
    settings::{
        ModalityDraw, ModalityGranularity, ModalityPart, ModalityReplacement, NetworkSettings,
        TrainingSettings,
    },
};
use colearn_data_format::write;
use colearn_trainer::model::Kernels;
use colearn_trainer_protocol::Member;
use tempfile::TempDir;

use crate::{
    interruptions::{assert_identical, assert_near, busy, interrupted_with, problem, undisturbed},
    problem::{dataset, dropping, member, mfn, train},
};

const ALL: [Kernels; 3] = [Kernels::InMemory, Kernels::InPlace, Kernels::Fused];

type Change = fn(&mut TrainingSettings);

/// Every scheme, with what it changes in settings that drop with a level of 0.5.
const SCHEMES: [(&str, Change); 8] = [
    ("exclusive", |training| training.modality_draw = ModalityDraw::Exclusive),
    ("batch_step", |training| training.modality_granularity = ModalityGranularity::BatchStep),
    ("mean", |training| training.modality_replacement = ModalityReplacement::Mean),
    ("noise", |training| training.modality_replacement = ModalityReplacement::Noise),
    ("rescaled", |training| training.modality_rescale = true),
    ("annealed up", |training| training.modality_anneal_epochs = 6),
    ("annealed down", |training| {
        training.modality_anneal_epochs = 6;
        training.modality_anneal_start = 1.0;
        training.modality_anneal_end = 0.25;
    }),
    ("all of them", |training| {
        training.modality_draw = ModalityDraw::Exclusive;
        training.modality_granularity = ModalityGranularity::BatchStep;
        training.modality_replacement = ModalityReplacement::Noise;
        training.modality_anneal_epochs = 20;
        training.modality_part = ModalityPart::Features;
    }),
];

fn scheme(seed: u64, change: Change) -> Member {
    member(seed, |settings| {
        dropping(0.5)(settings);
        change(&mut settings.training);
    })
}

#[test]
fn each_scheme_trains_and_makes_a_difference() {
    let usual = train(&[scheme(1, |_| {})]).finished.into_values().next().unwrap();
    let mut seen = vec![usual.history];
    for (name, change) in SCHEMES {
        let recorder = train(&[scheme(1, change)]);
        let result = recorder.finished.into_values().next().unwrap();
        assert!(!seen.contains(&result.history), "{name} changes nothing");
        assert!(result.metrics[metric::ACCURACY] > 0.5, "{name}: {:?}", result.metrics);
        seen.push(result.history);
    }
}

/// Settings that say the same in other words, and settings without effect on a unimodal network, give the same bits.
#[test]
fn what_makes_no_difference_changes_no_bit() {
    type Make = fn(&mut NetworkSettings);
    let one_level: Make = |settings| {
        settings.modality_dropout = [("voice".to_owned(), 0.5)].into();
    };
    let pairs: [(&str, Make, Make); 5] = [
        (
            "constant annealing",
            |s| dropping(0.5)(s),
            |s| {
                dropping(0.5)(s);
                s.training.modality_anneal_epochs = 7;
                s.training.modality_anneal_start = 1.0;
            },
        ),
        (
            "a level that ends its annealing at once",
            |s| dropping(0.25)(s),
            |s| {
                dropping(0.5)(s);
                s.training.modality_anneal_epochs = 1;
                s.training.modality_anneal_start = 0.5;
                s.training.modality_anneal_end = 0.5;
            },
        ),
        ("an exclusive draw for one", one_level, |s| {
            s.modality_dropout = [("voice".to_owned(), 0.5)].into();
            s.training.modality_draw = ModalityDraw::Exclusive;
        }),
        (
            "a unimodal network",
            |s| s.unimodal = true,
            |s| {
                dropping(0.4)(s);
                s.unimodal = true;
                s.training.modality_draw = ModalityDraw::Exclusive;
                s.training.modality_replacement = ModalityReplacement::Noise;
                s.training.modality_anneal_epochs = 3;
            },
        ),
        (
            "nothing is dropped",
            |_| {},
            |s| {
                dropping(0.0)(s);
                s.training.modality_rescale = true;
                s.training.modality_granularity = ModalityGranularity::BatchStep;
            },
        ),
    ];
    let data = problem(false);
    for kernels in ALL {
        for (name, one, other) in pairs {
            let results = [one, other].map(|change| {
                let member = member(3, change);
                interrupted_with(kernels, data.path(), std::slice::from_ref(&member), &[])
                    .remove(&member.task)
                    .unwrap()
            });
            assert_eq!(results[0].weights_digest, results[1].weights_digest, "{name}");
            assert_identical(&results[0], &results[1]);
        }
    }
}

/// The means stand for what is absent in validation and test, whatever the file has there.
#[test]
fn absent_modalities_are_their_means() {
    let mut set = dataset(0);
    let mut means: Vec<Vec<f32>> = Vec::new();
    for (features, modality) in set.train.features.iter().zip(&set.modalities) {
        let rows = features.len() / modality.dim;
        let mean = |feature: usize| {
            let own = features.iter().skip(feature).step_by(modality.dim);
            (own.map(|value| f64::from(*value)).sum::<f64>() / rows as f64) as f32
        };
        means.push((0..modality.dim).map(mean).collect());
    }
    for split in [&mut set.valid, &mut set.test] {
        for (modality, mean) in means.iter().enumerate().skip(1) {
            let values = &mut split.features[modality];
            values.iter_mut().zip(mean.iter().cycle()).for_each(|(value, mean)| *value = *mean);
        }
    }
    let folder = TempDir::new().unwrap();
    write(&folder.path().join("small.safetensors"), &set).unwrap();
    let data = problem(false);
    let of = |folder: &TempDir, kernels: Kernels, change: Change| -> TaskResult {
        let member = member(1, |settings| {
            dropping(0.5)(settings);
            change(&mut settings.training);
            settings.evaluate = vec![["words", "voice", "face"].map(str::to_owned).into()];
        });
        interrupted_with(kernels, folder.path(), std::slice::from_ref(&member), &[])
            .remove(&member.task)
            .unwrap()
    };
    let split = |result: &TaskResult| -> [BTreeMap<String, f64>; 2] {
        let (all, alone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            result.metrics.clone().into_iter().partition(|(name, _)| name.contains('@'));
        [alone, all.into_iter().map(|(name, v)| (metric::split(&name).0.to_owned(), v)).collect()]
    };
    for kernels in ALL {
        for change in [SCHEMES[2].1, SCHEMES[3].1] {
            let result = of(&folder, kernels, change);
            let [alone, all] = split(&result);
            assert_eq!(alone, all, "everything present is as if all others were absent");
            let other = of(&data, kernels, change);
            assert_eq!((&other.history, &other.weights_digest), (&result.history, &result.weights_digest));
            assert_eq!(split(&other)[0], alone);
            assert_ne!(split(&other)[1], alone);
        }
        let [alone, all] = split(&of(&folder, kernels, |_| {}));
        assert_ne!(alone, all, "zero is not the mean");
    }
}

/// Members of a cohort may differ in their schemes: their values and their rounding stay their own.
#[test]
fn the_schemes_of_the_others_change_nothing() {
    let data = problem(false);
    let short = |seed, change: Change| {
        member(seed, |settings| {
            dropping(0.5)(settings);
            change(&mut settings.training);
            settings.training.epochs = 3;
        })
    };
    let members: Vec<Member> = (0..).zip(SCHEMES).map(|(seed, (_, change))| short(seed, change)).collect();
    let unimodal = member(77, |settings| {
        settings.unimodal = true;
        settings.training.epochs = 3;
    });
    for kernels in ALL {
        let train = |members: &[Member]| interrupted_with(kernels, data.path(), members, &[]);
        let pairs = |member: &Member| -> Vec<TaskResult> {
            let other = Member { task: TaskId { seed: 97, ..unimodal.task }, ..unimodal.clone() };
            let partners = [other, short(99, SCHEMES[3].1), short(98, |_| {})];
            partners.map(|other| train(&[other, member.clone()]).remove(&member.task).unwrap()).into()
        };
        for member in members.iter().chain([&unimodal]) {
            if let [first, others @ ..] = pairs(member).as_slice() {
                others.iter().for_each(|other| assert_identical(other, first));
            }
        }
    }
}

#[test]
fn both_kernels_train_the_schemes_alike() {
    let data = problem(false);
    for (number, (_, change)) in (0_u64..).zip(SCHEMES) {
        let member = busy(number, 0, |settings| {
            if number % 2 == 1 {
                mfn(settings);
            }
            settings.training.modality_part = ModalityPart::All;
            change(&mut settings.training);
            settings.training.learning_rate = 0.003;
        });
        let [one, other] = ALL.map(|kernels| {
            interrupted_with(kernels, data.path(), std::slice::from_ref(&member), &[])
                .remove(&member.task)
                .unwrap()
        });
        assert_near(&one, &other);
    }
}

/// Annealing depends on the number of the epoch, and noise on its position, and on nothing that came before.
#[test]
fn an_interrupted_scheme_ends_bit_by_bit_the_same() {
    let data = problem(true);
    for (number, (name, change)) in (0_u64..).zip(SCHEMES) {
        let member = busy(number, 2, |settings| change(&mut settings.training));
        let members = std::slice::from_ref(&member);
        let expected = undisturbed(data.path(), members);
        let at = [20 + 9 * number as usize, 31];
        let found = interrupted_with(Kernels::InMemory, data.path(), members, &at);
        assert!(!found[&member.task].resumed_after.is_empty(), "{name}");
        assert_identical(&found[&member.task], &expected[&member.task]);
    }
}
