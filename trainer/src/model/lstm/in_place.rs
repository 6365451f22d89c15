//! The recurrence for CPUs: many small operations in place. The view of every step is made once.
//!
//! A strided view puts the two directions side by side, so that each pointwise operation computes both at once.

use tch::{Device, Kind, Tensor};

use super::{
    recurrence::{CellGradients, Recurrence, Weights, add_biases},
    shape::CellShape,
};

impl CellShape {
    /// The view [directions, K, B, width] of `columns` (first, count) at a step.
    fn step(&self, whole: &Tensor, step: i64, columns: (i64, i64)) -> Tensor {
        let width = whole.size()[4];
        let time = self.samples * width;
        let direction = self.members * self.steps * time + (self.steps - 1 - 2 * step) * time;
        whole.as_strided(
            [self.directions, self.members, self.samples, columns.1],
            [direction, self.steps * time, width, 1],
            step * time + columns.0,
        )
    }

    /// The matrices [K, B, width] of every direction at a step.
    fn matrices(&self, whole: &Tensor, step: i64) -> Vec<Tensor> {
        (0..self.directions).map(|d| whole.get(d).select(1, self.time(d, step))).collect()
    }
}

/// The values of one step, both directions: [directions, K, B, H] and, for the matrix products, [K, B, 4H] each.
struct Step {
    input_forget: Tensor,
    input: Tensor,
    forget: Tensor,
    candidate: Tensor,
    output: Tensor,
    cell: Tensor,
    cell_tanh: Tensor,
    hidden: Tensor,
    gate_matrices: Vec<Tensor>,
    hidden_matrices: Vec<Tensor>,
}

/// Values of the forward pass for the backward pass, and the tensors that the backward pass uses.
pub(super) struct InPlace {
    shape: CellShape,
    /// Activations in PyTorch's order i, f, g, o: [directions, K, T, B, 4H].
    gates: Tensor,
    /// [directions, K, T, B, H]. The next field has the same shape.
    cell: Tensor,
    cell_tanh: Tensor,
    views: Vec<Step>,
    /// Allocated by the first backward pass.
    backward: Option<Backward>,
}

/// The gradients of one step: the first three gates as [directions, K, B, 3, H], the others as [.., H].
struct GradientStep {
    input_forget_candidate: Tensor,
    output: Tensor,
    cell: Tensor,
    hidden: Tensor,
    gate_matrices: Vec<Tensor>,
    hidden_matrices: Vec<Tensor>,
}

/// Tensors of the backward pass. The gradient of a gate starts as the derivative of the gate's contribution by its
/// preactivation. It is then multiplied in place by the gradient that arrives at the gate.
struct Backward {
    gates: Tensor,
    /// d hidden / d cell: [directions, K, T, B, H].
    cell: Tensor,
    /// The gradient that arrives at the cell state: [directions, K, B, H].
    carried: Tensor,
    views: Vec<GradientStep>,
}

impl InPlace {
    /// Views of the gates and outputs of a run, which the passes read and fill.
    pub(super) fn new(shape: CellShape, gates: &Tensor, hidden: &Tensor) -> Self {
        let (h, options) = (shape.hidden, (gates.kind(), gates.device()));
        let [cell, cell_tanh] = [h, h].map(|width| shape.tensor(width, options));
        let views = (0..shape.steps)
            .map(|s| Step {
                input_forget: shape.step(gates, s, (0, 2 * h)),
                input: shape.step(gates, s, (0, h)),
                forget: shape.step(gates, s, (h, h)),
                candidate: shape.step(gates, s, (2 * h, h)),
                output: shape.step(gates, s, (3 * h, h)),
                cell: shape.step(&cell, s, (0, h)),
                cell_tanh: shape.step(&cell_tanh, s, (0, h)),
                hidden: shape.step(hidden, s, (0, h)),
                gate_matrices: shape.matrices(gates, s),
                hidden_matrices: shape.matrices(hidden, s),
            })
            .collect();
        Self { shape, gates: gates.shallow_clone(), cell, cell_tanh, views, backward: None }
    }
}

impl Backward {
    fn new(shape: CellShape, gradients: &CellGradients, options: (Kind, Device)) -> Self {
        let h = shape.hidden;
        let CellGradients { gates, hidden, .. } = gradients;
        let cell = shape.tensor(h, options);
        // Before the first step there is no cell state. The forget gate of this step never gets a gradient.
        let _ = shape.step(gates, 0, (h, h)).zero_();
        let carried = Tensor::empty([shape.directions, shape.members, shape.samples, h], options);
        let views = (0..shape.steps)
            .map(|s| GradientStep {
                input_forget_candidate: shape.step(gates, s, (0, 3 * h)).unflatten(3, [3, h]),
                output: shape.step(gates, s, (3 * h, h)),
                cell: shape.step(&cell, s, (0, h)),
                hidden: shape.step(hidden, s, (0, h)),
                gate_matrices: shape.matrices(gates, s),
                hidden_matrices: shape.matrices(hidden, s),
            })
            .collect();
        Self { gates: gates.shallow_clone(), cell, carried, views }
    }
}

