//! The size of a run of cells, and views of its tensors.
//!
//! All tensors are in the order of time, also for the direction that runs backward. In one step the two directions
//! are at different times.

use tch::{Device, Kind, Tensor};

/// The size of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model) struct CellShape {
    /// 1: forward in time; 2: forward and backward.
    pub(in crate::model) directions: i64,
    pub(in crate::model) members: i64,
    pub(in crate::model) steps: i64,
    pub(in crate::model) samples: i64,
    pub(in crate::model) hidden: i64,
}

impl CellShape {
    /// The time of a direction in a step.
    pub(super) fn time(&self, direction: i64, step: i64) -> i64 {
        if direction == 0 { step } else { self.steps - 1 - step }
    }

    /// A new tensor [directions, K, T, B, width].
    pub(super) fn tensor(&self, width: i64, options: (Kind, Device)) -> Tensor {
        Tensor::empty([self.directions, self.members, self.steps, self.samples, width], options)
    }

    /// One direction as rows: [K, T * B, width].
    pub(in crate::model) fn rows(&self, whole: &Tensor, direction: i64) -> Tensor {
        whole.get(direction).flatten(1, 2)
    }
}
