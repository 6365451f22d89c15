//! Adam over the flat parameters of a cohort.

#[cfg(test)]
mod tests;

use tch::{Kind, Tensor};

use crate::{
    fused::{self, AdamConstants, AdamTensors},
    host::{self, vector::vectorized},
    model::Kernels,
};

const EPSILON: f64 = 1e-8;
/// `torch.nn.utils.clip_grad_norm_` adds this to a norm before it divides by the norm.
const NORM_EPSILON: f64 = 1e-6;

/// How one member is optimized.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamSettings {
    /// Size of a step.
    pub learning_rate: f64,
    /// Decay of the running mean of the gradient, per step; in [0, 1).
    pub beta1: f64,
    /// Decay of the running mean of the gradient's square, per step; in [0, 1).
    pub beta2: f64,
    /// Factor of the parameters that is added to their gradient (L2, as in `torch.optim.Adam`).
    pub weight_decay: f64,
    /// The largest L2 norm of the whole gradient, before weight decay. A longer gradient is scaled down as
    /// `torch.nn.utils.clip_grad_norm_` does. 0: no clipping.
    pub gradient_clip: f64,
}

/// The defaults of `torch.optim.Adam`.
impl Default for AdamSettings {
    fn default() -> Self {
        Self { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, weight_decay: 0.0, gradient_clip: 0.0 }
    }
}

impl AdamSettings {
    fn constants(&self) -> AdamConstants {
        let Self { learning_rate, beta1, beta2, weight_decay, .. } = *self;
        AdamConstants { learning_rate, beta1, beta2, weight_decay, epsilon: EPSILON }
    }

    fn max_gradient_norm(&self) -> f64 {
        if self.gradient_clip > 0.0 { self.gradient_clip } else { f64::INFINITY }
    }
}

/// Adam (Kingma and Ba 2015) with `torch.optim.Adam`'s order of operations, over the parameters of a cohort. Each
/// member has its own settings and its own number of steps.
#[derive(Debug)]
pub struct Adam {
    kernels: Kernels,
    members: Vec<Member>,
    /// The step counts of the members as a tensor [K] on the device of the parameters, for the fused kernel.
    steps: Tensor,
    /// Running means of the gradient and of its square, [K, P].
    mean: Tensor,
    square: Tensor,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    settings: AdamSettings,
    steps: u32,
}

/// The state that a checkpoint keeps besides the settings.
#[derive(Clone, Debug)]
pub struct AdamState<'a> {
    /// Running mean of the gradient, [K, P].
    pub mean: &'a Tensor,
    /// Running mean of the gradient's square, [K, P].
    pub square: &'a Tensor,
    /// Number of steps of each member.
    pub steps: Vec<u32>,
}

/// The factors of one step of one member.
#[derive(Clone, Copy)]
struct Factors<T> {
    /// 1 - beta1.
    one_minus_beta1: T,
    beta2: T,
    /// 1 - beta2.
    one_minus_beta2: T,
    weight_decay: T,
    /// Learning rate / (1 - beta1^t).
    step_size: T,
    /// sqrt(1 - beta2^t).
    bias_correction2_sqrt: T,
}

impl Member {
    fn factors(&self) -> Factors<f64> {
        let AdamSettings { learning_rate, beta1, beta2, weight_decay, .. } = self.settings;
        let power = |beta: f64| beta.powi(self.steps.cast_signed());
        Factors {
            one_minus_beta1: 1.0 - beta1,
            beta2,
            one_minus_beta2: 1.0 - beta2,
            weight_decay,
            step_size: learning_rate / (1.0 - power(beta1)),
            bias_correction2_sqrt: (1.0 - power(beta2)).sqrt(),
        }
    }
}

impl Factors<f64> {
    fn single(self) -> Factors<f32> {
        Factors {
            one_minus_beta1: self.one_minus_beta1 as f32,
            beta2: self.beta2 as f32,
            one_minus_beta2: self.one_minus_beta2 as f32,
            weight_decay: self.weight_decay as f32,
            step_size: self.step_size as f32,
            bias_correction2_sqrt: self.bias_correction2_sqrt as f32,
        }
    }
}

impl Adam {
    /// An optimizer for parameters [K, P] and the settings of K members.
    #[must_use]
    pub fn new(parameters: &Tensor, settings: &[AdamSettings]) -> Self {
        let (mean, square) = (parameters.zeros_like(), parameters.zeros_like());
        let members: Vec<Member> = settings.iter().map(|&settings| Member { settings, steps: 0 }).collect();
        let steps = Tensor::zeros([members.len() as i64], (Kind::Float, parameters.device()));
        Self { kernels: Kernels::of(parameters.device()), members, steps, mean, square }
    }

    /// Uses other kernels than the device's own, to compare them.
    #[must_use]
    pub fn with_kernels(self, kernels: Kernels) -> Self {
        Self { kernels, ..self }
    }

    /// The learning rate of a member (its position along K).
    #[must_use]
    pub fn learning_rate(&self, member: usize) -> f64 {
        self.members[member].settings.learning_rate
    }

    /// Changes the learning rate of a member from its next step on.
    pub fn set_learning_rate(&mut self, member: usize, rate: f64) {
        self.members[member].settings.learning_rate = rate;
    }

