//! The part of LSTM cells that goes step by step over time, and what its implementations are given.

use tch::Tensor;

/// The parameters of one direction of one layer, or their gradients: [K, 4H, F], [K, 4H, H], [K, 4H] twice.
pub(in crate::model) struct Weights {
    pub(in crate::model) input: Tensor,
    pub(in crate::model) hidden: Tensor,
    pub(in crate::model) input_bias: Tensor,
    pub(in crate::model) hidden_bias: Tensor,
}

/// The passes over time of one run of cells. A recurrence is bound to the `gates` and `hidden` of one
/// [`Cells`](super::Cells).
pub(super) trait Recurrence {
    /// Runs over time. Before the call the gates hold the input's part of their preactivations. Afterwards `hidden`
    /// holds the outputs.
    fn forward(&mut self, weights: &[Weights]);
    /// The cell states of the last forward pass, [directions, K, T, B, H].
    fn states(&self) -> Tensor;
    /// See [`Cells::backward`](super::Cells::backward).
    fn backward(
        &mut self,
        gradients: &CellGradients,
        weights: &[Weights],
        only_last: bool,
        states: Option<&Tensor>,
    );
}

/// Gradients of one run of cells.
pub(in crate::model) struct CellGradients {
    /// Gradients of the gates' preactivations: [directions, K, T, B, 4H].
    pub(super) gates: Tensor,
    /// Gradients of the outputs: [directions, K, T, B, H]. The caller fills them; the pass may add to them.
    pub(in crate::model) hidden: Tensor,
}
