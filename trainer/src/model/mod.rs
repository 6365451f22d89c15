//! The networks, each over a leading cohort axis K.
//!
//! All parameters of all members are one flat tensor [K, P]; a parameter is a named view [K, ...] of it, and
//! so is its gradient. An optimizer, a checkpoint and a comparison then are one loop over one tensor.

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

pub use batch::{Batch, Draws};
pub use bi_eflstm::{BiEflstm, BiEflstmShape};
pub use flat::Flat;
pub use kernels::Kernels;
pub use layout::{Init, Layout, LayoutEntry};
pub use mfn::{Mfn, MfnDropout, MfnModality, MfnShape};
pub use objective::Objective;

use tch::Tensor;

/// A network over a cohort of K members.
///
/// How it computes its gradients is its own affair: nothing here is recorded by libtorch's autograd.
pub trait Model {
    /// What it keeps of its members; the gradients are filled by [`Self::train`].
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
    /// The outputs [K, B, O] in evaluation mode: a logit for each class, or one number.
    fn evaluate(&self, batch: &Batch) -> Tensor;
    /// Keeps these members (positions along K, increasing) and forgets the others.
    fn retain(&mut self, members: &[i64]);
}
