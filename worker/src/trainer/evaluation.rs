//! Validation and test: the primary modality alone, in evaluation mode.

use tch::{Kind, Tensor};

use super::source::{Source, SplitTensors};
use crate::{
    metrics::Confusion,
    model::{Batch, Model, Objective},
};

/// Samples that are evaluated at a time, to bound memory.
const CHUNK: i64 = 256;

/// One member's outcome on a split.
pub(super) struct Evaluation {
    /// Mean cross entropy.
    pub(super) loss: f64,
    pub(super) confusion: Confusion,
}

/// Evaluates every member on a split.
pub(super) fn evaluate(
    model: &dyn Model,
    source: &Source,
    split: &SplitTensors,
    primary: usize,
) -> Vec<Evaluation> {
    let members = model.parameters().size()[0];
    let (first, dim) = source.columns(primary);
    let steps = source.steps();
    let all = split.len() as i64;
    let mut confusions = vec![Confusion::new(source.classes()); members as usize];
    let mut losses = vec![0.0; members as usize];
    let mut start = 0;
    while start < all {
        let count = CHUNK.min(all - start);
        let features = Tensor::empty([1, steps * count, source.width()], (Kind::Float, source.device()));
        let part = split.features[primary].narrow(0, start, count).transpose(0, 1).unsqueeze(0);
        features.view([1, steps, count, -1]).narrow(3, first, dim).copy_(&part);
        let labels = split.labels.narrow(0, start, count).unsqueeze(0).expand([members, count], false);
        let batch = Batch {
            features: features.expand([members, -1, -1], false),
            columns: vec![(first, dim)],
            steps,
            samples: count,
            labels,
        };
        let logits = model.evaluate(&batch);
        let sums = to_vec::<f64>(&Objective::CrossEntropy.sums(&logits, &batch.labels));
        let predicted = to_vec::<i64>(&logits.argmax(-1, false));
        let truth = &split.truth[start as usize..(start + count) as usize];
        for (k, predicted) in predicted.chunks(count as usize).enumerate() {
            losses[k] += sums[k];
            for (&truth, &predicted) in truth.iter().zip(predicted) {
                confusions[k].add(truth as usize, predicted as usize);
            }
        }
        start += count;
    }
    let outcome = |(confusion, loss): (Confusion, f64)| Evaluation { loss: loss / all as f64, confusion };
    confusions.into_iter().zip(losses).map(outcome).collect()
}

/// The values of a tensor in memory.
pub(super) fn to_vec<T: tch::kind::Element + Copy + Default>(tensor: &Tensor) -> Vec<T> {
    let flat = tensor.to_device(tch::Device::Cpu).contiguous();
    let mut values = vec![T::default(); flat.numel()];
    flat.copy_data(&mut values, flat.numel());
    values
}
