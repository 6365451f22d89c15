//! The recurrence for CPUs in single precision: for each time step one product and one pass over memory.
//!
//! The runs of the directions and members follow each other, because the weights and values of one run fit into the
//! processor's cache.

use std::ops::Range;

use tch::Tensor;

use super::{
    passes,
    recurrence::{CellGradients, Recurrence, Weights},
    shape::CellShape,
};
use crate::host::{
    matrix::{Matrix, MatrixMut, Output},
    values, values_mut,
};

/// Values of the forward pass for the backward pass. All tensors are contiguous.
pub(super) struct InMemory {
    shape: CellShape,
    /// Activations in PyTorch's order i, f, g, o: [directions, K, T, B, 4H].
    gates: Tensor,
    /// [directions, K, T, B, H]. The next two fields have the same shape.
    hidden: Tensor,
    cell: Tensor,
    cell_tanh: Tensor,
    /// A transposed copy of the recurrent weights of the present run, [H, 4H]: the product is twice as fast with it.
    recurrent: Vec<f32>,
    /// The cell states before the first step, [B, H]: zeros.
    no_state: Vec<f32>,
    /// The gradient that arrives at the cell states, [B, H].
    carried: Vec<f32>,
}

/// One direction of one member.
#[derive(Clone, Copy)]
struct Run {
    shape: CellShape,
    direction: i64,
    member: i64,
}

impl Run {
    /// The place of a step in a tensor [directions, K, T, B, width].
    fn place(self, step: i64, width: usize) -> Range<usize> {
        let CellShape { members, steps, samples, .. } = self.shape;
        let time = self.shape.time(self.direction, step);
        let block = ((self.direction * members + self.member) * steps + time) as usize;
        let len = samples as usize * width;
        block * len..(block + 1) * len
    }
}

impl InMemory {
    /// The gates and outputs of a run, which the passes read and fill.
    pub(super) fn new(shape: CellShape, gates: &Tensor, hidden: &Tensor) -> Self {
        let options = (gates.kind(), gates.device());
        let state = (shape.samples * shape.hidden) as usize;
        Self {
            shape,
            gates: gates.shallow_clone(),
            hidden: hidden.shallow_clone(),
            cell: shape.tensor(shape.hidden, options),
            cell_tanh: shape.tensor(shape.hidden, options),
            recurrent: vec![0.0; (4 * shape.hidden * shape.hidden) as usize],
            no_state: vec![0.0; state],
            carried: vec![0.0; state],
        }
    }

    fn runs(&self) -> impl Iterator<Item = Run> + use<> {
        let shape = self.shape;
        (0..shape.directions)
            .flat_map(move |direction| (0..shape.members).map(move |member| Run { shape, direction, member }))
    }
}

/// The values at two places that are apart, the first to be changed.
fn pair(whole: &mut [f32], first: Range<usize>, second: Range<usize>) -> (&mut [f32], &[f32]) {
    let [first, second] = whole.get_disjoint_mut([first, second]).expect("two steps are apart");
    (first, second)
}

impl Recurrence for InMemory {
    fn forward(&mut self, weights: &[Weights]) {
        let h = self.shape.hidden as usize;
        for run in self.runs() {
            let weights = &weights[run.direction as usize];
            let [input_bias, hidden_bias] = weights.biases().map(|bias| bias.get(run.member));
            let matrix = weights.hidden.get(run.member);
            // SAFETY: the parameters are not changed during this pass; the other tensors are this run's own, are
            // separate, and are used by nothing else during the pass.
            let (gates, hidden, cell, cell_tanh, bias) = unsafe {
                Matrix::of(&matrix).transpose_to(&mut self.recurrent);
                let [gates, hidden, cell, cell_tanh] =
                    [&self.gates, &self.hidden, &self.cell, &self.cell_tanh].map(|whole| values_mut(whole));
                let biases = values(&input_bias).iter().zip(values(&hidden_bias));
                let bias: Vec<f32> = biases.map(|(input, hidden)| input + hidden).collect();
                (gates, hidden, cell, cell_tanh, bias)
            };
            for step in 0..self.shape.steps {
                let (now, now_gates) = (run.place(step, h), run.place(step, 4 * h));
                let gates = &mut gates[now_gates];
                let tanh = &mut cell_tanh[now.clone()];
                if step == 0 {
                    let (cell, hidden) = (&mut cell[now.clone()], &mut hidden[now]);
                    passes::forward(gates, &bias, &self.no_state, cell, tanh, hidden);
                } else {
                    let before = run.place(step - 1, h);
                    let (cell, cell_before) = pair(cell, now.clone(), before.clone());
                    let (hidden, hidden_before) = pair(hidden, now, before);
                    let recurrent = Matrix::new(&self.recurrent, 4 * h);
                    MatrixMut::new(gates, 4 * h).product(
                        Output::Add,
                        Matrix::new(hidden_before, h),
                        recurrent,
                    );
                    passes::forward(gates, &bias, cell_before, cell, tanh, hidden);
                }
            }
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
        let h = self.shape.hidden as usize;
        for run in self.runs() {
            let matrix = weights[run.direction as usize].hidden.get(run.member);
            let bias = gradients.bias.get(run.direction).get(run.member);
            // SAFETY: the parameters and the values of the forward pass are not changed during this pass; the
            // gradients are separate tensors, and are used by nothing else during the pass.
            let (matrix, gates, cell, cell_tanh, states, dgates, dhidden, dbias) = unsafe {
                let [gates, cell, cell_tanh] =
                    [&self.gates, &self.cell, &self.cell_tanh].map(|whole| values(whole));
                let [dgates, dhidden, dbias] =
                    [&gradients.gates, &gradients.hidden, &bias].map(|whole| values_mut(whole));
                let states = states.map(|states| values(states));
                (Matrix::of(&matrix), gates, cell, cell_tanh, states, dgates, dhidden, dbias)
            };
            self.carried.fill(0.0);
            dbias.fill(0.0);
            for step in (0..self.shape.steps).rev() {
                let (now, now_gates) = (run.place(step, h), run.place(step, 4 * h));
                if step + 1 < self.shape.steps {
                    let output = if only_last { Output::Fill } else { Output::Add };
                    let later = Matrix::new(&dgates[run.place(step + 1, 4 * h)], 4 * h);
                    MatrixMut::new(&mut dhidden[now.clone()], h).product(output, later, matrix);
                }
                if let Some(states) = states {
                    passes::add(&mut self.carried, &states[now.clone()]);
                }
                let before = if step == 0 { &self.no_state } else { &cell[run.place(step - 1, h)] };
                passes::backward(
                    &gates[now_gates.clone()],
                    before,
                    &cell_tanh[now.clone()],
                    &dhidden[now],
                    &mut self.carried,
                    &mut dgates[now_gates],
                    dbias,
                );
            }
        }
    }
}