    /// The state that [`Self::restore`] needs to continue.
    #[must_use]
    pub fn state(&self) -> AdamState<'_> {
        let steps = self.members.iter().map(|member| member.steps).collect();
        AdamState { mean: &self.mean, square: &self.square, steps }
    }

    /// Continues a member from a checkpoint: its running means `[P]` and its number of steps.
    pub fn restore(&mut self, member: usize, mean: &Tensor, square: &Tensor, steps: u32) {
        let _guard = tch::no_grad_guard();
        self.mean.get(member as i64).copy_(mean);
        self.square.get(member as i64).copy_(square);
        self.members[member].steps = steps;
        let _ = self.steps.get(member as i64).fill_(i64::from(steps));
    }

    /// Changes the parameters by one step against the gradients. Both are [K, P].
    pub fn step(&mut self, parameters: &Tensor, gradients: &Tensor) {
        let _guard = tch::no_grad_guard();
        for member in &mut self.members {
            member.steps += 1;
        }
        let in_memory = self.kernels != Kernels::Fused
            && host::holds((parameters.kind(), parameters.device()))
            && parameters.is_contiguous()
            && gradients.is_contiguous();
        if in_memory {
            self.step_in_memory(parameters, gradients);
        } else {
            self.step_fused(parameters, gradients);
        }
        let _ = self.steps.g_add_scalar_(1.0);
    }

    /// For any device and kind: libtorch's fused kernel, called once for all members with equal settings. It updates
    /// each number in one pass over memory, and nothing is sent to the device.
    fn step_fused(&mut self, parameters: &Tensor, gradients: &Tensor) {
        // The kernel expects the step count including this step.
        let steps = &self.steps + 1.0;
        let gradients = self.clipped(gradients);
        let mut left: Vec<(i64, AdamConstants)> =
            (0_i64..).zip(&self.members).map(|(row, member)| (row, member.settings.constants())).collect();
        while let Some(&(_, constants)) = left.first() {
            let (alike, others) = left.into_iter().partition(|(_, other)| *other == constants);
            let alike: Vec<(i64, AdamConstants)> = alike;
            let tensors: Vec<AdamTensors> = alike
                .iter()
                .map(|&(row, _)| {
                    [parameters, &gradients, &self.mean, &self.square, &steps].map(|all| all.get(row))
                })
                .collect();
            fused::adam(&tensors, constants);
            left = others;
        }
    }

    /// The gradients, where each member's gradient is scaled down to the length that its settings allow.
    fn clipped(&self, gradients: &Tensor) -> Tensor {
        if self.members.iter().all(|member| member.settings.gradient_clip == 0.0) {
            return gradients.shallow_clone();
        }
        let rows = (0_i64..).zip(&self.members).map(|(row, member)| {
            let gradient = gradients.get(row);
            match member.settings.gradient_clip {
                0.0 => gradient,
                max_norm => {
                    let norm = gradient.linalg_norm(2.0, None::<i64>, false, None::<Kind>);
                    let factor = ((norm + NORM_EPSILON).reciprocal() * max_norm).clamp_max(1.0);
                    gradient * factor
                }
            }
        });
        Tensor::stack(&rows.collect::<Vec<_>>(), 0)
    }

    /// The same step in one pass over the memory of a CPU tensor, because memory bandwidth is the limit. Clipping
    /// needs a second pass.
    fn step_in_memory(&mut self, parameters: &Tensor, gradients: &Tensor) {
        let count = parameters.size()[1] as usize;
        for (row, member) in (0_i64..).zip(&self.members) {
            let [p, g, m, v] = [parameters, gradients, &self.mean, &self.square].map(|flat| flat.get(row));
            // SAFETY: each slice is a row of `count` floats of a contiguous CPU tensor that outlives the slices. The
            // four tensors have separate storages, and nothing else uses them during the call.
            unsafe {
                let g = std::slice::from_raw_parts(g.data_ptr().cast::<f32>(), count);
                update(
                    std::slice::from_raw_parts_mut(p.data_ptr().cast::<f32>(), count),
                    g,
                    std::slice::from_raw_parts_mut(m.data_ptr().cast::<f32>(), count),
                    std::slice::from_raw_parts_mut(v.data_ptr().cast::<f32>(), count),
                    clip_factor(g, member.settings.max_gradient_norm()),
                    member.factors().single(),
                );
            }
        }
    }

    /// Keeps these members and removes the others.
    pub fn retain(&mut self, members: &[i64]) {
        let index = Tensor::from_slice(members).to_device(self.mean.device());
        self.mean = self.mean.index_select(0, &index);
        self.square = self.square.index_select(0, &index);
        self.steps = self.steps.index_select(0, &index);
        self.members = members.iter().map(|&member| self.members[member as usize]).collect();
    }
}

/// The factor for a gradient.
fn clip_factor(gradient: &[f32], max_norm: f64) -> f32 {
    if max_norm.is_infinite() {
        return 1.0;
    }
    // Eight partial sums, so that an addition does not wait for the previous one.
    let mut sums = [0.0_f64; 8];
    for chunk in gradient.chunks(sums.len()) {
        for (sum, &g) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(g) * f64::from(g);
        }
    }
    (max_norm / (sums.iter().sum::<f64>().sqrt() + NORM_EPSILON)).min(1.0) as f32
}

vectorized! {
    fn update = update_plain(
        p: &mut [f32],
        g: &[f32],
        m: &mut [f32],
        v: &mut [f32],
        clip: f32,
        factors: Factors<f32>,
    )
}

#[inline(always)]
fn update_plain(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], clip: f32, factors: Factors<f32>) {
    let Factors { one_minus_beta1, beta2, one_minus_beta2, weight_decay, step_size, bias_correction2_sqrt } =
        factors;
    let state = m.iter_mut().zip(v.iter_mut());
    for ((p, &g), (m, v)) in p.iter_mut().zip(g).zip(state) {
        let g = g * clip + *p * weight_decay;
        *m += (g - *m) * one_minus_beta1;
        *v = *v * beta2 + (g * g) * one_minus_beta2;
        *p -= step_size * *m / (v.sqrt() / bias_correction2_sqrt + EPSILON as f32);
    }
}
