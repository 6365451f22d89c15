//! Validation and test: some modalities only, in evaluation mode.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use super::source::{DataSource, SplitTensors, Truth};
use crate::{
    metrics::{Confusion, Regression},
    model::{Batch, Model},
};

/// Number of samples that are evaluated at a time, to bound memory: per member, and in total for a large cohort.
const CHUNK: i64 = 256;
const COHORT_CHUNK: i64 = 16 * CHUNK;

/// One member's outcome on a split.
#[derive(Clone, Debug)]
pub(super) struct Evaluation {
    /// Mean loss.
    pub(super) loss: f64,
    scores: Scores,
}

/// The predictions on a split.
#[derive(Clone, Debug)]
enum Scores {
    Classification(Confusion),
    Regression(Regression),
}

impl Evaluation {
    pub(super) fn accuracy(&self) -> f64 {
        match &self.scores {
            Scores::Classification(confusion) => confusion.accuracy(),
            Scores::Regression(regression) => regression.accuracy(),
        }
    }

    /// Every metric of the task, by name.
    pub(super) fn metrics(&self) -> BTreeMap<String, f64> {
        match &self.scores {
            Scores::Classification(confusion) => confusion.metrics(self.loss),
            Scores::Regression(regression) => regression.metrics(self.loss),
        }
    }

    /// The confusion matrix, `[truth][predicted]`.
    pub(super) fn confusion(&self) -> Vec<Vec<u64>> {
        match &self.scores {
            Scores::Classification(confusion) => confusion.counts().to_vec(),
            Scores::Regression(regression) => regression.confusion().counts().to_vec(),
        }
    }
}

/// Evaluates every member on a split. `present` says which modalities are present, in the order of the data set.
pub(super) fn evaluate(
    model: &dyn Model,
    source: &DataSource,
    split: &SplitTensors,
    present: &[bool],
) -> Vec<Evaluation> {
    let members = model.parameters().size()[0];
    let all = split.len() as i64;
    // Results are copied to the host at the end only, so that the host waits for the device once.
    let mut losses = Tensor::zeros([members], (Kind::Double, source.device()));
    let mut predictions = Vec::new();
    for_each_chunk(model, source, split, present, |labels, outputs| {
        let _ = losses.g_add_(&source.objective().sums(&outputs, labels));
        predictions.push(match &split.truth {
            Truth::Classes(_) => outputs.argmax(-1, false),
            Truth::Values(_) => outputs.to_kind(Kind::Float).squeeze_dim(-1),
        });
    });
    let losses = to_vec::<f64>(&losses).into_iter().map(|sum| sum / all as f64);
    let predictions = Tensor::cat(&predictions, 1);
    let scores: Vec<Scores> = match &split.truth {
        Truth::Classes(truth) => {
            let classes = source.outputs() as usize;
            let confusion = |predicted: &[i64]| {
                let mut confusion = Confusion::new(classes);
                for (&truth, &predicted) in truth.iter().zip(predicted) {
                    confusion.add(truth as usize, predicted as usize);
                }
                Scores::Classification(confusion)
            };
            to_vec::<i64>(&predictions).chunks(truth.len()).map(confusion).collect()
        }
        Truth::Values(truth) => {
            let regression = |predicted: &[f32]| {
                let mut regression = Regression::default();
                for (&truth, &predicted) in truth.iter().zip(predicted) {
                    regression.add(f64::from(truth), f64::from(predicted));
                }
                Scores::Regression(regression)
            };
            to_vec::<f32>(&predictions).chunks(truth.len()).map(regression).collect()
        }
    };
    losses.zip(scores).map(|(loss, scores)| Evaluation { loss, scores }).collect()
}

/// The outputs [K, N, O] of every member on a split, in single precision.
pub(super) fn outputs(
    model: &dyn Model,
    source: &DataSource,
    split: &SplitTensors,
    present: &[bool],
) -> Tensor {
    let mut all = Vec::new();
    for_each_chunk(model, source, split, present, |_, outputs| all.push(outputs.to_kind(Kind::Float)));
    Tensor::cat(&all, 1)
}

/// Calls `each` with the labels [K, B] and the outputs [K, B, O] of some samples after the other.
fn for_each_chunk(
    model: &dyn Model,
    source: &DataSource,
    split: &SplitTensors,
    present: &[bool],
    mut each: impl FnMut(&Tensor, Tensor),
) {
    let members = model.parameters().size()[0];
    let steps = source.steps();
    let all = split.len() as i64;
    let there = || present.iter().enumerate().filter(|(_, present)| **present).map(|(modality, _)| modality);
    let columns: Vec<(i64, i64)> = there().map(|modality| source.columns(modality)).collect();
    let chunk = CHUNK.min((COHORT_CHUNK / members).max(1));
    let mut start = 0;
    while start < all {
        let count = chunk.min(all - start);
        let features = Tensor::empty([1, steps * count, source.width()], (Kind::Float, source.device()));
        for modality in there() {
            let (first, dim) = source.columns(modality);
            let part = split.features[modality].narrow(0, start, count).transpose(0, 1).unsqueeze(0);
            features.view([1, steps, count, -1]).narrow(3, first, dim).copy_(&part);
        }
        let labels = split.labels.narrow(0, start, count).unsqueeze(0).expand([members, count], false);
        let batch = Batch {
            features: features.expand([members, -1, -1], false),
            columns: columns.clone(),
            steps,
            samples: count,
            labels,
        };
        let outputs = model.evaluate(&batch);
        each(&batch.labels, outputs);
        start += count;
    }
}

/// The values of a tensor in host memory.
pub(super) fn to_vec<T: tch::kind::Element + Copy + Default>(tensor: &Tensor) -> Vec<T> {
    let flat = tensor.to_device(tch::Device::Cpu).contiguous();
    let mut values = vec![T::default(); flat.numel()];
    flat.copy_data(&mut values, flat.numel());
    values
}
