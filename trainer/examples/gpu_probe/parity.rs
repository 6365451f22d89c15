//! The same steps on a device and on the CPU.

use colearn_trainer::model::{Kernels, Layout};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use crate::{Outcome, options::Options, say, work::Work};

/// What is compared. All tensors are in double precision on the CPU.
struct Trajectory {
    /// Losses of every step, [N, K].
    losses: Tensor,
    /// Gradients of the first and of the last step, [K, P].
    gradients: [Tensor; 2],
    /// Weights before the first and after the last step, [K, P].
    weights: [Tensor; 2],
    /// Buffers after the last step, [K, Q].
    buffers: Tensor,
}

/// Prints how the device differs from the CPU in single and in double precision.
pub(crate) fn run(options: &Options) -> Outcome {
    let device = options.device()?;
    let threads = options.number("--threads", 1)?;
    tch::set_num_threads(threads);
    let kernels = options.kernels(device)?;
    let found = trajectory(options, (Kind::Float, device), kernels)?;
    let layout = Work::new(options, 1, (Kind::Float, Device::Cpu), Kernels::InPlace)?;
    let layout = layout.model.layout();
    let wanted = options.text("--against").unwrap_or("single,double");
    let references =
        [("single", "cpu, single precision", Kind::Float), ("double", "cpu, double precision", Kind::Double)];
    for (word, name, kind) in references {
        if !wanted.split(',').any(|one| one == word) {
            continue;
        }
        if (device, kind, kernels) == (Device::Cpu, Kind::Float, Kernels::InPlace) {
            continue; // The CPU in double precision is the reference itself.
        }
        let expected = trajectory(options, (kind, Device::Cpu), Kernels::InPlace)?;
        say(&differences(name, &found, &expected, layout));
    }
    Ok(())
}

fn trajectory(options: &Options, place: (Kind, Device), kernels: Kernels) -> Result<Trajectory, String> {
    let mut work = Work::new(options, options.number("--members", 3)?, place, kernels)?;
    let rounds: u32 = options.number("--rounds", 20)?;
    let taken = |tensor: &Tensor| tensor.to_device(Device::Cpu).to_kind(Kind::Double).copy();
    let before = taken(work.model.parameters());
    let (mut losses, mut gradients) = (Vec::new(), Vec::new());
    for step in 0..rounds.max(1) {
        let batch = work.equal_batch(step);
        losses.push(taken(&work.train(&batch, step)));
        if step == 0 || step + 1 == rounds {
            gradients.push(taken(work.model.gradients()));
        }
        work.optimize();
    }
    let last = gradients.pop().ok_or("there was no step")?;
    let first = gradients.pop().unwrap_or_else(|| last.shallow_clone());
    Ok(Trajectory {
        losses: Tensor::stack(&losses, 0),
        gradients: [first, last],
        weights: [before, taken(work.model.parameters())],
        buffers: taken(work.model.buffers()),
    })
}

fn differences(name: &str, found: &Trajectory, expected: &Trajectory, layout: &Layout) -> Value {
    let losses = ((&found.losses - &expected.losses) / expected.losses.abs().clamp_min(1e-30)).abs();
    let [first, last] =
        [0, 1].map(|which: usize| by_parameter(&found.gradients[which], &expected.gradients[which], layout));
    let moved = &expected.weights[1] - &expected.weights[0];
    let apart = &found.weights[1] - &expected.weights[1];
    json!({
        "against": name,
        "rounds": found.losses.size()[0],
        "losses": {"first": largest(&losses.get(0)), "largest": largest(&losses), "last": found.losses.get(-1).mean(Kind::Double).double_value(&[])},
        "gradients": {"first": first, "last": last},
        "weights": {
            "largest": by_parameter(&found.weights[1], &expected.weights[1], layout),
            "of_movement": norm(&apart) / norm(&moved).max(1e-300),
        },
        "buffers": relative(&found.buffers, &expected.buffers),
    })
}

/// The largest difference within each parameter, relative to the largest value of that parameter; the worst of all
/// parameters.
///
/// Compared value by value, a gradient that is nearly zero would fail because of rounding.
fn by_parameter(found: &Tensor, expected: &Tensor, layout: &Layout) -> Value {
    let names = layout.entries().iter().map(|entry| entry.name.as_str());
    let (worst, name) = names
        .map(|name| (relative(&layout.view(found, name), &layout.view(expected, name)), name))
        .fold((0.0, ""), |worst, other| if other.0 > worst.0 || other.0.is_nan() { other } else { worst });
    json!({"relative": worst, "parameter": name})
}

fn relative(found: &Tensor, expected: &Tensor) -> f64 {
    if expected.numel() == 0 {
        return 0.0;
    }
    let (apart, size) = (largest(&(found - expected).abs()), largest(&expected.abs()));
    if apart == 0.0 { 0.0 } else { apart / size }
}

fn largest(values: &Tensor) -> f64 {
    values.max().double_value(&[])
}

fn norm(values: &Tensor) -> f64 {
    values.square().sum(Kind::Double).double_value(&[]).sqrt()
}
