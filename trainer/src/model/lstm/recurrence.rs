//! The part of LSTM cells that goes step by step over time, and what its implementations are given.

use tch::Tensor;

use super::shape::CellShape;

/// The parameters of one direction of one layer, or their gradients: [K, 4H, F], [K, 4H, H], [K, 4H] twice.
pub(in crate::model) struct Weights {
    pub(in crate::model) input: Tensor,
    pub(in crate::model) hidden: Tensor,
    pub(in crate::model) input_bias: Tensor,
    pub(in crate::model) hidden_bias: Tensor,
}

impl Weights {
    /// Both biases, [K, 4H] each; only their sum has an effect.
    pub(super) fn biases(&self) -> [&Tensor; 2] {
        [&self.input_bias, &self.hidden_bias]
    }
}

/// The passes over time of one run of cells. A recurrence is bound to the `gates` and `hidden` of one
/// [`Cells`](super::Cells).
pub(super) trait Recurrence {
    /// Runs over time. Before the call the gates hold the input's part of their preactivations, without the biases.
    /// Afterwards `hidden` holds the outputs.
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
    /// The sums of `gates` over time steps and samples: [directions, K, 4H].
    pub(super) bias: Tensor,
}

/// Adds the biases to the preactivations [directions, K, T, B, 4H].
pub(super) fn add_biases(shape: CellShape, gates: &Tensor, weights: &[Weights]) {
    for (d, weights) in (0_i64..).zip(weights) {
        let [input, hidden] = weights.biases();
        let _ = shape.rows(gates, d).g_add_(&(input + hidden).unsqueeze(1));
    }
}

impl CellGradients {
    /// Fills the gradients of the biases from those of the gates.
    pub(super) fn sum_gates(&self) {
        let _ = self.gates.sum_intlist_out(&self.bias, [2_i64, 3].as_slice(), false, self.gates.kind());
    }
}
