//! The part of the network between the LSTM cells and the head: the attention and the memory.

use tch::Tensor;

use super::shape::Weights;

/// Dropout masks, [K, T * B, width]; the head's is [K, B, width].
#[derive(Default)]
pub(super) struct Masks {
    pub(super) nn1: Option<Tensor>,
    pub(super) nn2: Option<Tensor>,
    pub(super) gammas: [Option<Tensor>; 2],
    pub(super) out: Option<Tensor>,
}

/// The attention over the cell states of two neighbouring steps, and the memory that it updates.
pub(super) trait Fusion {
    /// Fills `last` [K, B, M] with the memory after the last step, given the cell states of each modality, [K, T * B,
    /// H] each.
    fn forward(&mut self, states: &[Tensor], weights: &Weights, masks: &Masks, last: &Tensor);
    /// Fills the gradients of its parameters (in `weights.1`) and those of the cell states, given the gradient `dlast`
    /// of the last memory. The weights and masks are those of the forward pass.
    fn backward(&mut self, weights: (&Weights, &Weights), masks: &Masks, dlast: &Tensor, dstates: &[Tensor]);
}
