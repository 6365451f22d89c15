//! Linear, ReLU, dropout, Linear, over the cohort axis.

use tch::Tensor;

use super::{layout::Layout, linear::Linear};

/// The parameters, or their gradients. The names are those of a `torch.nn.Sequential`.
pub(super) struct Perceptron {
    pub(super) first: Linear,
    pub(super) second: Linear,
}

impl Perceptron {
    /// Appends the parameters.
    pub(super) fn lay_out(layout: &mut Layout, name: &str, [inputs, width, outputs]: [i64; 3]) {
        Linear::lay_out(layout, &format!("{name}.0"), inputs, width);
        Linear::lay_out(layout, &format!("{name}.3"), width, outputs);
    }

    pub(super) fn view(layout: &Layout, flat: &Tensor, name: &str) -> Self {
        let view = |number: u32| Linear::view(layout, flat, &format!("{name}.{number}"));
        Self { first: view(0), second: view(3) }
    }

    /// One member's, without the cohort axis.
    pub(super) fn member(&self, member: i64) -> Self {
        Self { first: self.first.member(member), second: self.second.member(member) }
    }

    /// Fills `hidden` [K, N, W] with the values after the dropout, and `out` [K, N, O].
    pub(super) fn forward(&self, x: &Tensor, mask: Option<&Tensor>, hidden: &Tensor, out: &Tensor) {
        self.first.forward(x, hidden);
        self.finish(mask, hidden, out);
    }

    /// Like `forward`, but starts from the first layer's outputs in `hidden`.
    pub(super) fn finish(&self, mask: Option<&Tensor>, hidden: &Tensor, out: &Tensor) {
        let _ = hidden.shallow_clone().relu_();
        if let Some(mask) = mask {
            let _ = hidden.mul_out(hidden, mask);
        }
        self.second.forward(hidden, out);
    }

    /// Fills `dhidden` with the gradient of the first layer's outputs, given the gradient of the second layer's
    /// outputs.
    pub(super) fn arrive(&self, dout: &Tensor, mask: Option<&Tensor>, hidden: &Tensor, dhidden: &Tensor) {
        let _ = dout.bmm_out(dhidden, &self.second.weight);
        if let Some(mask) = mask {
            let _ = dhidden.mul_out(dhidden, mask);
        }
        // A kept value is positive after the dropout if it was positive before.
        let _ = hidden.threshold_backward_grad_input(dhidden, dhidden, 0.0);
    }
}
