//! Adam over the flat parameters of a cohort.

use tch::{Device, Kind, Tensor};

/// `torch.optim.Adam`'s defaults.
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Adam (Kingma and Ba 2015) with `torch.optim.Adam`'s defaults and order of operations, and a learning rate
/// for each member.
#[derive(Debug)]
pub struct Adam {
    learning_rates: Vec<f64>,
    /// Running means of the gradient and of its square, [K, P].
    mean: Tensor,
    square: Tensor,
    steps: i32,
}

impl Adam {
    /// For parameters [K, P] and K learning rates.
    #[must_use]
    pub fn new(parameters: &Tensor, learning_rates: &[f64]) -> Self {
        let (mean, square) = (parameters.zeros_like(), parameters.zeros_like());
        Self { learning_rates: learning_rates.to_vec(), mean, square, steps: 0 }
    }

    /// Changes the parameters by one step against the gradients; both [K, P].
    pub fn step(&mut self, parameters: &Tensor, gradients: &Tensor) {
        let _guard = tch::no_grad_guard();
        self.steps += 1;
        let in_memory = parameters.device() == Device::Cpu && parameters.kind() == Kind::Float;
        if in_memory && parameters.is_contiguous() && gradients.is_contiguous() {
            self.step_in_memory(parameters, gradients);
        } else {
            self.step_tensors(parameters, gradients);
        }
    }

    /// sqrt(1 - beta2^t), and the step size of each member.
    fn corrections(&self) -> (f64, impl Iterator<Item = f64> + '_) {
        let first = 1.0 - BETA1.powi(self.steps);
        let second = (1.0 - BETA2.powi(self.steps)).sqrt();
        (second, self.learning_rates.iter().map(move |rate| rate / first))
    }

    /// Any device and kind, a few passes.
    fn step_tensors(&mut self, parameters: &Tensor, gradients: &Tensor) {
        let (second, sizes) = self.corrections();
        let sizes: Vec<f64> = sizes.collect();
        let sizes = Tensor::from_slice(&sizes).to_kind(parameters.kind()).to_device(parameters.device());
        let _ = self.mean.lerp_(gradients, 1.0 - BETA1);
        let _ = self.square.g_mul_scalar_(BETA2);
        let _ = self.square.g_add_(&(gradients.square() * (1.0 - BETA2)));
        let divisor = self.square.sqrt() / second + EPSILON;
        let _ = parameters.shallow_clone().g_sub_(&(&self.mean / divisor * sizes.unsqueeze(1)));
    }

    /// The same in one pass over the memory of a CPU tensor, which is what bounds it.
    fn step_in_memory(&mut self, parameters: &Tensor, gradients: &Tensor) {
        let count = parameters.size()[1] as usize;
        let (second, sizes) = self.corrections();
        for (member, size) in (0_i64..).zip(sizes) {
            let [p, g, m, v] = [parameters, gradients, &self.mean, &self.square].map(|flat| flat.get(member));
            // SAFETY: each is a row of `count` floats of a contiguous CPU tensor that outlives the slices;
            // the four tensors have storages of their own, and nothing else touches them meanwhile.
            unsafe {
                update(
                    std::slice::from_raw_parts_mut(p.data_ptr().cast::<f32>(), count),
                    std::slice::from_raw_parts(g.data_ptr().cast::<f32>(), count),
                    std::slice::from_raw_parts_mut(m.data_ptr().cast::<f32>(), count),
                    std::slice::from_raw_parts_mut(v.data_ptr().cast::<f32>(), count),
                    size as f32,
                    second as f32,
                );
            }
        }
    }

    /// Keeps these members and forgets the others.
    pub fn retain(&mut self, members: &[i64]) {
        let index = Tensor::from_slice(members).to_device(self.mean.device());
        self.mean = self.mean.index_select(0, &index);
        self.square = self.square.index_select(0, &index);
        self.learning_rates = members.iter().map(|&member| self.learning_rates[member as usize]).collect();
    }
}

fn update(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], size: f32, second: f32) {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the feature that the function is compiled for.
        unsafe { update_avx2(p, g, m, v, size, second) };
        return;
    }
    update_plain(p, g, m, v, size, second);
}

/// The plain loop, compiled for wider vectors than the oldest x86-64 has.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn update_avx2(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], size: f32, second: f32) {
    update_plain(p, g, m, v, size, second);
}

