//! The input of a network.

use tch::{Device, Kind, Tensor};

use crate::{
    host::values_mut,
    random::{Purpose, Stream},
};

/// The samples of a batch, ordered by time step.
#[derive(Debug)]
pub struct Batch {
    /// [K, T * B, F]: row t * B + b is step t of sample b. The stride of K may be 0 if all members see the same
    /// values. Columns outside of `columns` are never read.
    pub features: Tensor,
    /// The columns that are present, as (first, count), in increasing order. The other columns count as zero.
    pub columns: Vec<(i64, i64)>,
    /// Number of time steps, T.
    pub steps: i64,
    /// Number of samples, B.
    pub samples: i64,
    /// [K, B]: classes (i64), or numbers of any floating-point kind. Not read in evaluation mode.
    pub labels: Tensor,
}

/// The position of a training step within a run. The draws of dropout depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Draws<'a> {
    /// Seed of each member.
    pub seeds: &'a [u64],
    /// Epoch of each member, counted from 1. Members that continue from checkpoints have epochs of their own.
    pub epochs: &'a [u32],
    /// Step within the epoch, counted from 0.
    pub step: u32,
}

impl Draws<'_> {
    /// A tensor [K, rows, width] of dropout masks (0 or 1 / (1 - p)), on the device and of the kind of `like`, drawn
    /// on the host. None if no member uses dropout.
    #[must_use]
    pub fn mask(&self, purpose: Purpose, dropout: &[f64], shape: &[i64; 2], like: &Tensor) -> Option<Tensor> {
        if dropout.iter().all(|&p| p == 0.0) {
            return None;
        }
        let count = shape.iter().product::<i64>() as usize;
        let size = [self.seeds.len() as i64, shape[0], shape[1]];
        let mask = Tensor::empty(size, (Kind::Float, Device::Cpu));
        // SAFETY: the tensor is new, so nothing else uses its values.
        let values = unsafe { values_mut(&mask) };
        let members = self.seeds.iter().zip(self.epochs).zip(dropout);
        for (values, ((&seed, &epoch), &p)) in values.chunks_mut(count.max(1)).zip(members) {
            Stream::new(seed, purpose, epoch, self.step).fill_mask(p, values);
        }
        Some(mask.to_kind(like.kind()).to_device(like.device()))
    }
}
