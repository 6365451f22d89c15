//! The recurrence for GPUs: one product and one fused kernel per time step, for any number of members and directions.
//! The rows of both directions of all members are side by side, N = directions * K * B.

use tch::{Kind, Tensor};

use super::{
    recurrence::{CellGradients, Recurrence, Weights, add_biases},
    shape::CellShape,
};
use crate::fused::{CellStep, lstm_cell, lstm_cell_backward};

/// Values of the forward pass for the backward pass.
pub(super) struct Fused {
    shape: CellShape,
    /// [directions, K, T, B, 4H] and [directions, K, T, B, H], in the order of time.
    gates: Tensor,
    hidden: Tensor,
    /// Results of each step.
    steps: Vec<CellStep>,
    /// The state before the first step, and the contribution of the output before it: zeros [N, H] and [N, 4H].
    no_state: Tensor,
    no_gates: Tensor,
}

impl CellShape {
    fn rows_of_a_step(&self) -> i64 {
        self.directions * self.members * self.samples
    }

    /// Reorders [directions, K, T, B, W] from the order of time to the order of steps, [T, N, W].
    fn by_step(&self, whole: &Tensor) -> Tensor {
        let ahead = whole.get(0).permute([1, 0, 2, 3]);
        let steps = if self.directions == 1 {
            ahead.contiguous()
        } else {
            Tensor::stack(&[ahead, whole.get(1).permute([1, 0, 2, 3]).flip([0])], 1)
        };
        steps.view([self.steps, self.rows_of_a_step(), -1])
    }

    /// Fills `whole` [directions, K, T, B, W] from the steps, [N, W] each.
    fn fill_by_time(&self, whole: &Tensor, steps: &[Tensor]) {
        let steps =
            Tensor::stack(steps, 0).view([self.steps, self.directions, self.members, self.samples, -1]);
        for direction in 0..self.directions {
            let values = steps.select(1, direction);
            let values = if direction == 0 { values } else { values.flip([0]) };
            whole.get(direction).permute([1, 0, 2, 3]).copy_(&values);
        }
    }

    /// The matrices [directions * K, B, W] of rows [N, W].
    fn matrices_of_rows(&self, rows: &Tensor) -> Tensor {
        rows.view([self.directions * self.members, self.samples, -1])
    }
}

/// The recurrent weights of all directions, [directions * K, 4H, H].
fn recurrent(weights: &[Weights]) -> Tensor {
    match weights {
        [one] => one.hidden.shallow_clone(),
        several => Tensor::cat(&several.iter().map(|w| w.hidden.shallow_clone()).collect::<Vec<_>>(), 0),
    }
}

impl Fused {
    pub(super) fn new(shape: CellShape, gates: &Tensor, hidden: &Tensor) -> Self {
        let options: (Kind, tch::Device) = (gates.kind(), gates.device());
        let zeros = |width| Tensor::zeros([shape.rows_of_a_step(), width], options);
        Self {
            shape,
            gates: gates.shallow_clone(),
            hidden: hidden.shallow_clone(),
            steps: Vec::new(),
            no_state: zeros(shape.hidden),
            no_gates: zeros(4 * shape.hidden),
        }
    }
}

impl Recurrence for Fused {
    fn forward(&mut self, weights: &[Weights]) {
        let shape = self.shape;
        add_biases(shape, &self.gates, weights);
        let input = shape.by_step(&self.gates);
        let recurrent = recurrent(weights).transpose(1, 2);
        self.steps.clear();
        for step in 0..shape.steps {
            let now = match self.steps.last() {
                None => lstm_cell(&input.get(step), &self.no_gates, &self.no_state),
                Some(before) => {
                    let hidden_gates = shape.matrices_of_rows(&before.hidden).bmm(&recurrent);
                    lstm_cell(&input.get(step), &hidden_gates.flatten(0, 1), &before.cell)
                }
            };
            self.steps.push(now);
        }
        let outputs: Vec<Tensor> = self.steps.iter().map(|step| step.hidden.shallow_clone()).collect();
        shape.fill_by_time(&self.hidden, &outputs);
    }

    fn states(&self) -> Tensor {
        let states: Vec<Tensor> = self.steps.iter().map(|step| step.cell.shallow_clone()).collect();
        let whole = self.hidden.empty_like();
        self.shape.fill_by_time(&whole, &states);
        whole
    }

    fn backward(
        &mut self,
        gradients: &CellGradients,
        weights: &[Weights],
        only_last: bool,
        states: Option<&Tensor>,
    ) {
        let shape = self.shape;
        let recurrent = recurrent(weights);
        let arriving = if only_last {
            let last =
                |direction| gradients.hidden.get(direction).select(1, shape.time(direction, shape.steps - 1));
            Tensor::stack(&(0..shape.directions).map(last).collect::<Vec<_>>(), 0).view([
                1,
                shape.rows_of_a_step(),
                -1,
            ])
        } else {
            shape.by_step(&gradients.hidden)
        };
        let states = states.map(|states| shape.by_step(states));

        let mut by_step = Vec::with_capacity(self.steps.len());
        let mut later: Option<(Tensor, Tensor)> = None;
        for (step, now) in self.steps.iter().enumerate().rev() {
            let dhidden = match &later {
                None => arriving.get(arriving.size()[0] - 1),
                Some((dgates, _)) => {
                    let dgates = shape.matrices_of_rows(dgates);
                    let carried = if only_last {
                        dgates.bmm(&recurrent)
                    } else {
                        let arriving = shape.matrices_of_rows(&arriving.get(step as i64));
                        arriving.baddbmm(&dgates, &recurrent, 1.0, 1.0)
                    };
                    carried.flatten(0, 1)
                }
            };
            let dcell = match (later, &states) {
                (None, None) => None,
                (Some((_, dcell)), None) => Some(dcell),
                (None, Some(states)) => Some(states.get(step as i64)),
                (Some((_, dcell)), Some(states)) => Some(dcell + states.get(step as i64)),
            };
            let before = if step == 0 { &self.no_state } else { &self.steps[step - 1].cell };
            let (dgates, dbefore) = lstm_cell_backward(&dhidden, dcell.as_ref(), before, now);
            by_step.push(dgates.shallow_clone());
            later = Some((dgates, dbefore));
        }
        by_step.reverse();
        shape.fill_by_time(&gradients.gates, &by_step);
        gradients.sum_gates();
    }
}
