//! Trains whole cohorts.

use colearn_core::{
    failure::FailureReason,
    result::{EpochRecord, TaskResult, curve, metric},
    settings::{BiEflstmSettings, ModelSettings},
};
use colearn_data_format::write;
use colearn_trainer_protocol::Member;
use tempfile::TempDir;

use crate::problem::{Recorder, assert_same, dataset, dropping, five, folder, member, session, split, train};

/// The validation loss that decides about the best epoch.
fn deciding(record: &EpochRecord) -> f64 {
    record.get(curve::KEEP_LOSS).unwrap_or(record.values[curve::VALID_LOSS])
}

#[test]
fn a_cohort_learns_and_its_results_are_complete() {
    let members = five();
    let recorder = train(&members);
    assert!(recorder.failed.is_empty(), "{:?}", recorder.failed);
    for member in &members {
        let result = &recorder.finished[&member.task];
        let accuracy = result.metrics[metric::ACCURACY];
        assert!(accuracy > 0.75, "{}: accuracy {accuracy}", member.task);
        assert_eq!(result.history, recorder.epochs[&member.task]);
        assert_eq!(recorder.opened, [("small".to_owned(), result.data_digest.clone())]);
        assert_eq!(
            result.history.iter().map(|record| record.epoch).collect::<Vec<_>>(),
            (1..=12).collect::<Vec<_>>()
        );
        let best = result.history.iter().rev().min_by(|a, b| deciding(a).total_cmp(&deciding(b))).unwrap();
        assert_eq!(result.best_epoch, best.epoch);
        // The tested weights on the validation split are those of the best epoch.
        let [valid, test] = [metric::on_validation(metric::LOSS), metric::LOSS.to_owned()];
        assert!((result.metrics[&valid] - best.values[curve::VALID_LOSS]).abs() < 1e-6);
        assert!((result.metrics[&test] - result.metrics[&valid]).abs() > 1e-3);
        assert_eq!(result.metrics["valid/accuracy"], best.values[curve::VALID_ACCURACY]);
        assert_eq!(result.confusion.iter().flatten().sum::<u64>(), 300);
        assert!(result.confusion.iter().all(|row| row.len() == 3 && row.iter().sum::<u64>() == 100));
        let right = (0..3).map(|class| result.confusion[class][class]).sum::<u64>() as f64;
        assert_eq!(accuracy, right / 300.0);
        for name in metric::CLASSIFICATION {
            assert!(result.metrics[name].is_finite(), "{name}");
            assert!(result.metrics[&metric::on_validation(name)].is_finite(), "valid/{name}");
        }
        assert_eq!(result.metrics.len(), 2 * metric::CLASSIFICATION.len());
        // Per direction 4H(F + H) + 8H: 640 + 64 above 12 features, 768 + 64 above 16; then the head.
        assert_eq!(result.parameters, 2 * (640 + 64) + 2 * (768 + 64) + (8 * 16 + 8 + 16 + 3 * 8 + 3));
        assert_eq!(result.device, "cpu x1");
        assert!(result.seconds > 0.0);
    }
}

#[test]
fn a_member_trains_the_same_alone_as_beside_others() {
    let members = five();
    let together = train(&members);
    for member in &members {
        let alone = train(std::slice::from_ref(member));
        assert_same(
            &together.finished[&member.task],
            &alone.finished[&member.task],
            &member.task.to_string(),
        );
        assert_eq!(
            together.finished[&member.task].weights_digest, alone.finished[&member.task].weights_digest,
            "{}: the same weights bit by bit",
            member.task
        );
    }
    let again = train(&members);
    for member in &members {
        let (a, b) = (&together.finished[&member.task], &again.finished[&member.task]);
        assert_eq!(
            (&a.history, &a.metrics),
            (&b.history, &b.metrics),
            "the same run twice is the same bit by bit"
        );
    }
}

