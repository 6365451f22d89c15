//! Validation and test: some modalities only, in evaluation mode.

use std::collections::BTreeMap;

use colearn_core::result::metric;
use tch::{Device, Kind, Tensor};

use super::{
    plan::Plan,
    replacement,
    source::{DataSource, SplitTensors, Truth},
};
use crate::{
    metrics::{Confusion, Regression},
    model::{Batch, Columns, Model},
};

/// Number of samples that are evaluated at a time on a CPU: the values of a layer then fit into its cache.
const CPU_CHUNK: i64 = 32;
/// The same on a GPU, to bound memory: per member, and in total for a large cohort.
const GPU_CHUNK: i64 = 256;
const COHORT_CHUNK: i64 = 16 * GPU_CHUNK;

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

/// The evaluations of every member on a split: on the primary modality alone, and for each further subset.
pub(super) struct Evaluations {
    pub(super) alone: Vec<Evaluation>,
    subsets: Vec<Vec<Evaluation>>,
}

impl Evaluations {
    /// Evaluates the members of a cohort, which all have the same subsets.
    pub(super) fn of(model: &dyn Model, source: &DataSource, split: &SplitTensors, plans: &[&Plan]) -> Self {
        let on = |present: &[bool]| evaluate(model, source, split, present, plans);
        let plan = plans[0];
        Self { alone: on(&plan.alone()), subsets: plan.subsets.iter().map(|present| on(present)).collect() }
    }

    /// The subsets that are a member's. A unimodal network sees its primary modality alone, whatever else is present.
    fn subsets<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (&'a [String], &'a Vec<Evaluation>)> {
        let subsets = plan.settings.evaluate.iter().map(Vec::as_slice).zip(&self.subsets);
        subsets.filter(|_| !plan.settings.unimodal)
    }

    /// The sum of a member's losses, which is finite if each of them is.
    pub(super) fn loss(&self, k: usize, plan: &Plan) -> f64 {
        self.subsets(plan).map(|(_, subset)| subset[k].loss).fold(self.alone[k].loss, |a, b| a + b)
    }

    /// Every metric of a member, by name.
    pub(super) fn metrics(&self, k: usize, plan: &Plan) -> BTreeMap<String, f64> {
        let mut metrics = self.alone[k].metrics();
        for (modalities, subset) in self.subsets(plan) {
            let named = |(name, value): (String, f64)| (metric::with_modalities(&name, modalities), value);
            metrics.extend(subset[k].metrics().into_iter().map(named));
        }
        metrics
    }
}

/// Evaluates every member on a split. `present` says which modalities are present, in the order of the data set. The
/// others are zero, or their means in the training split for members that replace them.
pub(super) fn evaluate(
    model: &dyn Model,
    source: &DataSource,
    split: &SplitTensors,
    present: &[bool],
    plans: &[&Plan],
) -> Vec<Evaluation> {
    let members = model.parameters().size()[0];
    let all = split.len() as i64;
    // Results are copied to the host at the end only, so that the host waits for the device once.
    let mut losses = Tensor::zeros([members], (Kind::Double, source.device()));
    let mut predictions = Vec::new();
    for_each_chunk(model, source, split, present, plans, |labels, outputs| {
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
    plans: &[&Plan],
) -> Tensor {
    let mut all = Vec::new();
    let keep = |_: &Tensor, outputs: Tensor| all.push(outputs.to_kind(Kind::Float));
    for_each_chunk(model, source, split, present, plans, keep);
    Tensor::cat(&all, 1)
}

/// Calls `each` with the labels [K, B] and the outputs [K, B, O] of some samples after the other.
fn for_each_chunk(
    model: &dyn Model,
    source: &DataSource,
    split: &SplitTensors,
    present: &[bool],
    plans: &[&Plan],
    mut each: impl FnMut(&Tensor, Tensor),
) {
    let members = model.parameters().size()[0];
    let steps = source.steps();
    let all = split.len() as i64;
    let replaced: Vec<bool> = plans.iter().map(|plan| plan.replaces_absent()).collect();
    let any_replaced = replaced.contains(&true);
    // The rows of members that see the same are not repeated.
    let marks = if any_replaced && replaced.contains(&false) { replaced } else { vec![any_replaced] };
    let seen = || present.iter().enumerate().filter(|(_, present)| **present || any_replaced);
    let columns = plans.iter().map(|plan| {
        let of_member = seen().filter(|(_, present)| **present || plan.replaces_absent());
        of_member.map(|(modality, _)| source.columns(modality)).collect()
    });
    let columns = Columns::new(columns.collect());
    let chunk = match source.device() {
        Device::Cpu => CPU_CHUNK,
        _ => GPU_CHUNK.min((COHORT_CHUNK / members).max(1)),
    };
    let mut start = 0;
    while start < all {
        let count = chunk.min(all - start);
        let rows = marks.len() as i64;
        let features = Tensor::empty([rows, steps * count, source.width()], (Kind::Float, source.device()));
        for (modality, &is_present) in seen() {
            let (first, dim) = source.columns(modality);
            let part = match is_present {
                true => split.features[modality].narrow(0, start, count).transpose(0, 1).unsqueeze(0),
                false => replacement::rows(&source.statistics(modality).mean, &marks),
            };
            let mut place = features.view([rows, steps, count, -1]).narrow(3, first, dim);
            place.copy_(&part);
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
