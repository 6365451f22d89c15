//! Gathers the samples of training batches.

use tch::{Kind, Tensor};

use super::{plan::Plan, source::Source};
use crate::model::Batch;

/// A batch for every member: member k sees its own samples with its own modalities.
///
/// `samples` are the [K][B] positions in the training split. `buffer` [K, T * B, F] is reused between calls.
/// A modality that no member has is not copied, and its columns are left out.
pub(super) fn gather(
    source: &Source,
    plans: &[&Plan],
    samples: &[&[i64]],
    (epoch, step): (u32, u32),
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

    let present: Vec<Vec<bool>> = plans.iter().map(|plan| plan.present(epoch, step)).collect();
    let mut columns: Vec<(i64, i64)> = Vec::new();
    for (modality, whole) in split.features.iter().enumerate() {
        let here: Vec<f32> = present.iter().map(|present| f32::from(u8::from(present[modality]))).collect();
        if here.iter().all(|&here| here == 0.0) {
            continue;
        }
        let (first, dim) = source.columns(modality);
        let chosen = whole.index_select(0, &index).view([members, count, steps, dim]).permute([0, 2, 1, 3]);
        let mut place = features.view(size).narrow(3, first, dim);
        if here.iter().all(|&here| here == 1.0) {
            place.copy_(&chosen);
        } else {
            let mask = Tensor::from_slice(&here).view([members, 1, 1, 1]).to_device(device);
            let _ = chosen.mul_out(&place, &mask);
        }
        match columns.last_mut() {
            Some((start, count)) if *start + *count == first => *count += dim,
            _ => columns.push((first, dim)),
        }
    }
    let labels = split.labels.index_select(0, &index).view([members, count]);
    *buffer = Some(features.shallow_clone());
    Batch { features, columns, steps, samples: count, labels }
}
