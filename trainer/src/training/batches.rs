//! The training batches of an epoch.
//!
//! The host decides which samples a member sees and which of their modalities. These decisions are copied to the
//! device for many steps at once. A copy waits for the device, so there is not one in every step.

use std::ops::Range;

use colearn_core::id::TaskId;
use tch::{Kind, Tensor};

use super::{
    masks::{Mask, Masks},
    plan::Plan,
    progress::Progress,
    source::DataSource,
};
use crate::model::{Batch, Columns};

/// The batches of one epoch of each member.
pub(super) struct Batches<'a> {
    source: &'a DataSource,
    /// The members, in the order of K.
    tasks: Vec<TaskId>,
    epochs: Vec<u32>,
    /// The positions of the samples in the training split, [K, N].
    order: Tensor,
    /// The range of samples of each step.
    ranges: Vec<Range<usize>>,
    masks: Option<Masks>,
}

impl<'a> Batches<'a> {
    /// The batches of the members' next epochs.
    pub(super) fn new(source: &'a DataSource, members: &[Progress]) -> Self {
        let samples = source.train().len();
        let epochs: Vec<u32> = members.iter().map(|member| member.state.epoch + 1).collect();
        let order: Vec<i64> = members
            .iter()
            .zip(&epochs)
            .flat_map(|(member, &epoch)| member.plan.order(samples, epoch))
            .collect();
        let mut taken = 0;
        let range = |count: usize| {
            taken += count;
            taken - count..taken
        };
        Self {
            source,
            tasks: members.iter().map(|member| member.plan.task).collect(),
            epochs,
            order: Tensor::from_slice(&order)
                .view([members.len() as i64, samples as i64])
                .to_device(source.device()),
            ranges: members[0].plan.batches(samples).into_iter().map(range).collect(),
            masks: None,
        }
    }

    /// Number of steps of the epoch.
    pub(super) fn steps(&self) -> u32 {
        u32::try_from(self.ranges.len()).unwrap_or(u32::MAX)
    }

    /// The members' epochs.
    pub(super) fn epochs(&self) -> &[u32] {
        &self.epochs
    }

    /// Removes all members except `members`.
    pub(super) fn keep(&mut self, members: &[Progress]) {
        let kept: Vec<usize> = (0..self.tasks.len())
            .filter(|&k| members.iter().any(|member| member.plan.task == self.tasks[k]))
            .collect();
        if kept.len() == self.tasks.len() {
            return;
        }
        let index: Vec<i64> = kept.iter().map(|&k| k as i64).collect();
        self.order = self.order.index_select(0, &Tensor::from_slice(&index).to_device(self.order.device()));
        self.tasks = kept.iter().map(|&k| self.tasks[k]).collect();
        self.epochs = kept.iter().map(|&k| self.epochs[k]).collect();
        self.masks = None;
    }

    /// The batch of a step: member k sees its own samples with its own modalities. `plans` are the plans of the
    /// members. `buffer` [K, T * B, F] is reused between calls. A modality that no member has is not copied, and its
    /// columns are left out.
    pub(super) fn gather(&mut self, plans: &[&Plan], step: u32, buffer: &mut Option<Tensor>) -> Batch {
        let source = self.source;
        let masks = match self.masks.take().filter(|masks| masks.covers(step)) {
            Some(masks) => masks,
            None => Masks::new(source, plans, &self.epochs, (step, &self.ranges[step as usize..])),
        };
        let range = &self.ranges[step as usize];
        let (members, count) = (plans.len() as i64, range.len() as i64);
        let (steps, width) = (source.steps(), source.width());
        let size = [members, steps, count, width];
        let flat = [members, steps * count, width];
        let features = match buffer.take() {
            Some(tensor) if tensor.size() == flat => tensor,
            _ => Tensor::empty(flat, (Kind::Float, source.device())),
        };
        let index = self.order.narrow(1, range.start as i64, count).reshape([-1]);
        let split = source.train();

        let mut columns = vec![Vec::new(); plans.len()];
        for (modality, whole) in split.features.iter().enumerate() {
            let (first, dim) = source.columns(modality);
            let mask = masks.of(step, modality);
            if matches!(mask, Mask::Absent) {
                continue;
            }
            let chosen =
                whole.index_select(0, &index).view([members, count, steps, dim]).permute([0, 2, 1, 3]);
            let mut place = features.view(size).narrow(3, first, dim);
            match masks.values(mask, members) {
                None => place.copy_(&chosen),
                Some(mask) => match masks.fill(step, modality, count) {
                    None => drop(chosen.mul_out(&place, &mask)),
                    Some(fill) => place.copy_(&(chosen * &mask).where_self(&mask.ne(0.0), &fill)),
                },
            }
            for (member, columns) in columns.iter_mut().enumerate() {
                if masks.is_seen(mask, member) {
                    columns.push((first, dim));
                }
            }
        }
        let labels = split.labels.index_select(0, &index).view([members, count]);
        self.masks = Some(masks);
        *buffer = Some(features.shallow_clone());
        Batch { features, columns: Columns::new(columns), steps, samples: count, labels }
    }
}
