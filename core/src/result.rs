//! The result of a finished task.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

pub mod classes;
pub mod definitions;
mod direction;
mod epoch;
mod values;

pub use direction::Direction;
pub use epoch::{EpochRecord, curve};
pub use values::{NameSets, Values};

/// Names of the networks' metrics, in the order of display. A program reports metrics under names of its own.
///
/// A plain name is the metric on the primary modality alone. `name@a+b` is the same metric with the modalities
/// `a` and `b` present, for each further subset of the setting `evaluate`; a unimodal network has none of these.
pub mod metric {
    /// Longest plain name of a metric or of a curve, in bytes.
    pub const MAX_NAME_BYTES: usize = 128;

    /// Share of test samples that are classified correctly. For a regression: share of equal signs, where zero counts
    /// as positive.
    pub const ACCURACY: &str = "accuracy";
    /// Mean test loss: cross entropy in nats; for a regression the mean absolute error.
    pub const LOSS: &str = "loss";
    /// Weighted F1: the F1 of each class, weighted by its true support (`sklearn.metrics.f1_score(truth, prediction,
    /// average="weighted")`). For a regression: over truth and prediction rounded half to even, where each integer is
    /// a class.
    pub const F_SCORE: &str = "f_score";
    /// The variant in the paper's published code: prediction and truth are swapped, so that each class is weighted by
    /// how often it was *predicted*.
    pub const F_SCORE_AUTHORS: &str = "f_score_authors";
    /// Mean absolute error.
    pub const MAE: &str = "mae";
    /// Share of samples whose truth and prediction are equal after clipping to [-3, 3] and rounding half to even.
    pub const ACCURACY_7: &str = "accuracy_7";
    /// Pearson's correlation of truth and prediction; 0 if one of them is constant.
    pub const PEARSON_R: &str = "pearson_r";
    /// The mean of the F1 of the classes that occur or are predicted.
    pub const F_SCORE_MACRO: &str = "f_score_macro";
    /// The mean recall of the classes that occur: unweighted average recall.
    pub const BALANCED_ACCURACY: &str = "balanced_accuracy";
    /// As [`ACCURACY_7`], clipped to [-2, 2].
    pub const ACCURACY_5: &str = "accuracy_5";
    /// Accuracy of negative against non-negative, over all samples.
    pub const ACCURACY_2_NONNEGATIVE: &str = "accuracy_2_nonnegative";
    /// The weighted F1 of the same two classes.
    pub const F_SCORE_2_NONNEGATIVE: &str = "f_score_2_nonnegative";
    /// Accuracy of negative against positive, over the samples whose label is not zero.
    pub const ACCURACY_2_POSITIVE: &str = "accuracy_2_positive";
    /// The weighted F1 of the same two classes.
    pub const F_SCORE_2_POSITIVE: &str = "f_score_2_positive";

    /// The metrics of a classification task; [`definitions`](super::definitions) has their formulas.
    pub const CLASSIFICATION: [&str; 6] =
        [ACCURACY, LOSS, F_SCORE, F_SCORE_AUTHORS, F_SCORE_MACRO, BALANCED_ACCURACY];
    /// The metrics of a regression task.
    pub const REGRESSION: [&str; 12] = [
        ACCURACY,
        LOSS,
        F_SCORE,
        F_SCORE_AUTHORS,
        MAE,
        ACCURACY_7,
        PEARSON_R,
        ACCURACY_5,
        ACCURACY_2_NONNEGATIVE,
        F_SCORE_2_NONNEGATIVE,
        ACCURACY_2_POSITIVE,
        F_SCORE_2_POSITIVE,
    ];
    /// The metrics of either task.
    pub const ALL: [&str; 14] = [
        ACCURACY,
        LOSS,
        F_SCORE,
        F_SCORE_AUTHORS,
        F_SCORE_MACRO,
        BALANCED_ACCURACY,
        MAE,
        ACCURACY_7,
        PEARSON_R,
        ACCURACY_5,
        ACCURACY_2_NONNEGATIVE,
        F_SCORE_2_NONNEGATIVE,
        ACCURACY_2_POSITIVE,
        F_SCORE_2_POSITIVE,
    ];

    /// What the name of a metric of the validation split, at the tested epoch, begins with. A name without it is of
    /// the test split.
    pub const VALID: &str = "valid/";

    /// The name of the same metric on the validation split.
    #[must_use]
    pub fn on_validation(name: &str) -> String {
        format!("{VALID}{name}")
    }

    /// The name of the metric of the test split, if the name is one of the validation split.
    #[must_use]
    pub fn of_validation(name: &str) -> Option<&str> {
        name.strip_prefix(VALID)
    }

    /// The lowest and the highest value that a network's metric can have, on either split and with any modalities.
    #[must_use]
    pub fn bounds(name: &str) -> Option<(f64, f64)> {
        match split(of_validation(name).unwrap_or(name)).0 {
            PEARSON_R => Some((-1.0, 1.0)),
            LOSS | MAE => Some((0.0, f64::INFINITY)),
            // All others are shares.
            other => ALL.contains(&other).then_some((0.0, 1.0)),
        }
    }

