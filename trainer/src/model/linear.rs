//! A linear layer over the cohort axis: `torch.nn.Linear`.

use tch::{Kind, Tensor};

use super::layout::{Init, Layout};

/// The parameters, or their gradients: [K, O, F] and [K, O].
pub(super) struct Linear {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
}

impl Linear {
    /// Appends `name.weight` and `name.bias`, initialised as PyTorch does.
    pub(super) fn lay_out(layout: &mut Layout, name: &str, inputs: i64, outputs: i64) {
        let uniform = Init::Uniform(1.0 / (inputs as f64).sqrt());
        layout.push(format!("{name}.weight"), &[outputs, inputs], uniform);
        layout.push(format!("{name}.bias"), &[outputs], uniform);
    }

    pub(super) fn view(layout: &Layout, flat: &Tensor, name: &str) -> Self {
        let view = |part: &str| layout.view(flat, &format!("{name}.{part}"));
        Self { weight: view("weight"), bias: view("bias") }
    }

    /// One member's, without the cohort axis.
    pub(super) fn member(&self, member: i64) -> Self {
        Self { weight: self.weight.get(member), bias: self.bias.get(member) }
    }

    /// The part of the layer that acts on these inputs only, as (first, count).
    pub(super) fn columns(&self, (first, count): (i64, i64)) -> Self {
        Self { weight: self.weight.narrow(2, first, count), bias: self.bias.shallow_clone() }
    }

    /// Fills `out` [K, N, O] with x [K, N, F] times the transposed weight, plus the bias.
    pub(super) fn forward(&self, x: &Tensor, out: &Tensor) {
        let bias = self.bias.unsqueeze(1).expand_as(out);
        let _ = bias.baddbmm_out(out, x, &self.weight.transpose(1, 2));
    }

    /// Like `forward`, with a new tensor as output.
    pub(super) fn outputs(&self, x: &Tensor) -> Tensor {
        self.bias.unsqueeze(1).baddbmm(x, &self.weight.transpose(1, 2), 1.0, 1.0)
    }

    /// Called on gradients: fills them from the gradient of the outputs [K, N, O] and from the inputs [K, N, F].
    pub(super) fn fill(&self, dout: &Tensor, x: &Tensor) {
        self.fill_weight(dout, x);
        let _ = dout.sum_intlist_out(&self.bias, 1_i64, false, None::<Kind>);
    }

    /// Fills the gradient of the weight only.
    pub(super) fn fill_weight(&self, dout: &Tensor, x: &Tensor) {
        let _ = dout.transpose(1, 2).bmm_out(&self.weight, x);
    }
}
