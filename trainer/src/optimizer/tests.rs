use tch::Device;

use super::*;

const PLAIN: AdamSettings =
    AdamSettings { learning_rate: 0.01, beta1: 0.9, beta2: 0.999, weight_decay: 0.0, gradient_clip: 0.0 };
const BOTH: [AdamSettings; 2] = [
    PLAIN,
    AdamSettings { learning_rate: 0.3, beta1: 0.7, beta2: 0.95, weight_decay: 0.1, gradient_clip: 0.8 },
];

/// Plain f64 arithmetic from the paper's algorithm 1.
fn reference(start: &[f64], gradients: &[Vec<f64>], s: &AdamSettings) -> Vec<f64> {
    let mut p = start.to_vec();
    let (mut m, mut v) = (vec![0.0; p.len()], vec![0.0; p.len()]);
    for (t, gradient) in (1..).zip(gradients) {
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let clipped = s.gradient_clip > 0.0 && norm + 1e-6 > s.gradient_clip;
        let scale = if clipped { s.gradient_clip / (norm + 1e-6) } else { 1.0 };
        for i in 0..p.len() {
            let g = gradient[i] * scale + s.weight_decay * p[i];
            m[i] = s.beta1 * m[i] + (1.0 - s.beta1) * g;
            v[i] = s.beta2 * v[i] + (1.0 - s.beta2) * g * g;
            let (mean, square) = (m[i] / (1.0 - s.beta1.powi(t)), v[i] / (1.0 - s.beta2.powi(t)));
            p[i] -= s.learning_rate * mean / (square.sqrt() + 1e-8);
        }
    }
    p
}

fn gradient(step: usize, member: usize) -> Vec<f64> {
    let value = |index: i32| {
        // One value never gets a gradient, like the columns of a modality that is always absent.
        if index == 3 {
            0.0
        } else {
            ((step * 31 + member * 17 + index as usize * 7) as f64).sin() * 10_f64.powi(-index)
        }
    };
    (0..6).map(value).collect()
}

fn start() -> Vec<f64> {
    (0..12).map(|i| f64::from(i) * 0.1 - 0.5).collect()
}

fn gradients(step: usize, kind: Kind) -> Tensor {
    Tensor::from_slice(&[gradient(step, 0), gradient(step, 1)].concat()).view([2, 6]).to_kind(kind)
}

#[test]
fn both_ways_are_the_papers_algorithm() {
    for (kind, kernels, tolerance) in [
        (Kind::Double, Kernels::Fused, 1e-12),
        (Kind::Float, Kernels::Fused, 3e-6),
        (Kind::Float, Kernels::InPlace, 3e-6),
    ] {
        let parameters = Tensor::from_slice(&start()).view([2, 6]).to_kind(kind);
        let mut adam = Adam::new(&parameters, &BOTH).with_kernels(kernels);
        for step in 0..20 {
            adam.step(&parameters, &gradients(step, kind));
        }
        for (k, settings) in BOTH.iter().enumerate() {
            let all: Vec<Vec<f64>> = (0..20).map(|step| gradient(step, k)).collect();
            let expected = reference(&start()[6 * k..6 * k + 6], &all, settings);
            for (i, expected) in expected.into_iter().enumerate() {
                let found = parameters.double_value(&[k as i64, i as i64]);
                let what = format!("{kind:?} member {k}, {i}: {found}, expected {expected}");
                assert!((found - expected).abs() < tolerance, "{what}");
            }
        }
    }
}

/// A long row, so that the vector loop and its remainder both run.
#[test]
fn the_pass_over_memory_equals_the_tensor_operations() {
    let values =
        |n: i64| (Tensor::arange(2 * 1003, (Kind::Float, Device::Cpu)) * n as f64).sin().view([2, 1003]);
    let (one, two) = (values(3), values(3));
    let [mut fast, mut plain] = [(&one, Kernels::InPlace), (&two, Kernels::Fused)]
        .map(|(parameters, kernels)| Adam::new(parameters, &BOTH).with_kernels(kernels));
    for step in 1..10 {
        let gradients = values(step);
        fast.step(&one, &gradients);
        plain.step(&two, &gradients);
    }
    assert!(one.allclose(&two, 1e-5, 1e-6, false));
    assert!(!one.allclose(&values(3), 1e-2, 1e-2, false));
}

#[test]
fn forgetting_a_member_leaves_the_others() {
    for kernels in [Kernels::InPlace, Kernels::Fused] {
        check_forgetting(kernels);
    }
}

fn check_forgetting(kernels: Kernels) {
    let start = Tensor::ones([3, 4], (Kind::Float, Device::Cpu));
    let gradients = Tensor::arange(12, (Kind::Float, Device::Cpu)).view([3, 4]);
    let rates = [0.1, 0.2, 0.3].map(|learning_rate| AdamSettings { learning_rate, ..PLAIN });
    let new = || Adam::new(&start, &rates).with_kernels(kernels);
    let (all, mut adam) = (start.copy(), new());
    let (fewer, mut left) = (start.copy(), new());
    adam.step(&all, &gradients);
    left.step(&fewer, &gradients);
    let two = fewer.index_select(0, &Tensor::from_slice(&[0_i64, 2]));
    left.retain(&[0, 2]);
    adam.step(&all, &gradients);
    left.step(&two, &gradients.index_select(0, &Tensor::from_slice(&[0_i64, 2])));
    assert!(two.get(0).equal(&all.get(0)) && two.get(1).equal(&all.get(2)));
}

/// A member that continues from a checkpoint trains beside one that begins, and gives the same bits as alone.
#[test]
fn a_restored_member_goes_on() {
    for kernels in [Kernels::InPlace, Kernels::Fused] {
        check_restoring(kernels);
    }
}

fn check_restoring(kernels: Kernels) {
    let whole = Tensor::from_slice(&start()).view([2, 6]).to_kind(Kind::Float);
    let expected = whole.copy();
    let mut adam = Adam::new(&expected, &BOTH).with_kernels(kernels);
    for step in 0..7 {
        adam.step(&expected, &gradients(step, Kind::Float));
    }
    let halfway = (expected.copy(), adam.state().mean.copy(), adam.state().square.copy());
    assert_eq!(adam.state().steps, [7, 7]);
    for step in 7..12 {
        adam.set_learning_rate(1, 0.05);
        adam.step(&expected, &gradients(step, Kind::Float));
    }
    assert_eq!(adam.learning_rate(1), 0.05);
    // Member 1 continues, and a new member replaces member 0.
    let parameters = Tensor::stack(&[whole.get(0), halfway.0.get(1)], 0);
    let mut again = Adam::new(&parameters, &BOTH).with_kernels(kernels);
    again.restore(1, &halfway.1.get(1), &halfway.2.get(1), 7);
    again.set_learning_rate(1, 0.05);
    for step in 7..12 {
        again.step(&parameters, &gradients(step, Kind::Float));
    }
    assert_eq!(again.state().steps, [5, 12]);
    assert!(parameters.get(1).equal(&expected.get(1)));
}
