//! The classification head: Linear, batch norm, ReLU, dropout, Linear, cross entropy.

use tch::{Kind, Tensor};

use super::layout::{Init, Layout};

/// `torch.nn.BatchNorm1d`'s defaults.
const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// The parameters, or their gradients: [K, H, F], [K, H], [K, H], [K, H], [K, C, H], [K, C].
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
    pub(super) fn lay_out(layout: &mut Layout, features: i64, hidden: i64, classes: i64) {
        let uniform = |fan_in: i64| Init::Uniform(1.0 / (fan_in as f64).sqrt());
        layout.push("hidden.weight", &[hidden, features], uniform(features));
        layout.push("hidden.bias", &[hidden], uniform(features));
        layout.push("norm.weight", &[hidden], Init::Constant(1.0));
        layout.push("norm.bias", &[hidden], Init::Constant(0.0));
        layout.push("output.weight", &[classes, hidden], uniform(hidden));
        layout.push("output.bias", &[classes], uniform(hidden));
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

/// Logits [K, B, C] of features [K, B, F] in evaluation mode.
pub(super) fn evaluate(p: &Parameters, running: &Running, features: &Tensor) -> Tensor {
    let scale = &p.norm_weight * (&running.variance + EPSILON).rsqrt();
    let shift = &p.norm_bias - &running.mean * &scale;
    let z = linear(features, &p.hidden_weight, &p.hidden_bias);
    let active = (z * scale.unsqueeze(1) + shift.unsqueeze(1)).relu();
    linear(&active, &p.output_weight, &p.output_bias)
}

/// One pass forward and backward. `features` [K, B, F], `labels` [K, B], `mask` [K, B, H] or none.
/// Fills the gradients (but that of `hidden.bias`); returns the losses [K] and the gradient with respect to the features [K, B, F].
pub(super) fn train(
    p: &Parameters,
    gradients: &Parameters,
    running: &mut Running,
    features: &Tensor,
    labels: &Tensor,
    mask: Option<&Tensor>,
) -> (Tensor, Tensor) {
    let samples = features.size()[1];
    let z = linear(features, &p.hidden_weight, &p.hidden_bias);
    let (variance, mean) = z.var_mean_correction(1_i64, 0.0, true);
    running.update(&mean, &variance, samples);
    let inverse = (variance + EPSILON).rsqrt();
    let normal = (z - mean) * &inverse;
    let norm_weight = p.norm_weight.unsqueeze(1);
    let positive = (&normal * &norm_weight + p.norm_bias.unsqueeze(1)).relu();
    let active = mask.map_or_else(|| positive.shallow_clone(), |mask| &positive * mask);
    let log = linear(&active, &p.output_weight, &p.output_bias).log_softmax(-1, None::<Kind>);
    let labels = labels.unsqueeze(2);
    let losses = -log.gather(2, &labels, false).mean_dim([1_i64, 2].as_slice(), false, None::<Kind>);

    // d loss / d logits = (softmax - one hot) / B.
    let ones = labels.ones_like().to_kind(log.kind());
    let dlogits = (log.exp().scatter_add(2, &labels, &-ones)) / samples as f64;
    weight_gradient(&dlogits, &active, &gradients.output_weight);
    fill(&gradients.output_bias, &dlogits.sum_dim_intlist(1_i64, false, None::<Kind>));
    let dactive = dlogits.bmm(&p.output_weight);
    let dactive = mask.map_or_else(|| dactive.shallow_clone(), |mask| &dactive * mask);
    let dy = positive.threshold_backward(&dactive, 0.0);
    fill(&gradients.norm_bias, &dy.sum_dim_intlist(1_i64, false, None::<Kind>));
    fill(&gradients.norm_weight, &(&dy * &normal).sum_dim_intlist(1_i64, false, None::<Kind>));
    let dnormal = dy * norm_weight;
    let mean = |x: Tensor| x.mean_dim(1_i64, true, None::<Kind>);
    let dz = (&dnormal - mean(dnormal.shallow_clone()) - &normal * mean(&dnormal * &normal)) * inverse;
    // The batch norm takes away whatever the bias before it adds, so the bias has no gradient: it stays the
    // zero that it began as. Summing `dz` would give rounding errors instead, which Adam turns into steps of
    // full size; through the running mean they would make validation differ from one cohort to another.
    weight_gradient(&dz, features, &gradients.hidden_weight);
    (losses, dz.bmm(&p.hidden_weight))
}

fn weight_gradient(dout: &Tensor, input: &Tensor, place: &Tensor) {
    let _ = dout.transpose(1, 2).bmm_out(place, input);
}

fn fill(place: &Tensor, value: &Tensor) {
    place.shallow_clone().copy_(value);
}
