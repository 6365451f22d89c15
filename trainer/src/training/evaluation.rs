//! Validation and test: some modalities alone, in evaluation mode.

use std::collections::BTreeMap;

use tch::{Kind, Tensor};

use super::source::{Source, SplitTensors, Truth};
use crate::{
    metrics::{Confusion, Regression},
    model::{Batch, Model},
};

/// Samples that are evaluated at a time, to bound memory.
const CHUNK: i64 = 256;

/// One member's outcome on a split.
#[derive(Clone, Debug)]
pub(super) struct Evaluation {
    /// Mean loss.
    pub(super) loss: f64,
    scores: Scores,
}

/// What was predicted.
#[derive(Clone, Debug)]
enum Scores {
    Classes(Confusion),
    Numbers(Regression),
}

impl Evaluation {
    pub(super) fn accuracy(&self) -> f64 {
        match &self.scores {
            Scores::Classes(confusion) => confusion.accuracy(),
            Scores::Numbers(regression) => regression.accuracy(),
        }
    }

    /// Every metric of the task, by name.
    pub(super) fn metrics(&self) -> BTreeMap<String, f64> {
        match &self.scores {
            Scores::Classes(confusion) => confusion.metrics(self.loss),
            Scores::Numbers(regression) => regression.metrics(self.loss),
        }
    }

    /// `[truth][predicted]`.
    pub(super) fn confusion(&self) -> Vec<Vec<u64>> {
        match &self.scores {
            Scores::Classes(confusion) => confusion.counts().to_vec(),
            Scores::Numbers(regression) => regression.confusion().counts().to_vec(),
        }
    }
}

/// Evaluates every member on a split with these modalities present, by their order in the data set.
pub(super) fn evaluate(
    model: &dyn Model,
    source: &Source,
    split: &SplitTensors,
    present: &[bool],
) -> Vec<Evaluation> {
    let members = model.parameters().size()[0];
    let steps = source.steps();
    let all = split.len() as i64;
    let scores = match &split.truth {
        Truth::Classes(_) => Scores::Classes(Confusion::new(source.outputs() as usize)),
        Truth::Numbers(_) => Scores::Numbers(Regression::default()),
    };
    let mut evaluations = vec![Evaluation { loss: 0.0, scores }; members as usize];
    let there = || present.iter().enumerate().filter(|(_, present)| **present).map(|(modality, _)| modality);
    let columns: Vec<(i64, i64)> = there().map(|modality| source.columns(modality)).collect();
    let mut start = 0;
    while start < all {
        let count = CHUNK.min(all - start);
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
        let losses = to_vec::<f64>(&source.objective().sums(&outputs, &batch.labels));
        for (evaluation, loss) in evaluations.iter_mut().zip(losses) {
            evaluation.loss += loss;
        }
        score(&mut evaluations, &outputs, &split.truth, start as usize..(start + count) as usize);
        start += count;
    }
    for evaluation in &mut evaluations {
        evaluation.loss /= all as f64;
    }
    evaluations
}

/// Counts what a chunk's outputs [K, B, O] predict.
fn score(evaluations: &mut [Evaluation], outputs: &Tensor, truth: &Truth, range: std::ops::Range<usize>) {
    let count = range.len();
    match truth {
        Truth::Classes(truth) => {
            let predicted = to_vec::<i64>(&outputs.argmax(-1, false));
            for (evaluation, predicted) in evaluations.iter_mut().zip(predicted.chunks(count)) {
                let Scores::Classes(confusion) = &mut evaluation.scores else { continue };
                for (&truth, &predicted) in truth[range.clone()].iter().zip(predicted) {
                    confusion.add(truth as usize, predicted as usize);
                }
            }
        }
        Truth::Numbers(truth) => {
            let predicted = to_vec::<f32>(&outputs.to_kind(Kind::Float));
            for (evaluation, predicted) in evaluations.iter_mut().zip(predicted.chunks(count)) {
                let Scores::Numbers(regression) = &mut evaluation.scores else { continue };
                for (&truth, &predicted) in truth[range.clone()].iter().zip(predicted) {
                    regression.add(f64::from(truth), f64::from(predicted));
                }
            }
        }
    }
}

/// The values of a tensor in memory.
pub(super) fn to_vec<T: tch::kind::Element + Copy + Default>(tensor: &Tensor) -> Vec<T> {
    let flat = tensor.to_device(tch::Device::Cpu).contiguous();
    let mut values = vec![T::default(); flat.numel()];
    flat.copy_data(&mut values, flat.numel());
    values
}