    /// The name of a metric with these modalities present.
    #[must_use]
    pub fn with_modalities(name: &str, modalities: &[String]) -> String {
        format!("{name}@{}", modalities.join("+"))
    }

    /// A network metric's plain name, and its modalities joined by `+` if it names any.
    #[must_use]
    pub fn split(name: &str) -> (&str, Option<&str>) {
        match name.split_once('@') {
            Some((plain, modalities)) => (plain, Some(modalities)),
            None => (name, None),
        }
    }
}

/// The result of one task. That of a network is a function of its configuration and seed, up to float rounding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// Metrics by name; all finite. Those of a network have [fixed names](metric): of the test split and, under
    /// [`metric::VALID`], of the validation split, on the primary modality alone and for the further subsets of the
    /// settings. Results of earlier versions have those of the test split only.
    pub metrics: Values,
    /// `confusion[truth][predicted]` counts over the test split, on the primary modality alone. For a regression:
    /// over the integers from -3 to 3, clipped and rounded half to even. Empty for a program.
    pub confusion: Vec<Vec<u64>>,
    /// Names of the rows and columns of `confusion`; empty in results of versions that did not record it. Thousands of
    /// results that are held at once share them.
    #[serde(default)]
    pub classes: Arc<Vec<String>>,
    /// All epochs, in order.
    pub history: Vec<EpochRecord>,
    /// The epoch whose weights were tested: the one with the lowest validation loss (on the modalities of `keep_by`),
    /// the last one on ties; with `keep: last` the last epoch. 0 if it is not known: a program does not say.
    pub best_epoch: u32,
    /// Number of trained parameters of one member; 0 if it is not known.
    pub parameters: u64,
    /// Wall time of the attempt in seconds; a cohort's members share it.
    pub seconds: f64,
    /// Name of the device, such as `cpu x1` or `cuda:0`.
    pub device: String,
    /// SHA-256 of the data set file in hexadecimal digits, to distinguish different files of the same name; empty in
    /// results of versions that did not record it. For a program, the SHA-256 of its files.
    #[serde(default)]
    pub data_digest: String,
    /// SHA-256, in hexadecimal digits, of the tested weights: parameters, then buffers, as little-endian floats in
    /// the order of the model's layout. Equal digests mean bit-identical networks. Empty in results of versions that
    /// did not record it.
    #[serde(default)]
    pub weights_digest: String,
    /// The epochs after which training was continued from a checkpoint, in order; usually none.
    #[serde(default)]
    pub resumed_after: Vec<u32>,
    /// The git commit of the program's folder; empty for a network, and if the folder has none.
    #[serde(default)]
    pub commit: String,
    /// What the result was computed with, such as the model of the device and the version of libtorch. It is part of
    /// no digest; empty in results of versions that did not record it. Shared as `classes` are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: Arc<BTreeMap<String, String>>,
    /// The files that were kept, in the order of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
}

/// The key of [`TaskResult::environment`] that says which files could not be kept, and why. The result is valid.
pub const NOT_KEPT: &str = "not_kept";

/// A file of a task that was kept beside its checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Name of the file, such as `weights.safetensors`.
    pub name: String,
    /// SHA-256 of its bytes in hexadecimal digits.
    pub digest: String,
    /// Number of bytes.
    pub bytes: u64,
    /// The location that the worker was given for checkpoints: a folder, or `s3://bucket/prefix`.
    pub location: String,
}

#[cfg(test)]
mod tests {
    use super::{EpochRecord, TaskResult, metric};
    use crate::sweep::ReportSettings;

    #[test]
    fn metrics_under_several_modalities_have_names_of_their_own() {
        let name = metric::with_modalities(metric::LOSS, &["audio".to_owned(), "video".to_owned()]);
        assert_eq!(name, "loss@audio+video");
        assert_eq!(metric::split(&name), ("loss", Some("audio+video")));
        assert_eq!(metric::split("accuracy"), ("accuracy", None));
    }

    #[test]
    fn results_of_earlier_versions_are_read() {
        let text = r#"{"metrics":{"accuracy":0.5},"confusion":[[3,1],[0,4]],"history":[
            {"epoch":1,"train_loss":1.0,"valid_loss":2.0,"valid_accuracy":0.25}],
            "best_epoch":1,"parameters":42,"seconds":1.5,"device":"cpu x1"}"#;
        let read: TaskResult = serde_json::from_str(text).unwrap();
        assert_eq!(read.history, [EpochRecord::of_network(1, 1.0, 2.0, 0.25)]);
        assert_eq!((read.commit.as_str(), read.data_digest.as_str(), read.parameters), ("", "", 42));
        let report: ReportSettings =
            serde_json::from_str(r#"{"metrics":["loss"],"confidence":0.95}"#).unwrap();
        assert!(report.better.is_empty() && !serde_json::to_string(&report).unwrap().contains("better"));
    }
}
