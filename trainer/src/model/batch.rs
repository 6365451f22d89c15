//! What a network is given.

use tch::Tensor;

use crate::random::{Purpose, Stream};

/// Samples, time by time.
#[derive(Debug)]
pub struct Batch {
    /// [K, T * B, F]: row t * B + b is step t of sample b. K may be a stride of 0 where all members see the
    /// same. Columns outside of `columns` are never read.
    pub features: Tensor,
    /// The columns that are present, as (first, count), increasing. The others count as zero.
    pub columns: Vec<(i64, i64)>,
    /// Time steps T.
    pub steps: i64,
    /// Samples B.
    pub samples: i64,
    /// [K, B]: classes (i64), or numbers of any floating kind; not read in evaluation mode.
    pub labels: Tensor,
}

/// Where in a run a training step is, for the draws of dropout.
#[derive(Clone, Copy, Debug)]
pub struct Draws<'a> {
    /// Of every member.
    pub seeds: &'a [u64],
    /// Of every member, counting from 1: members that continue from checkpoints are at epochs of their own.
    pub epochs: &'a [u32],
    /// Counting from 0 within the epoch.
    pub step: u32,
}

impl Draws<'_> {
    /// A tensor [K, rows, width] of dropout masks (0 or 1 / (1 - p)), on the device and of the kind of `like`, drawn
    /// on the host. None when no member drops anything.
    #[must_use]
    pub fn mask(&self, purpose: Purpose, dropout: &[f64], shape: &[i64; 2], like: &Tensor) -> Option<Tensor> {
        if dropout.iter().all(|&p| p == 0.0) {
            return None;
        }
        let count = shape.iter().product::<i64>() as usize;
        let mut values = vec![0.0_f32; self.seeds.len() * count];
        let members = self.seeds.iter().zip(self.epochs).zip(dropout);
        for (values, ((&seed, &epoch), &p)) in values.chunks_mut(count).zip(members) {
            Stream::new(seed, purpose, epoch, self.step).fill_mask(p, values);
        }
        let mask = Tensor::from_slice(&values).view([self.seeds.len() as i64, shape[0], shape[1]]);
        Some(mask.to_kind(like.kind()).to_device(like.device()))
    }
}