impl Recurrence for InPlace {
    fn forward(&mut self, weights: &[Weights]) {
        add_biases(self.shape, &self.gates, weights);
        let recurrent: Vec<Tensor> = weights.iter().map(|w| w.hidden.transpose(1, 2)).collect();
        let mut previous: Option<&Step> = None;
        for now in &self.views {
            if let Some(Step { hidden_matrices, .. }) = previous {
                for ((gates, hidden), matrix) in now.gate_matrices.iter().zip(hidden_matrices).zip(&recurrent)
                {
                    let _ = gates.baddbmm_out(gates, hidden, matrix);
                }
            }
            let _ = now.input_forget.sigmoid_out(&now.input_forget);
            let _ = now.candidate.tanh_out(&now.candidate);
            let _ = now.output.sigmoid_out(&now.output);
            let _ = now.input.mul_out(&now.cell, &now.candidate);
            if let Some(Step { cell, .. }) = previous {
                let _ = now.cell.addcmul_out(&now.cell, &now.forget, cell);
            }
            let _ = now.cell.tanh_out(&now.cell_tanh);
            let _ = now.output.mul_out(&now.hidden, &now.cell_tanh);
            previous = Some(now);
        }
    }

    fn states(&self) -> Tensor {
        self.cell.shallow_clone()
    }

    fn backward(
        &mut self,
        gradients: &CellGradients,
        weights: &[Weights],
        only_last: bool,
        states: Option<&Tensor>,
    ) {
        let options = (self.cell.kind(), self.cell.device());
        let backward = self.backward.take().unwrap_or_else(|| Backward::new(self.shape, gradients, options));
        self.prepare(&backward);
        let mut later: Option<(&GradientStep, &Step)> = None;
        for step in (0..self.shape.steps).rev() {
            let (gradient, now) = (&backward.views[step as usize], &self.views[step as usize]);
            if let Some((later_gradient, later_now)) = later {
                let products =
                    gradient.hidden_matrices.iter().zip(&later_gradient.gate_matrices).zip(weights);
                for ((hidden, gates), weights) in products {
                    if only_last {
                        let _ = gates.bmm_out(hidden, &weights.hidden);
                    } else {
                        let _ = hidden.baddbmm_out(hidden, gates, &weights.hidden);
                    }
                }
                let carried = backward.carried.mul_out(&backward.carried, &later_now.forget);
                let _ = carried.addcmul_out(&backward.carried, &gradient.hidden, &gradient.cell);
            } else {
                let _ = gradient.hidden.mul_out(&backward.carried, &gradient.cell);
            }
            if let Some(states) = states {
                let arriving = self.shape.step(states, step, (0, self.shape.hidden));
                let _ = backward.carried.add_out(&backward.carried, &arriving);
            }
            let three = &gradient.input_forget_candidate;
            let _ = three.mul_out(three, &backward.carried.unsqueeze(3));
            let _ = gradient.output.mul_out(&gradient.output, &gradient.hidden);
            later = Some((gradient, now));
        }
        self.backward = Some(backward);
        gradients.sum_gates();
    }
}

impl InPlace {
    /// Computes the factors that do not depend on the arriving gradients, for all time steps at once.
    fn prepare(&self, backward: &Backward) {
        let h = self.shape.hidden;
        let gate = |whole: &Tensor, number: i64| whole.narrow(4, number * h, h);
        let [i, f, g, o] = [0, 1, 2, 3].map(|number| gate(&self.gates, number));
        let [di, df, dg, do_] = [0, 1, 2, 3].map(|number| gate(&backward.gates, number));
        let _ = Tensor::sigmoid_backward_grad_input(&di, &g, &i);
        let _ = Tensor::tanh_backward_grad_input(&dg, &i, &g);
        let _ = Tensor::sigmoid_backward_grad_input(&do_, &self.cell_tanh, &o);
        let _ = Tensor::tanh_backward_grad_input(&backward.cell, &o, &self.cell_tanh);
        let more = self.shape.steps - 1;
        for d in 0..self.shape.directions {
            // The forget gate multiplies the cell state of the previous step, which is one earlier or one later in
            // time.
            let (now, before) = if d == 0 { (1, 0) } else { (0, 1) };
            let at = |whole: &Tensor, time: i64| whole.get(d).narrow(1, time, more);
            let _ = Tensor::sigmoid_backward_grad_input(&at(&df, now), &at(&self.cell, before), &at(&f, now));
        }
    }
}