#[inline(always)]
fn update_plain(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], size: f32, second: f32) {
    const KEPT: f32 = (1.0 - BETA1) as f32;
    let state = m.iter_mut().zip(v.iter_mut());
    for ((p, &g), (m, v)) in p.iter_mut().zip(g).zip(state) {
        *m += (g - *m) * KEPT;
        *v = *v * BETA2 as f32 + (g * g) * (1.0 - BETA2) as f32;
        *p -= size * *m / (v.sqrt() / second + EPSILON as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain f64 arithmetic from the paper's algorithm 1.
    fn reference(start: f64, gradients: &[f64], rate: f64) -> f64 {
        let (mut p, mut m, mut v) = (start, 0.0, 0.0);
        for (t, g) in (1..).zip(gradients) {
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            p -= rate * (m / (1.0 - 0.9_f64.powi(t))) / ((v / (1.0 - 0.999_f64.powi(t))).sqrt() + 1e-8);
        }
        p
    }

    fn gradient(step: usize, member: usize, index: usize) -> f64 {
        // One value never gets a gradient, as the columns of a modality that is never there.
        if index == 3 {
            0.0
        } else {
            ((step * 31 + member * 17 + index * 7) as f64).sin() * 10_f64.powi(-(index as i32))
        }
    }

    fn run(kind: Kind, in_memory: bool) -> Tensor {
        let start: Vec<f64> = (0..12).map(|i| f64::from(i) * 0.1 - 0.5).collect();
        let parameters = Tensor::from_slice(&start).view([2, 6]).to_kind(kind);
        let mut adam = Adam::new(&parameters, &[0.01, 0.3]);
        for step in 0..20 {
            let values: Vec<f64> = (0..12).map(|i| gradient(step, i / 6, i % 6)).collect();
            let gradients = Tensor::from_slice(&values).view([2, 6]).to_kind(kind);
            if in_memory {
                adam.step(&parameters, &gradients);
            } else {
                adam.steps += 1;
                adam.step_tensors(&parameters, &gradients);
            }
        }
        parameters
    }

    #[test]
    fn both_ways_are_the_papers_algorithm() {
        for (kind, in_memory, tolerance) in
            [(Kind::Double, false, 1e-12), (Kind::Float, false, 3e-6), (Kind::Float, true, 3e-6)]
        {
            let parameters = run(kind, in_memory);
            for i in 0..12_usize {
                let gradients: Vec<f64> = (0..20).map(|step| gradient(step, i / 6, i % 6)).collect();
                let expected = reference(i as f64 * 0.1 - 0.5, &gradients, [0.01, 0.3][i / 6]);
                let found = parameters.double_value(&[(i / 6) as i64, (i % 6) as i64]);
                assert!((found - expected).abs() < tolerance, "{kind:?} {i}: {found}, expected {expected}");
            }
        }
    }

    /// A long row, so that the vector loop and its remainder both run.
    #[test]
    fn the_pass_over_memory_equals_the_tensor_operations() {
        let values =
            |n: i64| (Tensor::arange(2 * 1003, (Kind::Float, Device::Cpu)) * n as f64).sin().view([2, 1003]);
        let (one, two) = (values(3), values(3));
        let (mut fast, mut plain) = (Adam::new(&one, &[0.1, 0.01]), Adam::new(&two, &[0.1, 0.01]));
        for step in 1..10 {
            let gradients = values(step);
            fast.step(&one, &gradients);
            plain.steps += 1;
            plain.step_tensors(&two, &gradients);
        }
        assert!(one.allclose(&two, 1e-5, 1e-6, false));
        assert!(!one.allclose(&values(3), 1e-2, 1e-2, false));
    }

    #[test]
    fn forgetting_a_member_leaves_the_others() {
        let start = Tensor::ones([3, 4], (Kind::Float, Device::Cpu));
        let gradients = Tensor::arange(12, (Kind::Float, Device::Cpu)).view([3, 4]);
        let (all, mut adam) = (start.copy(), Adam::new(&start, &[0.1, 0.2, 0.3]));
        adam.step(&all, &gradients);
        let two = all.index_select(0, &Tensor::from_slice(&[0_i64, 2]));
        let mut fewer = Adam {
            learning_rates: adam.learning_rates.clone(),
            mean: adam.mean.copy(),
            square: adam.square.copy(),
            steps: 1,
        };
        fewer.retain(&[0, 2]);
        adam.step(&all, &gradients);
        fewer.step(&two, &gradients.index_select(0, &Tensor::from_slice(&[0_i64, 2])));
        assert!(two.get(0).equal(&all.get(0)) && two.get(1).equal(&all.get(2)));
    }
}
