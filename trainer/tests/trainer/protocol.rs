//! Tests the settings of the papers' protocol one by one.

use colearn_core::{
    failure::FailureReason,
    result::{curve, metric},
    settings::{Keep, ModalityGranularity, ModalityPart, NetworkSettings, Schedule},
};
use colearn_data_format::write;
use colearn_trainer_protocol::Member;
use tempfile::TempDir;

use crate::problem::{Recorder, dropping, member, mfn, regression, session, train};

/// The result of training one member.
fn result_of(change: impl FnOnce(&mut NetworkSettings)) -> colearn_core::result::TaskResult {
    let member = member(1, change);
    let mut recorder = train(std::slice::from_ref(&member));
    assert!(recorder.failed.is_empty(), "{:?}", recorder.failed);
    recorder.finished.remove(&member.task).unwrap()
}

#[test]
fn a_memory_fusion_network_learns_to_classify() {
    let result = result_of(|settings| {
        mfn(settings);
        dropping(0.5)(settings);
    });
    assert!(result.metrics[metric::ACCURACY] > 0.75, "{:?}", result.metrics);
    assert_eq!(*result.classes, ["a", "b", "c"]);
}

#[test]
fn both_networks_learn_to_give_numbers() {
    let folder = TempDir::new().unwrap();
    write(&folder.path().join("small.safetensors"), &regression()).unwrap();
    for change in [mfn, |_: &mut NetworkSettings| {}] {
        let member = member(1, |settings| {
            change(settings);
            settings.training.epochs = 25;
        });
        let mut recorder = Recorder::default();
        session(folder.path()).train(&[member], &mut recorder);
        assert!(recorder.failed.is_empty(), "{:?}", recorder.failed);
        let result = recorder.finished.into_values().next().unwrap();
        // Always predicting the median would give an error of 1.3.
        assert!(result.metrics[metric::MAE] < 1.1, "{:?}", result.metrics);
        assert!(result.metrics[metric::PEARSON_R] > 0.7, "{:?}", result.metrics);
        assert!((result.metrics[metric::LOSS] - result.metrics[metric::MAE]).abs() < 1e-6);
        assert_eq!(result.metrics.len(), 2 * metric::REGRESSION.len());
        assert!(metric::REGRESSION.into_iter().all(|name| result.metrics.contains(name)));
        assert_eq!(result.metrics[metric::ACCURACY], result.metrics[metric::ACCURACY_2_NONNEGATIVE]);
        assert_eq!((result.classes.len(), result.confusion.len()), (7, 7));
        assert_eq!(result.classes[0], "-3");
        assert_eq!(result.confusion.iter().flatten().sum::<u64>(), 300);
    }
}

/// The effect of a setting is visible in the history. A setting that the code ignores would have no effect.
#[test]
fn every_setting_changes_the_training() {
    let usual = result_of(dropping(0.5));
    type Change = fn(&mut NetworkSettings);
    let changes: [(&str, Change); 10] = [
        ("beta1", |s| s.training.beta1 = 0.5),
        ("beta2", |s| s.training.beta2 = 0.9),
        ("weight_decay", |s| s.training.weight_decay = 0.01),
        ("gradient_clip", |s| s.training.gradient_clip = 0.01),
        ("schedule", |s| {
            s.training.schedule = Schedule::Plateau;
            s.training.plateau_patience = 0;
            s.training.learning_rate = 0.05;
        }),
        ("granularity", |s| s.training.modality_granularity = ModalityGranularity::Sample),
        ("step", |s| s.training.modality_granularity = ModalityGranularity::Step),
        ("features", |s| s.training.modality_part = ModalityPart::Features),
        ("steps", |s| s.training.modality_part = ModalityPart::Steps),
        ("fraction", |s| {
            s.training.modality_part = ModalityPart::Features;
            s.training.modality_fraction = 0.9;
        }),
    ];
    let mut seen = vec![usual.history.clone()];
    for (name, change) in changes {
        let result = result_of(|settings| {
            dropping(0.5)(settings);
            change(settings);
        });
        assert!(!seen.contains(&result.history), "{name} changes nothing");
        assert!(result.metrics[metric::ACCURACY] > 0.5, "{name}: {:?}", result.metrics);
        seen.push(result.history);
    }
}

/// A partial drop of everything equals a full drop, and a partial drop of nothing equals no drop.
#[test]
fn partial_drops_have_drops_as_their_ends() {
    let partial = |part, fraction| {
        result_of(move |settings| {
            dropping(0.5)(settings);
            settings.training.modality_part = part;
            settings.training.modality_fraction = fraction;
        })
    };
    let (dropped, whole) = (result_of(dropping(0.5)), result_of(|_| {}));
    for part in [ModalityPart::Features, ModalityPart::Steps] {
        for (partial, whole) in [(partial(part, 1.0), &dropped), (partial(part, 0.0), &whole)] {
            for (a, b) in partial.history.iter().zip(&whole.history) {
                assert!(
                    (a.values[curve::VALID_LOSS] - b.values[curve::VALID_LOSS]).abs() < 1e-3,
                    "{part:?}: {a:?} and {b:?}"
                );
            }
        }
    }
}

