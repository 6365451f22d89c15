//! Generated results that look like real ones: the paper's IEMOCAP table with noise between seeds.

use std::collections::HashMap;

use colearn_core::{
    failure::FailureReason,
    result::{EpochRecord, TaskResult},
    sweep::Sweep,
    table::TaskOutcome,
};
use colearn_report::{FailureNote, Material, Provenance, Reference};

pub(crate) const SWEEP: &str = "\
name: iemocap-bi-eflstm
dataset: iemocap
primary: language
model: {kind: bi-eflstm, hidden: 128, layers: 2, dropout: 0.5}
training: {epochs: 40, batch_size: 15, learning_rate: 0.0001, shuffle: once, modality_draw: shared}
parameters:
  modality_dropout.audio: [0, 0.15, 0.4, 0.6, 0.8, 0.9, 0.95]
  modality_dropout.video: [0, 0.15, 0.4, 0.6, 0.8, 0.9, 0.95]
zip: [[modality_dropout.audio, modality_dropout.video]]
include: [{unimodal: true}]
seeds: [0, 1, 2, 3, 4]
report: {metrics: [accuracy, loss, f_score, f_score_authors], baseline: {unimodal: true}}
";

pub(crate) const REFERENCE: &str = include_str!("../../../sweeps/reference/iemocap-bi-eflstm.csv");

/// The paper's emotions.
const CLASSES: [&str; 9] = ["neu", "fru", "ang", "sad", "exc", "hap", "sur", "fea", "dis"];

/// The subset for which [`regression`] is measured, besides the primary modality alone.
pub(crate) const ALL: &str = "language+audio+video";

/// Draws in [-1, 1), the same in every run.
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> f64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

/// A result whose accuracy is about `accuracy`.
pub(crate) fn result(accuracy: f64, seed: u64, epochs: u32, classes: usize) -> TaskResult {
    let mut draws = Draws::new(seed);
    let common = draws.next() * 0.012;
    let accuracy = accuracy + common + draws.next() * 0.01;
    let loss = 2.4 - 2.0 * accuracy + draws.next() * 0.02;
    let f_score = accuracy - 0.01 + draws.next() * 0.01;
    let history = (1..=epochs).map(|epoch| {
        let decay = (-f64::from(epoch) / 12.0).exp();
        EpochRecord::of_network(
            epoch,
            loss * (0.55 + 0.7 * decay) + draws.next() * 0.02,
            loss * (0.98 + 0.35 * decay) + f64::from(epoch) * 0.002 + draws.next() * 0.02,
            accuracy * (1.0 - 0.5 * decay),
        )
    });
    let history = history.collect();
    let confusion = (0..classes)
        .map(|truth| {
            (0..classes)
                .map(|predicted| {
                    let share = if truth == predicted { accuracy } else { (1.0 - accuracy) / 9.0 };
                    (share * (100.0 - 8.0 * truth as f64).max(4.0) * (1.0 + 0.3 * draws.next())).max(0.0)
                        as u64
                })
                .collect()
        })
        .collect();
    let valid = accuracy + draws.next() * 0.004;
    TaskResult {
        classes: (0..classes)
            .map(|class| CLASSES[class % CLASSES.len()].to_owned())
            .collect::<Vec<_>>()
            .into(),
        metrics: [
            ("accuracy".to_owned(), accuracy),
            ("loss".to_owned(), loss),
            ("f_score".to_owned(), f_score),
            ("f_score_authors".to_owned(), f_score + 0.03),
            ("valid/accuracy".to_owned(), valid),
            ("valid/loss".to_owned(), 2.4 - 2.0 * valid),
        ]
        .into(),
        confusion,
        history,
        best_epoch: 20,
        parameters: 1_269_257,
        seconds: 61.5,
        device: "NVIDIA H100".to_owned(),
        ..TaskResult::default()
    }
}