/// From 64 hidden units on the members are computed one after the other; one of them leaves in the first epoch.
#[test]
fn members_of_a_larger_network_train_the_same_alone_as_beside_others() {
    let mut members = five();
    members.insert(1, member(9, |settings| settings.training.learning_rate = 1e38));
    for (at, member) in members.iter_mut().enumerate() {
        let settings = member.settings.network_mut().unwrap();
        let dropout = if at == 4 { 0.0 } else { 0.2 };
        settings.model = ModelSettings::BiEflstm(BiEflstmSettings { hidden: 64, layers: 2, dropout });
        settings.training.epochs = 3;
    }
    let together = train(&members);
    assert_eq!((together.failed.len(), together.finished.len()), (1, 5));
    for member in members.iter().filter(|member| together.finished.contains_key(&member.task)) {
        let (beside, alone) = (&together.finished[&member.task], train(std::slice::from_ref(member)));
        let alone = &alone.finished[&member.task];
        assert_eq!(
            beside.weights_digest, alone.weights_digest,
            "{}: the same weights bit by bit",
            member.task
        );
        assert_eq!((&beside.history, &beside.metrics), (&alone.history, &alone.metrics));
    }
}

#[test]
fn who_diverges_fails_alone() {
    let mut members = five();
    let undisturbed = train(&members);
    members.insert(1, member(9, |settings| settings.training.learning_rate = 1e38));
    let recorder = train(&members);
    let failure = &recorder.failed[&members[1].task];
    assert_eq!(failure.reason, FailureReason::Diverged);
    assert!(failure.message.contains("loss became") && failure.message.contains("epoch"), "{failure}");
    assert_eq!(recorder.failed.len(), 1);
    for (task, result) in &undisturbed.finished {
        assert_same(&recorder.finished[task], result, &task.to_string());
    }
}

#[test]
fn an_abandoned_member_is_left_out_at_the_next_step() {
    let members = five();
    let undisturbed = train(&members);
    let folder = folder();
    // 12 batches an epoch and one more query at its end: call 17 is within the second epoch.
    let abandon = Some((17, members[1].task));
    let mut recorder = Recorder { abandon, ..Recorder::default() };
    session(folder.path()).train(&members, &mut recorder);
    assert_eq!(recorder.epochs[&members[1].task].len(), 1);
    assert!(recorder.failed.is_empty() && !recorder.finished.contains_key(&members[1].task));
    for member in members.iter().filter(|member| member.task != members[1].task) {
        assert_same(
            &recorder.finished[&member.task],
            &undisturbed.finished[&member.task],
            "a remaining member",
        );
    }
    let mut alone = Recorder { abandon: Some((3, members[0].task)), ..Recorder::default() };
    session(folder.path()).train(&members[..1], &mut alone);
    assert_eq!(
        (alone.calls, alone.epochs.len(), alone.finished.len()),
        (4, 0, 0),
        "nothing goes on without members"
    );
}

#[test]
fn dropping_always_is_training_unimodally() {
    let recorder = train(&[member(5, dropping(1.0)), member(5, |settings| settings.unimodal = true)]);
    let results: Vec<&TaskResult> = recorder.finished.values().collect();
    assert_same(results[0], results[1], "dropped always and unimodal");
    let other = train(&[member(5, |_| {})]);
    assert_ne!(results[0].history, other.finished.values().next().unwrap().history);
}

#[test]
fn validation_and_test_see_the_primary_modality_alone() {
    let (first, second) = (folder(), TempDir::new().unwrap());
    write(&second.path().join("small.safetensors"), &dataset(1)).unwrap();
    let results = [&first, &second].map(|folder| {
        let mut recorder = Recorder::default();
        session(folder.path()).train(&[member(1, |_| {})], &mut recorder);
        recorder.finished.into_values().next().unwrap()
    });
    assert_eq!(results[0].history, results[1].history);
    assert_eq!(results[0].metrics, results[1].metrics);
}

/// With equal validation and test splits the test shows which weights were used, running means included.
#[test]
fn the_weights_of_the_best_epoch_are_tested() {
    let folder = TempDir::new().unwrap();
    let mut set = dataset(0);
    set.test = set.valid.clone();
    write(&folder.path().join("small.safetensors"), &set).unwrap();
    let members: Vec<Member> = (0..4).map(|seed| member(seed, |s| s.training.learning_rate = 0.05)).collect();
    let mut recorder = Recorder::default();
    session(folder.path()).train(&members, &mut recorder);
    let mut earlier = 0;
    for result in recorder.finished.values() {
        let best = &result.history[result.best_epoch as usize - 1];
        assert!((result.metrics[metric::LOSS] - best.values[curve::VALID_LOSS]).abs() < 1e-9);
        assert_eq!(result.metrics[metric::ACCURACY], best.values[curve::VALID_ACCURACY]);
        for name in metric::CLASSIFICATION {
            assert_eq!(result.metrics[name], result.metrics[&metric::on_validation(name)], "{name}");
        }
        earlier += u32::from(result.best_epoch < 12);
    }
    assert!(earlier >= 2, "with the last epoch the best everywhere this shows nothing");
}

