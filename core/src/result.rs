//! What a finished task hands back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Names of the metrics a classification task reports, in the order people read them.
pub mod metric {
    /// Share of test samples classified correctly.
    pub const ACCURACY: &str = "accuracy";
    /// Mean test loss (cross entropy, nats).
    pub const LOSS: &str = "loss";
    /// Weighted F1: the F1 of each class weighted by its true support (`sklearn.metrics.f1_score(truth, prediction, average="weighted")`).
    pub const F_SCORE: &str = "f_score";
    /// The variant in the paper's published code: the same with prediction and truth swapped, so that each
    /// class is weighted by how often it was *predicted*.
    pub const F_SCORE_AUTHORS: &str = "f_score_authors";

    /// All of them.
    pub const CLASSIFICATION: [&str; 4] = [ACCURACY, LOSS, F_SCORE, F_SCORE_AUTHORS];

    /// Whether a larger value is the better one.
    #[must_use]
    pub fn higher_is_better(name: &str) -> bool {
        name != LOSS
    }
}

/// One epoch of training as it was seen from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counting from 1.
    pub epoch: u32,
    /// Mean training loss over the epoch's batches, with modality dropout applied.
    pub train_loss: f64,
    /// Validation loss on the primary modality alone.
    pub valid_loss: f64,
    /// Validation accuracy on the primary modality alone.
    pub valid_accuracy: f64,
}

/// The result of one task: a function of its configuration and seed, up to float rounding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// Test metrics on the primary modality alone, by name; all finite.
    pub metrics: BTreeMap<String, f64>,
    /// `confusion[truth][predicted]` counts over the test split.
    pub confusion: Vec<Vec<u64>>,
    /// Every epoch, in order.
    pub history: Vec<EpochRecord>,
    /// The epoch whose weights were tested: the one of lowest validation loss, the later on ties.
    pub best_epoch: u32,
    /// Number of trained parameters of one member.
    pub parameters: u64,
    /// Wall time of the attempt in seconds; a cohort's members share it.
    pub seconds: f64,
    /// What it was trained on, such as `cpu x1` or `cuda:0`.
    pub device: String,
    /// SHA-256 of the data set file in hexadecimal digits, so that results of different files of one name can
    /// be told apart; empty in results of versions that did not say.
    #[serde(default)]
    pub data_digest: String,
}
