//! Gathers the samples of training batches.

use tch::{Kind, Tensor};

use super::{
    plan::Plan,
    presence::{MaskShape, Presence},
    source::Source,
};
use crate::model::Batch;

/// A batch for every member: member k sees its own samples with its own modalities.
///
/// `samples` are the [K][B] positions in the training split, `epochs` the members' epochs. `buffer`
/// [K, T * B, F] is reused between calls. A modality that no member has is not copied, and its columns are
/// left out.
pub(super) fn gather(
    source: &Source,
    plans: &[&Plan],
    samples: &[&[i64]],
    (epochs, step): (&[u32], u32),
    buffer: &mut Option<Tensor>,
) -> Batch {
    let device = source.device();
    let (members, count) = (plans.len() as i64, samples[0].len() as i64);
    let (steps, width) = (source.steps(), source.width());
    let size = [members, steps, count, width];
    let flat = [members, steps * count, width];
    let features = match buffer.take() {
        Some(tensor) if tensor.size() == flat => tensor,
        _ => Tensor::empty(flat, (Kind::Float, device)),
    };
    let index = Tensor::from_slice(&samples.concat()).to_device(device);
    let split = source.train();

    let mut columns: Vec<(i64, i64)> = Vec::new();
    for (modality, whole) in split.features.iter().enumerate() {
        let (first, dim) = source.columns(modality);
        let batch = MaskShape { steps: steps as usize, samples: count as usize, features: dim as usize };
        let (shape, mask) = mask(plans, epochs, step, modality, batch);
        if mask.iter().all(|&here| here == 0.0) {
            continue;
        }
        let chosen = whole.index_select(0, &index).view([members, count, steps, dim]).permute([0, 2, 1, 3]);
        let mut place = features.view(size).narrow(3, first, dim);
        if mask.iter().all(|&here| here == 1.0) {
            place.copy_(&chosen);
        } else {
            let shape = [shape.steps, shape.samples, shape.features].map(|n| n as i64);
            let mask = Tensor::from_slice(&mask).view([members, shape[0], shape[1], shape[2]]);
            let _ = chosen.mul_out(&place, &mask.to_device(device));
        }
        // Never merged with its neighbours, present or not: how a product is split would then depend on what
        // the other members have, and with it the rounding. A product with zeros adds nothing, bit by bit.
        columns.push((first, dim));
    }
    let labels = split.labels.index_select(0, &index).view([members, count]);
    *buffer = Some(features.shallow_clone());
    Batch { features, columns, steps, samples: count, labels }
}

/// The masks [K, steps, samples, features] of a modality in the smallest shape that can say them.
fn mask(
    plans: &[&Plan],
    epochs: &[u32],
    step: u32,
    modality: usize,
    batch: MaskShape,
) -> (MaskShape, Vec<f32>) {
    let presences: Vec<Presence> = plans
        .iter()
        .zip(epochs)
        .map(|(plan, &epoch)| Presence {
            seed: plan.seed(),
            epoch,
            step,
            modality: modality as u32,
            probability: plan.dropout(modality),
        })
        .collect();
    let shape = presences
        .iter()
        .zip(plans)
        .fold(MaskShape::ONE, |shape, (presence, plan)| shape.union(presence.shape(plan.training(), batch)));
    let mut mask = vec![0.0; plans.len() * shape.len()];
    for ((out, presence), plan) in mask.chunks_mut(shape.len()).zip(&presences).zip(plans) {
        if plan.sees(modality) {
            presence.fill(plan.training(), batch, shape, out);
        }
    }
    (shape, mask)
}