#[test]
fn patience_stops_a_member_and_not_the_others() {
    // At this rate the loss rises again soon.
    let patient = |seed, patience| {
        member(seed, |settings| {
            settings.training.learning_rate = 0.05;
            settings.training.patience = patience;
        })
    };
    let members: Vec<Member> = vec![patient(0, 1), patient(1, 0), patient(2, 1)];
    let recorder = train(&members);
    let alone: Vec<_> = members.iter().map(|member| train(std::slice::from_ref(member))).collect();
    for (member, alone) in members.iter().zip(&alone) {
        let (result, alone) = (&recorder.finished[&member.task], &alone.finished[&member.task]);
        assert_eq!(result.history.len(), alone.history.len());
        let best = result.best_epoch as usize;
        let expected =
            if member.settings.network().unwrap().training.patience == 0 { 12 } else { (best + 1).min(12) };
        assert_eq!(result.history.len(), expected);
    }
    let lengths: Vec<usize> =
        members.iter().map(|member| recorder.finished[&member.task].history.len()).collect();
    assert!(lengths[0] < 12 || lengths[2] < 12, "nobody stopped: {lengths:?}");
}

#[test]
fn the_last_weights_are_tested_where_they_are_to_be_kept() {
    let kept = |keep| {
        result_of(move |settings| {
            settings.training.learning_rate = 0.05;
            settings.training.keep = keep;
        })
    };
    let (best, last) = (kept(Keep::Best), kept(Keep::Last));
    assert_eq!(best.history, last.history);
    assert_eq!(last.best_epoch, 12);
    assert!(best.best_epoch < 12, "with the last epoch the best this shows nothing");
    assert_ne!(best.weights_digest, last.weights_digest);
}

/// The modalities that decide change which epoch is kept, and nothing of the training.
#[test]
fn the_kept_epoch_is_the_best_on_the_modalities_that_decide() {
    let both = || ["face", "words"].map(str::to_owned).to_vec();
    let trained = |keep_by: Vec<String>, unimodal| {
        result_of(move |settings| {
            settings.training.learning_rate = 0.05;
            settings.unimodal = unimodal;
            settings.evaluate = vec![both()];
            settings.training.keep_by = keep_by;
        })
    };
    let (plain, by_both) = (trained(Vec::new(), false), trained(both(), false));
    let losses = |result: &colearn_core::result::TaskResult, name| {
        result.history.iter().map(|record| record.get(name)).collect::<Vec<_>>()
    };
    for name in curve::NETWORK {
        assert_eq!(losses(&plain, name), losses(&by_both, name), "{name}");
    }
    assert!(losses(&plain, curve::KEEP_LOSS).iter().all(Option::is_none));
    let deciding: Vec<f64> = losses(&by_both, curve::KEEP_LOSS).into_iter().flatten().collect();
    let lowest = deciding.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!((deciding.len(), deciding[by_both.best_epoch as usize - 1]), (12, lowest));
    assert!((by_both.metrics["valid/loss@face+words"] - lowest).abs() < 1e-6);
    assert_ne!(by_both.best_epoch, plain.best_epoch, "with one best epoch for both this shows nothing");
    assert_ne!(by_both.weights_digest, plain.weights_digest);
    // A unimodal network sees nothing else.
    let unimodal = trained(both(), true);
    assert!(losses(&unimodal, curve::KEEP_LOSS).iter().all(Option::is_none));
}

#[test]
fn subsets_are_evaluated_beside_the_primary_modality() {
    let subsets = |settings: &mut NetworkSettings| {
        settings.evaluate = vec![
            vec!["voice".to_owned()],
            vec!["face".to_owned(), "words".to_owned()],
            vec!["face".to_owned(), "voice".to_owned(), "words".to_owned()],
        ];
    };
    let plain = result_of(|_| {});
    let result = result_of(subsets);
    assert_eq!(result.history, plain.history, "evaluating changes no training");
    for name in metric::CLASSIFICATION {
        assert_eq!(result.metrics[name], plain.metrics[name]);
    }
    assert_eq!(result.metrics.len(), 4 * 2 * metric::CLASSIFICATION.len());
    let accuracy = |subset: &str| result.metrics[&format!("accuracy@{subset}")];
    // The voice carries no information; the face carries information of its own.
    assert!(accuracy("voice") < 0.5, "{:?}", result.metrics);
    assert!(accuracy("face+words") > result.metrics[metric::ACCURACY], "{:?}", result.metrics);
    assert_ne!(result.metrics["loss@face+words"], result.metrics["loss@face+voice+words"]);

    let unimodal = result_of(|settings| {
        subsets(settings);
        settings.unimodal = true;
    });
    assert_eq!(unimodal.metrics.len(), 2 * metric::CLASSIFICATION.len(), "it sees no other modality");

    let unknown = member(1, |settings| settings.evaluate = vec![vec!["faces".to_owned()]]);
    let failure = train(&[unknown]).failed.into_values().next().unwrap();
    assert_eq!(failure.reason, FailureReason::Settings);
    assert!(failure.message.contains("`evaluate` names") && failure.message.contains("did you mean `face`"));
}
