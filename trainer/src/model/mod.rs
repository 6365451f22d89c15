//! The networks, each over a leading cohort axis K.
//!
//! All parameters of all members are one flat tensor [K, P]. A parameter is a named view [K, ...] of it, and so is
//! its gradient. The optimizer, a checkpoint and a comparison are then each one loop over one tensor.

mod batch;
mod bi_eflstm;
mod dropout;
mod flat;
mod head;
mod kernels;
mod layout;
mod linear;
mod lstm;
mod mfn;
mod objective;
mod perceptron;

pub use batch::{Batch, Columns, Draws};
pub use bi_eflstm::{BiEflstm, BiEflstmShape};
pub use flat::Flat;
pub use kernels::Kernels;
pub use layout::{Init, Layout, LayoutEntry};
pub use mfn::{Mfn, MfnDropout, MfnModality, MfnShape};
pub use objective::Objective;

use tch::Tensor;

/// A network over a cohort of K members.
///
/// Each network computes its own gradients; libtorch's autograd records nothing.
pub trait Model {
    /// The state of the members. [`Self::train`] fills the gradients.
    fn flat(&self) -> &Flat;
    /// See [`Flat::layout`].
    fn layout(&self) -> &Layout {
        &self.flat().layout
    }
    /// See [`Flat::buffer_layout`].
    fn buffer_layout(&self) -> &Layout {
        &self.flat().buffer_layout
    }
    /// See [`Flat::parameters`].
    fn parameters(&self) -> &Tensor {
        &self.flat().parameters
    }
    /// See [`Flat::buffers`].
    fn buffers(&self) -> &Tensor {
        &self.flat().buffers
    }
    /// See [`Flat::gradients`].
    fn gradients(&self) -> &Tensor {
        &self.flat().gradients
    }
    /// One pass forward and backward in training mode. Returns the mean loss of each member, `[K]`.
    fn train(&mut self, batch: &Batch, draws: &Draws<'_>) -> Tensor;
    /// The outputs [K, B, O] in evaluation mode: a logit per class, or one number.
    fn evaluate(&self, batch: &Batch) -> Tensor;
    /// Keeps these members (positions along K, in increasing order) and removes the others.
    fn retain(&mut self, members: &[i64]);
}
