//! The F1 of each class of a configuration, from the confusion matrices of its results.

use serde::{Deserialize, Serialize};

use crate::{
    result::{
        TaskResult,
        classes::{ClassCounts, class_counts},
        metric,
    },
    statistics::Summary,
};

/// How well a row's networks find one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// The name of the class, or its number in results that have no names.
    pub class: String,
    /// Number of its samples in the test split, over all replicates.
    pub support: u64,
    /// F1 on the test split, primary modality alone; see [`definitions`](crate::result::definitions::CLASS_F1).
    pub f1: Summary,
}

/// The scores of all classes over the replicates of a row. Empty for a regression and for a program, and if results
/// have no matrix or matrices of several sizes.
pub(super) fn class_scores(done: &[&TaskResult], confidence: f64) -> Vec<ClassScore> {
    let Some(first) = done.first() else { return Vec::new() };
    let classes = first.confusion.len();
    let is_regression = |result: &&&TaskResult| result.metrics.contains(metric::MAE);
    if done.iter().any(|result| result.confusion.len() != classes) || done.iter().any(|it| is_regression(&it))
    {
        return Vec::new();
    }
    let counts: Vec<Vec<ClassCounts>> = done.iter().map(|result| class_counts(&result.confusion)).collect();
    let named = done.iter().all(|result| result.classes == first.classes);
    (0..classes)
        .filter_map(|class| {
            let of_class: Vec<ClassCounts> =
                counts.iter().filter_map(|counts| counts.get(class)).copied().collect();
            let values: Vec<f64> = of_class.iter().map(|counts| counts.f1()).collect();
            Some(ClassScore {
                class: first
                    .classes
                    .get(class)
                    .filter(|_| named)
                    .cloned()
                    .unwrap_or_else(|| class.to_string()),
                support: of_class.iter().map(|counts| counts.truth).sum(),
                f1: Summary::of(&values, confidence)?.clipped((0.0, 1.0)),
            })
        })
        .collect()
}
