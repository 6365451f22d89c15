//! The part that all implementations of LSTM cells over time share.
//!
//! The products with the input are one matrix product for all time steps, and so is the gradient of each weight. Only
//! the product with the previous output is in the loop over time, which is a [`Recurrence`]. The equations are
//! PyTorch's (`torch.nn.LSTM`): i, f, o = sigmoid(..), g = tanh(..), c = f c' + i g, h = o tanh(c).

use tch::{Device, Kind, Tensor};

use super::{
    fused::Fused,
    in_memory::InMemory,
    in_place::InPlace,
    input::{self, InputProducts},
    recurrence::{CellGradients, Recurrence, Weights},
    shape::CellShape,
};
use crate::{
    host,
    model::{Kernels, batch::Columns},
};

/// The input of the cells: rows [K, T * B, F], and the columns that are present.
pub(in crate::model) struct Input<'a> {
    pub(in crate::model) rows: &'a Tensor,
    pub(in crate::model) columns: &'a Columns,
}

/// One run of cells over time.
pub(in crate::model) struct Cells {
    pub(in crate::model) shape: CellShape,
    /// The gates in PyTorch's order i, f, g, o: [directions, K, T, B, 4H].
    gates: Tensor,
    /// The outputs: [directions, K, T, B, H].
    pub(in crate::model) hidden: Tensor,
    recurrence: Box<dyn Recurrence>,
    input: Box<dyn InputProducts>,
    /// Allocated by the first backward pass.
    gradients: Option<CellGradients>,
}

impl Cells {
    pub(in crate::model) fn new(shape: CellShape, kernels: Kernels, options: (Kind, Device)) -> Self {
        let [gates, hidden] = [4 * shape.hidden, shape.hidden].map(|width| shape.tensor(width, options));
        let (recurrence, input): (Box<dyn Recurrence>, Box<dyn InputProducts>) = match kernels {
            Kernels::InMemory if host::holds(options) => {
                (Box::new(InMemory::new(shape, &gates, &hidden)), Box::new(input::InMemory))
            }
            Kernels::InMemory | Kernels::InPlace => {
                (Box::new(InPlace::new(shape, &gates, &hidden)), Box::new(input::AsTensors))
            }
            Kernels::Fused => (Box::new(Fused::new(shape, &gates, &hidden)), Box::new(input::AsTensors)),
        };
        Self { shape, gates, hidden, recurrence, input, gradients: None }
    }

    /// Runs the cells over time; afterwards `hidden` holds their outputs.
    pub(in crate::model) fn forward(&mut self, input: &Input<'_>, weights: &[Weights]) {
        for (d, weights) in (0_i64..).zip(weights) {
            self.input.forward(input, &weights.input, &self.shape.rows(&self.gates, d));
        }
        self.recurrence.forward(weights);
    }

    /// The cell states of the last forward pass, [directions, K, T, B, H].
    pub(in crate::model) fn states(&self) -> Tensor {
        self.recurrence.states()
    }

    /// Allocates the gradients, unless they exist.
    pub(in crate::model) fn prepare_gradients(&mut self) {
        let (shape, options) = (self.shape, (self.gates.kind(), self.gates.device()));
        self.gradients.get_or_insert_with(|| CellGradients {
            gates: shape.tensor(4 * shape.hidden, options),
            hidden: shape.tensor(shape.hidden, options),
            bias: Tensor::empty([shape.directions, shape.members, 4 * shape.hidden], options),
        });
    }

    /// # Panics
    /// If [`Self::prepare_gradients`] was not called before.
    pub(in crate::model) fn gradients(&self) -> &CellGradients {
        self.gradients.as_ref().expect("the backward pass makes room before it uses it")
    }

    /// Computes the gradients of the gates' preactivations. Inputs are the gradients of the outputs, which the caller
    /// has filled (at every step, or with `only_last` at the last step only), and those of the cell states (`states`
    /// [directions, K, T, B, H], if something besides the outputs reads them).
    pub(in crate::model) fn backward(
        &mut self,
        weights: &[Weights],
        only_last: bool,
        states: Option<&Tensor>,
    ) {
        let gradients = self.gradients.as_ref().expect("the caller has filled them");
        self.recurrence.backward(gradients, weights, only_last, states);
    }

    /// The gradients of the parameters, from the gates' gradients.
    pub(in crate::model) fn weight_gradients(&self, input: &Input<'_>, gradients: &[Weights]) {
        let more = self.shape.steps - 1;
        for (d, gradient) in (0_i64..).zip(gradients) {
            let rows = self.shape.rows(&self.gradients().gates, d);
            self.input.gradient(input, &rows, &gradient.input);
            let (now, before) = if d == 0 { (1, 0) } else { (0, 1) };
            let at = |whole: &Tensor, time: i64| whole.get(d).narrow(1, time, more).flatten(1, 2);
            if more > 0 {
                let gates = at(&self.gradients().gates, now).transpose(1, 2);
                let _ = gates.bmm_out(&gradient.hidden, &at(&self.hidden, before));
            } else {
                let _ = gradient.hidden.shallow_clone().zero_();
            }
            for bias in gradient.biases() {
                bias.shallow_clone().copy_(&self.gradients().bias.get(d));
            }
        }
    }

    /// The gradient of the input's rows, [K, T * B, F]: a new tensor if `out` is None, otherwise added to `out`.
    pub(in crate::model) fn input_gradient(&self, weights: &[Weights], out: Option<Tensor>) -> Tensor {
        let products = (0_i64..).zip(weights).fold(out, |out, (d, weights)| {
            let rows = self.shape.rows(&self.gradients().gates, d);
            Some(match out {
                None => rows.bmm(&weights.input),
                Some(out) => out.baddbmm_out(&out, &rows, &weights.input),
            })
        });
        products.expect("cells run in at least one direction")
    }
}