/// Results for every task of a sweep, by the position of the configuration.
pub(crate) fn material(source: &str, accuracy: impl Fn(usize) -> f64) -> Material {
    let sweep = Sweep::parse(source, "sweep.yaml").unwrap_or_else(|errors| panic!("{errors}")).sweep;
    let mut outcomes = HashMap::new();
    for (index, configuration) in sweep.configurations.iter().enumerate() {
        for seed in &sweep.seeds {
            let done = result(accuracy(index), seed * 7919 + index as u64, 40, 9);
            outcomes.insert((configuration.id, *seed), TaskOutcome::Done(done));
        }
    }
    Material {
        sweep,
        outcomes,
        failures: Vec::new(),
        reference: None,
        provenance: Provenance {
            version: "0.1.0".to_owned(),
            commit: Some("0123abc".to_owned()),
            sweep_file: Some("sweeps/made-up.yaml".to_owned()),
            submitted_at: Some("2026-11-20 10:00:00 UTC".to_owned()),
            made_at: Some("2026-11-20 12:00:00 UTC".to_owned()),
            records: HashMap::new(),
        },
    }
}

/// The paper's table: 8 configurations x 5 seeds; one seed has diverged and one is not done yet.
pub(crate) fn paper() -> Material {
    let means = [0.27, 0.36, 0.41, 0.45, 0.47, 0.45, 0.44, 0.45];
    let mut material = material(SWEEP, |index| means[index]);
    material.reference =
        Some(Reference::parse(REFERENCE, "iemocap-bi-eflstm.csv").expect("the shipped reference"));
    let id = |index: usize| material.sweep.configurations[index].id;
    let (diverged, missing) = ((id(1), 3), (id(3), 4));
    material.outcomes.insert(diverged, TaskOutcome::Failed(FailureReason::Diverged));
    material.outcomes.remove(&missing);
    material.failures.push(FailureNote {
        configuration: diverged.0,
        seed: 3,
        attempt: 1,
        last: true,
        reason: "diverged".to_owned(),
        message: "the training loss was not finite in epoch 7".to_owned(),
    });
    material
}

/// The paper's other table, with results for all modalities as well. Those are best without dropout and fall with its
/// level; those of language alone are best at a middle level.
pub(crate) fn regression() -> Material {
    let source = SWEEP
        .replace("iemocap", "mosi")
        .replace("[accuracy, loss, f_score, f_score_authors]", "[accuracy, loss, f_score_authors]");
    let alone = [0.60, 0.66, 0.67, 0.72, 0.73, 0.73, 0.72, 0.715];
    let all = [0.78, 0.77, 0.77, 0.76, 0.74, 0.70, 0.65, 0.60];
    let mut material = material(&source, |index| alone[index]);
    material.sweep.report.metrics.extend([format!("accuracy@{ALL}"), format!("loss@{ALL}")]);
    let ids: Vec<_> = material.sweep.configurations.iter().map(|it| it.id).collect();
    for ((id, seed), outcome) in &mut material.outcomes {
        let TaskOutcome::Done(done) = outcome else { continue };
        let index = ids.iter().position(|it| it == id).expect("a configuration of the sweep");
        let under_all = result(all[index], 31 * seed + index as u64, 1, 7);
        *done = TaskResult {
            confusion: under_all.confusion,
            classes: (-3..=3).map(|class| class.to_string()).collect::<Vec<_>>().into(),
            resumed_after: if (index, *seed) == (2, 1) { vec![5, 20] } else { Vec::new() },
            data_digest: "ab".repeat(32),
            ..done.clone()
        };
        for name in ["accuracy", "loss"] {
            done.metrics.insert(&format!("{name}@{ALL}"), under_all.metrics[name]);
            done.metrics.insert(&format!("valid/{name}@{ALL}"), under_all.metrics[&format!("valid/{name}")]);
        }
        done.metrics.insert("mae", done.metrics["loss"]);
        done.metrics.insert("accuracy_7", 0.3);
        done.metrics.insert("pearson_r", 0.6);
    }
    material
}

/// The same table with 27 classes that have long names.
pub(crate) fn many_classes() -> Material {
    let mut material = paper();
    for outcome in material.outcomes.values_mut() {
        if let TaskOutcome::Done(done) = outcome {
            done.confusion = result(0.6, 1, 1, 27).confusion;
            done.classes =
                (1..=27).map(|class| format!("draw circle {class} times")).collect::<Vec<_>>().into();
        }
    }
    material
}
