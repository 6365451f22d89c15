//! The input of a network.

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use crate::{
    host::values_mut,
    random::{Purpose, Stream},
};

/// The samples of a batch, ordered by time step.
#[derive(Debug)]
pub struct Batch {
    /// [K, T * B, F]: row t * B + b is step t of sample b. The stride of K may be 0 if all members see the same
    /// values. Columns that no member has are never read; those that only other members have are zero.
    pub features: Tensor,
    /// The columns that are present. The other columns count as zero.
    pub columns: Columns,
    /// Number of time steps, T.
    pub steps: i64,
    /// Number of samples, B.
    pub samples: i64,
    /// [K, B]: classes (i64), or numbers of any floating-point kind. Not read in evaluation mode.
    pub labels: Tensor,
}

impl Batch {
    /// The same samples, for some members only.
    pub(super) fn of_members(&self, members: &Range<i64>) -> Self {
        Self {
            features: of_members(&self.features, members),
            columns: self.columns.of_members(members),
            steps: self.steps,
            samples: self.samples,
            labels: of_members(&self.labels, members),
        }
    }
}

/// The view of some members of a tensor [K, ...].
pub(super) fn of_members(whole: &Tensor, members: &Range<i64>) -> Tensor {
    whole.narrow(0, members.start, members.end - members.start)
}

/// The columns of the features that each member has, as (first, count): one range for each modality, in increasing
/// order.
#[derive(Clone, Debug)]
pub struct Columns {
    members: Vec<Vec<(i64, i64)>>,
}

impl Columns {
    /// The columns of each member.
    #[must_use]
    pub fn new(members: Vec<Vec<(i64, i64)>>) -> Self {
        Self { members }
    }

    /// The same columns for this number of members.
    #[must_use]
    pub fn alike(members: i64, columns: &[(i64, i64)]) -> Self {
        Self::new((0..members).map(|_| columns.to_vec()).collect())
    }

    /// The columns of a member. Ranges that touch are one range.
    ///
    /// # Panics
    /// If there is no such member.
    pub(super) fn of(&self, member: usize) -> Vec<(i64, i64)> {
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        for &(first, count) in &self.members[member] {
            match ranges.last_mut() {
                Some((start, before)) if *start + *before == first => *before += count,
                _ => ranges.push((first, count)),
            }
        }
        ranges
    }

    /// The columns of some members.
    fn of_members(&self, members: &Range<i64>) -> Self {
        Self::new(self.members[members.start as usize..members.end as usize].to_vec())
    }

    /// The columns that at least one member has. A range is never joined with its neighbour: which ones touch depends on
    /// the other members.
    pub(super) fn of_any(&self) -> Vec<(i64, i64)> {
        let mut ranges: Vec<(i64, i64)> = self.members.iter().flatten().copied().collect();
        ranges.sort_unstable();
        ranges.dedup();
        ranges
    }

    /// The columns within a range, counted from its start.
    pub(super) fn within(&self, (from, len): (i64, i64)) -> Self {
        let cut = |&(first, count): &(i64, i64)| {
            let (start, end) = (first.max(from), (first + count).min(from + len));
            (end > start).then_some((start - from, end - start))
        };
        Self::new(self.members.iter().map(|ranges| ranges.iter().filter_map(cut).collect()).collect())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_has_its_own_columns_in_as_few_ranges_as_possible() {
        let columns = Columns::new(vec![vec![(0, 3), (3, 2), (7, 1)], vec![(3, 2)], vec![]]);
        assert_eq!(columns.of(0), [(0, 5), (7, 1)]);
        assert_eq!(columns.of(1), [(3, 2)]);
        assert_eq!(columns.of(2), []);
        assert_eq!(columns.of_any(), [(0, 3), (3, 2), (7, 1)]);
    }

    #[test]
    fn columns_are_cut_to_a_modality() {
        let within = |columns: &[(i64, i64)]| Columns::alike(1, columns).within((10, 5)).of_any();
        assert_eq!(within(&[(0, 40)]), [(0, 5)]);
        assert_eq!(within(&[(0, 10), (15, 5)]), []);
        assert_eq!(within(&[(8, 3), (12, 1), (14, 9)]), [(0, 1), (2, 1), (4, 1)]);
        assert_eq!(within(&[]), []);
    }
}