#[test]
fn what_can_not_be_trained_is_said_and_the_others_go_on() {
    let good = member(0, |_| {});
    let cases: Vec<(Member, FailureReason, &str)> = vec![
        (
            member(1, |s| s.primary = "word".to_owned()),
            FailureReason::Settings,
            "it has: words, voice, face; did you mean `words`?",
        ),
        (
            member(2, |s| s.modality_dropout.extend([("smell".to_owned(), 0.5)])),
            FailureReason::Settings,
            "`modality_dropout` names the modality `smell`",
        ),
        (member(3, |s| s.training.batch_size = 122), FailureReason::Settings, "has 121 samples"),
        (
            member(4, |s| s.training.batch_size = 1),
            FailureReason::Settings,
            "`training.batch_size` must be an integer of at least 2, found 1",
        ),
        (member(5, |s| s.training.epochs = 3), FailureReason::Settings, "one cohort"),
        (member(6, |s| s.dataset = "large".to_owned()), FailureReason::Settings, "one cohort"),
        (
            member(7, |s| {
                s.model =
                    ModelSettings::BiEflstm(BiEflstmSettings { hidden: 65_536, layers: 17, dropout: 0.0 });
            }),
            FailureReason::Settings,
            "too large",
        ),
    ];
    let members: Vec<Member> =
        std::iter::once(&good).chain(cases.iter().map(|case| &case.0)).cloned().collect();
    let recorder = train(&members);
    assert!(recorder.finished.contains_key(&good.task));
    for (member, reason, text) in &cases {
        let failure = &recorder.failed[&member.task];
        assert_eq!(failure.reason, *reason, "{failure}");
        assert!(failure.message.contains(text), "{failure}");
    }
    let missing = train(&[member(1, |s| s.dataset = "large".to_owned())]);
    let failure = missing.failed.values().next().unwrap();
    assert_eq!(failure.reason, FailureReason::Data);
    assert!(failure.message.contains("large.safetensors"), "{failure}");
}

#[test]
fn a_member_whose_sweep_is_trained_on_another_data_set_is_not_trained() {
    let trained = train(&[member(1, |_| {})]);
    let here = trained.finished.values().next().unwrap().data_digest.clone();
    let right = Member { data_digest: here, ..member(2, |_| {}) };
    let wrong = Member { data_digest: "ab".repeat(32), ..member(3, |_| {}) };
    let recorder = train(&[wrong.clone(), right.clone()]);
    assert!(recorder.finished.contains_key(&right.task), "{:?}", recorder.failed);
    let failure = &recorder.failed[&wrong.task];
    assert_eq!(failure.reason, FailureReason::Data);
    assert!(failure.message.contains("the sweep is trained on abababababab:"), "{failure}");
    assert!(!recorder.epochs.contains_key(&wrong.task), "not one epoch");
}

/// The session survives an error that kills a cohort: this cohort would need 64 GiB of memory per copy.
#[test]
fn a_cohort_too_large_for_memory_fails_and_the_next_trains() {
    let folder = folder();
    let mut session = session(folder.path());
    let mut recorder = Recorder::default();
    let huge = member(1, |s| {
        s.model = ModelSettings::BiEflstm(BiEflstmSettings { hidden: 1 << 16, layers: 4, dropout: 0.0 });
    });
    session.train(std::slice::from_ref(&huge), &mut recorder);
    assert_eq!(recorder.failed[&huge.task].reason, FailureReason::OutOfMemory, "{:?}", recorder.failed);
    let next = member(2, |_| {});
    session.train(std::slice::from_ref(&next), &mut recorder);
    assert!(recorder.finished.contains_key(&next.task));
}

#[test]
fn a_replaced_data_set_is_read_anew() {
    let folder = folder();
    let mut session = session(folder.path());
    let mut seen = Vec::new();
    for changed in [false, false, true] {
        if changed {
            let mut set = dataset(0);
            set.test = split(90, 7, 0);
            write(&folder.path().join("small.safetensors"), &set).unwrap();
        }
        let mut recorder = Recorder::default();
        session.train(&[member(1, |_| {})], &mut recorder);
        seen.push(recorder.finished.into_values().next().unwrap().confusion.iter().flatten().sum::<u64>());
    }
    assert_eq!(seen, [300, 300, 90]);
}
