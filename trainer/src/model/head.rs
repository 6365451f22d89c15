//! The head of the bi-EFLSTM: Linear, batch norm, ReLU, dropout, Linear.

use tch::{Kind, Tensor};

use super::{
    layout::{Init, Layout},
    linear::Linear,
};

/// `torch.nn.BatchNorm1d`'s defaults.
const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// The parameters, or their gradients; those of the batch norm are [K, H].
pub(super) struct Parameters {
    hidden: Linear,
    norm_weight: Tensor,
    norm_bias: Tensor,
    output: Linear,
}

impl Parameters {
    /// Appends the head's parameters to a layout.
    pub(super) fn lay_out(layout: &mut Layout, features: i64, hidden: i64, outputs: i64) {
        Linear::lay_out(layout, "hidden", features, hidden);
        layout.push("norm.weight", &[hidden], Init::Constant(1.0));
        layout.push("norm.bias", &[hidden], Init::Constant(0.0));
        Linear::lay_out(layout, "output", hidden, outputs);
    }

    pub(super) fn view(layout: &Layout, flat: &Tensor) -> Self {
        let view = |name| layout.view(flat, name);
        Self {
            hidden: Linear::view(layout, flat, "hidden"),
            norm_weight: view("norm.weight"),
            norm_bias: view("norm.bias"),
            output: Linear::view(layout, flat, "output"),
        }
    }
}

/// The running mean and the running, unbiased variance of the batch norm: [K, H] each.
pub(super) struct Running {
    mean: Tensor,
    variance: Tensor,
}

impl Running {
    pub(super) fn lay_out(layout: &mut Layout, hidden: i64) {
        layout.push("norm.running_mean", &[hidden], Init::Constant(0.0));
        layout.push("norm.running_var", &[hidden], Init::Constant(1.0));
    }

    pub(super) fn view(layout: &Layout, flat: &Tensor) -> Self {
        Self { mean: layout.view(flat, "norm.running_mean"), variance: layout.view(flat, "norm.running_var") }
    }

    /// Updates the running values with the mean and the biased variance [K, 1, H] of a batch of this many samples.
    fn update(&self, mean: &Tensor, variance: &Tensor, samples: i64) {
        let unbiased = samples as f64 / (samples - 1) as f64;
        let _ = self.mean.shallow_clone().lerp_(&mean.squeeze_dim(1), MOMENTUM);
        let _ = self.variance.shallow_clone().lerp_(&(variance.squeeze_dim(1) * unbiased), MOMENTUM);
    }
}

/// Outputs [K, B, O] of features [K, B, F] in evaluation mode.
pub(super) fn evaluate(p: &Parameters, running: &Running, features: &Tensor) -> Tensor {
    let scale = &p.norm_weight * (&running.variance + EPSILON).rsqrt();
    let shift = &p.norm_bias - &running.mean * &scale;
    let z = p.hidden.outputs(features);
    let active = (z * scale.unsqueeze(1) + shift.unsqueeze(1)).relu();
    p.output.outputs(&active)
}

/// Values of the forward pass for the backward pass. All are [K, B, H], except `inverse`, which is [K, 1, H].
pub(super) struct Pass<'a> {
    features: &'a Tensor,
    mask: Option<&'a Tensor>,
    normal: Tensor,
    inverse: Tensor,
    positive: Tensor,
    active: Tensor,
}

/// Outputs [K, B, O] of `features` [K, B, F] in training mode. `mask` is the dropout mask [K, B, H], if there is one.
pub(super) fn forward<'a>(
    p: &Parameters,
    running: &Running,
    features: &'a Tensor,
    mask: Option<&'a Tensor>,
) -> (Tensor, Pass<'a>) {
    let z = p.hidden.outputs(features);
    let (variance, mean) = z.var_mean_correction(1_i64, 0.0, true);
    running.update(&mean, &variance, features.size()[1]);
    let inverse = (variance + EPSILON).rsqrt();
    let normal = (z - mean) * &inverse;
    let positive = (&normal * p.norm_weight.unsqueeze(1) + p.norm_bias.unsqueeze(1)).relu();
    let active = mask.map_or_else(|| positive.shallow_clone(), |mask| &positive * mask);
    let outputs = p.output.outputs(&active);
    (outputs, Pass { features, mask, normal, inverse, positive, active })
}

/// Fills the gradients (except that of `hidden.bias`), given the gradient of the outputs [K, B, O]. Returns the
/// gradient of the features [K, B, F].
pub(super) fn backward(p: &Parameters, gradients: &Parameters, pass: &Pass<'_>, doutputs: &Tensor) -> Tensor {
    let Pass { features, mask, normal, inverse, positive, active } = pass;
    gradients.output.fill(doutputs, active);
    let dactive = doutputs.bmm(&p.output.weight);
    let dactive = mask.map_or_else(|| dactive.shallow_clone(), |mask| &dactive * mask);
    let dy = positive.threshold_backward(&dactive, 0.0);
    fill(&gradients.norm_bias, &dy.sum_dim_intlist(1_i64, false, None::<Kind>));
    fill(&gradients.norm_weight, &(&dy * normal).sum_dim_intlist(1_i64, false, None::<Kind>));
    let dnormal = dy * p.norm_weight.unsqueeze(1);
    let mean = |x: Tensor| x.mean_dim(1_i64, true, None::<Kind>);
    let dz = (&dnormal - mean(dnormal.shallow_clone()) - normal * mean(&dnormal * normal)) * inverse;
    // The batch norm removes whatever the bias before it adds. The true gradient of this bias is zero, so it keeps
    // its initial zero. Summing `dz` would give rounding errors instead. Adam turns these into steps of full size,
    // and through the running mean validation would differ between cohorts.
    gradients.hidden.fill_weight(&dz, features);
    dz.bmm(&p.hidden.weight)
}

fn fill(place: &Tensor, value: &Tensor) {
    place.shallow_clone().copy_(value);
}
