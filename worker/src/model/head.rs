//! The head of the bi-EFLSTM: Linear, batch norm, ReLU, dropout, Linear.

use tch::{Kind, Tensor};

use super::layout::{Init, Layout};

/// `torch.nn.BatchNorm1d`'s defaults.
const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// The parameters, or their gradients: [K, H, F], [K, H], [K, H], [K, H], [K, O, H], [K, O].
pub(super) struct Parameters {
    hidden_weight: Tensor,
    hidden_bias: Tensor,
    norm_weight: Tensor,
    norm_bias: Tensor,
    output_weight: Tensor,
    output_bias: Tensor,
}

impl Parameters {
    /// Appends the head's parameters to a layout.
    pub(super) fn lay_out(layout: &mut Layout, features: i64, hidden: i64, outputs: i64) {
        let uniform = |fan_in: i64| Init::Uniform(1.0 / (fan_in as f64).sqrt());
        layout.push("hidden.weight", &[hidden, features], uniform(features));
        layout.push("hidden.bias", &[hidden], uniform(features));
        layout.push("norm.weight", &[hidden], Init::Constant(1.0));
        layout.push("norm.bias", &[hidden], Init::Constant(0.0));
        layout.push("output.weight", &[outputs, hidden], uniform(hidden));
        layout.push("output.bias", &[outputs], uniform(hidden));
    }

    pub(super) fn view(layout: &Layout, flat: &Tensor) -> Self {
        let view = |name| layout.view(flat, name);
        Self {
            hidden_weight: view("hidden.weight"),
            hidden_bias: view("hidden.bias"),
            norm_weight: view("norm.weight"),
            norm_bias: view("norm.bias"),
            output_weight: view("output.weight"),
            output_bias: view("output.bias"),
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

    /// Takes in the mean and the biased variance [K, 1, H] of a batch of this many samples.
    fn update(&mut self, mean: &Tensor, variance: &Tensor, samples: i64) {
        let unbiased = samples as f64 / (samples - 1) as f64;
        let _ = self.mean.lerp_(&mean.squeeze_dim(1), MOMENTUM);
        let _ = self.variance.lerp_(&(variance.squeeze_dim(1) * unbiased), MOMENTUM);
    }
}

/// x [K, B, F] times weight [K, O, F] transposed, plus bias [K, O].
fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Tensor {
    bias.unsqueeze(1).baddbmm(x, &weight.transpose(1, 2), 1.0, 1.0)
}

/// Outputs [K, B, O] of features [K, B, F] in evaluation mode.
pub(super) fn evaluate(p: &Parameters, running: &Running, features: &Tensor) -> Tensor {
    let scale = &p.norm_weight * (&running.variance + EPSILON).rsqrt();
    let shift = &p.norm_bias - &running.mean * &scale;
    let z = linear(features, &p.hidden_weight, &p.hidden_bias);
    let active = (z * scale.unsqueeze(1) + shift.unsqueeze(1)).relu();
    linear(&active, &p.output_weight, &p.output_bias)
}

/// What the forward pass leaves for the backward pass: [K, B, H], but `inverse` is [K, 1, H].
pub(super) struct Pass<'a> {
    features: &'a Tensor,
    mask: Option<&'a Tensor>,
    normal: Tensor,
    inverse: Tensor,
    positive: Tensor,
    active: Tensor,
}

/// Outputs [K, B, O] of `features` [K, B, F] in training mode. `mask` [K, B, H] or none is the dropout's.
pub(super) fn forward<'a>(
    p: &Parameters,
    running: &mut Running,
    features: &'a Tensor,
    mask: Option<&'a Tensor>,
) -> (Tensor, Pass<'a>) {
    let z = linear(features, &p.hidden_weight, &p.hidden_bias);
    let (variance, mean) = z.var_mean_correction(1_i64, 0.0, true);
    running.update(&mean, &variance, features.size()[1]);
    let inverse = (variance + EPSILON).rsqrt();
    let normal = (z - mean) * &inverse;
    let positive = (&normal * p.norm_weight.unsqueeze(1) + p.norm_bias.unsqueeze(1)).relu();
    let active = mask.map_or_else(|| positive.shallow_clone(), |mask| &positive * mask);
    let outputs = linear(&active, &p.output_weight, &p.output_bias);
    (outputs, Pass { features, mask, normal, inverse, positive, active })
}

/// Fills the gradients (but that of `hidden.bias`), given that of the outputs [K, B, O]; returns that of the
/// features [K, B, F].
pub(super) fn backward(p: &Parameters, gradients: &Parameters, pass: &Pass<'_>, doutputs: &Tensor) -> Tensor {
    let Pass { features, mask, normal, inverse, positive, active } = pass;
    weight_gradient(doutputs, active, &gradients.output_weight);
    fill(&gradients.output_bias, &doutputs.sum_dim_intlist(1_i64, false, None::<Kind>));
    let dactive = doutputs.bmm(&p.output_weight);
    let dactive = mask.map_or_else(|| dactive.shallow_clone(), |mask| &dactive * mask);
    let dy = positive.threshold_backward(&dactive, 0.0);
    fill(&gradients.norm_bias, &dy.sum_dim_intlist(1_i64, false, None::<Kind>));
    fill(&gradients.norm_weight, &(&dy * normal).sum_dim_intlist(1_i64, false, None::<Kind>));
    let dnormal = dy * p.norm_weight.unsqueeze(1);
    let mean = |x: Tensor| x.mean_dim(1_i64, true, None::<Kind>);
    let dz = (&dnormal - mean(dnormal.shallow_clone()) - normal * mean(&dnormal * normal)) * inverse;
    // The batch norm takes away whatever the bias before it adds, so the bias has no gradient: it stays the
    // zero that it began as. Summing `dz` would give rounding errors instead, which Adam turns into steps of
    // full size; through the running mean they would make validation differ from one cohort to another.
    weight_gradient(&dz, features, &gradients.hidden_weight);
    dz.bmm(&p.hidden_weight)
}

fn weight_gradient(dout: &Tensor, input: &Tensor, place: &Tensor) {
    let _ = dout.transpose(1, 2).bmm_out(place, input);
}

fn fill(place: &Tensor, value: &Tensor) {
    place.shallow_clone().copy_(value);
}
