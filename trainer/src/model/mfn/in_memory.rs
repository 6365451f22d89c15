//! The attention and the memory for CPUs in single precision.
//!
//! The time steps are computed in blocks whose values fit into the processor's cache: first what does not depend on
//! the memory, for all steps of a block at once, then the memory step by step. The backward pass goes through the
//! blocks in reverse and adds up the gradients of the weights. The members follow each other, so that each computes
//! the same whatever its neighbours are.

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use super::{
    fusion::{Fusion, Masks},
    passes,
    shape::{MfnShape, Weights},
    turned::{Member, Turned, Widths},
};
use crate::{
    host::{
        matrix::{Matrix, MatrixMut, Output},
        values, values_mut,
    },
    model::perceptron::Perceptron,
};

/// Number of rows at which a block is large enough for fast products.
const ROWS: usize = 128;

/// Values of the forward pass for the backward pass: [K, T * B, width].
pub(super) struct InMemory {
    members: i64,
    steps: usize,
    samples: usize,
    /// Hidden units of each modality.
    hidden: Vec<usize>,
    widths: Widths,
    /// The cell states of all modalities at the previous step (0 at the first step), then those at this step: width
    /// A.
    states: Tensor,
    /// Softmax of NN1's output: width A.
    attention: Tensor,
    /// The attended cell states: width A.
    attended: Tensor,
    nn1_hidden: Tensor,
    /// The hidden layers of NN2 and the gates: width W.
    hidden_layers: Tensor,
    /// Outputs of the gates and of NN2, in the order keep, take, candidate: width M.
    outputs: [Tensor; 3],
    /// The memory before the first step (zeros) and after each step: [K, (T + 1) * B, M].
    memory: Tensor,
    turned: Turned,
    scratch: Option<Scratch>,
}

/// Gradients of the values of one block.
struct Scratch {
    attended: Vec<f32>,
    scores: Vec<f32>,
    nn1_hidden: Vec<f32>,
    hidden_layers: Vec<f32>,
    outputs: [Vec<f32>; 3],
    /// The gradient that arrives at the memory, [B, M].
    memory: Vec<f32>,
}

/// One member's masks, in the order NN1, NN2, gates.
fn masks_of(masks: &Masks, member: i64) -> [Option<Tensor>; 4] {
    let [keep, take] = &masks.gammas;
    [&masks.nn1, &masks.nn2, keep, take].map(|mask| mask.as_ref().map(|mask| mask.get(member)))
}

/// The part of a mask of this width for these rows; nothing if there is no mask.
fn mask_at<'a>(mask: Option<&'a [f32]>, rows: &Range<usize>, width: usize) -> &'a [f32] {
    mask.map_or(&[], |mask| &mask[rows.start * width..rows.end * width])
}

/// Rows of this width.
fn at(rows: &Range<usize>, width: usize) -> Range<usize> {
    rows.start * width..rows.end * width
}

impl InMemory {
    /// `size` is K, T, B.
    pub(super) fn new(shape: &MfnShape, size: [i64; 3]) -> Self {
        let [members, steps, samples] = size;
        let tensor =
            |width: i64| Tensor::empty([members, steps * samples, width], (Kind::Float, Device::Cpu));
        let states = tensor(2 * shape.hidden());
        let memory =
            Tensor::empty([members, (steps + 1) * samples, shape.memory], (Kind::Float, Device::Cpu));
        // No pass writes the states and the memory before the first step.
        let _ = states.narrow(1, 0, samples).narrow(2, 0, shape.hidden()).zero_();
        let _ = memory.narrow(1, 0, samples).zero_();
        let widths = Widths {
            attended: 2 * shape.hidden() as usize,
            memory: shape.memory as usize,
            nn1: shape.nn1 as usize,
            parts: [shape.nn2, shape.gamma1, shape.gamma2].map(|width| width as usize),
        };
        Self {
            members,
            steps: steps as usize,
            samples: samples as usize,
            hidden: shape.modalities.iter().map(|modality| modality.hidden as usize).collect(),
            widths,
            attention: states.empty_like(),
            attended: states.empty_like(),
            states,
            nn1_hidden: tensor(shape.nn1),
            hidden_layers: tensor(widths.all() as i64),
            outputs: [(); 3].map(|()| tensor(shape.memory)),
            memory,
            turned: Turned::new(widths),
            scratch: None,
        }
    }

    /// The steps of each block.
    fn blocks(&self) -> impl DoubleEndedIterator<Item = Range<usize>> + use<> {
        let (steps, many) = (self.steps, (ROWS / self.samples.max(1)).max(1));
        (0..steps.div_ceil(many)).map(move |block| block * many..(block * many + many).min(steps))
    }

    fn new_scratch(&self) -> Scratch {
        let Widths { attended, memory, nn1, .. } = self.widths;
        let steps = self.blocks().map(|block| block.len()).max().unwrap_or(0);
        let rows = |width: usize| vec![0.0; steps * self.samples * width];
        Scratch {
            attended: rows(attended),
            scores: rows(attended),
            nn1_hidden: rows(nn1),
            hidden_layers: rows(self.widths.all()),
            outputs: [(); 3].map(|()| rows(memory)),
            memory: vec![0.0; self.samples * memory],
        }
    }

    /// Gathers the states of both steps for the rows of one step.
    fn gather(&self, step: usize, cells: &[&[f32]], states: &mut [f32]) {
        let width = self.widths.attended;
        let mut place = 0;
        for (cell, &hidden) in cells.iter().zip(&self.hidden) {
            let rows = |step: usize| &cell[step * self.samples * hidden..][..self.samples * hidden];
            passes::copy(&mut states[width / 2 + place..], width, rows(step), hidden, hidden);
            if step > 0 {
                passes::copy(&mut states[place..], width, rows(step - 1), hidden, hidden);
            }
            place += hidden;
        }
    }

    /// The reverse of [`Self::gather`] for gradients. The steps come from the last to the first.
    fn scatter(&self, step: usize, dstates: &[f32], dcells: &mut [&mut [f32]]) {
        let width = self.widths.attended;
        let mut place = 0;
        for (dcell, &hidden) in dcells.iter_mut().zip(&self.hidden) {
            let (now, before) = (&dstates[width / 2 + place..], &dstates[place..]);
            let len = self.samples * hidden;
            if step + 1 == self.steps {
                passes::copy(&mut dcell[step * len..][..len], hidden, now, width, hidden);
            } else {
                passes::add(&mut dcell[step * len..][..len], hidden, now, width);
            }
            if step > 0 {
                passes::copy(&mut dcell[(step - 1) * len..][..len], hidden, before, width, hidden);
            }
            place += hidden;
        }
    }

    fn forward_member(&mut self, number: i64, cells: &[Tensor], weights: &Weights, masks: &Masks) {
        let Widths { attended: a, memory: m, nn1, .. } = self.widths;
        let (all, places) = (self.widths.all(), self.widths.places());
        let member = Member::of(weights, number);
        let masks = masks_of(masks, number);
        let cells: Vec<Tensor> = cells.iter().map(|cell| cell.get(number)).collect();
        let own = [&self.states, &self.attention, &self.attended, &self.nn1_hidden, &self.hidden_layers];
        let own = own.map(|whole| whole.get(number));
        let (outputs, memory) = (self.outputs.each_ref().map(|x| x.get(number)), self.memory.get(number));
        // SAFETY: the parameters, masks and cell states are not changed during this pass; the other tensors are
        // this struct's own, are separate, and are used by nothing else during the pass.
        let ([states, attention, attended, hidden, layers], [keep, take, candidate], memory) = unsafe {
            self.turned.turn(&member);
            (
                own.each_ref().map(|x| values_mut(x)),
                outputs.each_ref().map(|x| values_mut(x)),
                values_mut(&memory),
            )
        };
        // SAFETY: as above.
        let (cells, masks, biases, seconds) = unsafe {
            let cells: Vec<&[f32]> = cells.iter().map(|cell| values(cell)).collect();
            let masks = masks.each_ref().map(|mask| mask.as_ref().map(|mask| values(mask)));
            let firsts = member.parts.each_ref().map(|part| values(&part.first.bias));
            let seconds = member.parts.each_ref().map(|part| values(&part.second.bias));
            (cells, masks, firsts, seconds)
        };
        // SAFETY: as above.
        let nn1_biases = unsafe { [&member.nn1.first, &member.nn1.second].map(|layer| values(&layer.bias)) };
        let turned = &self.turned;
        for block in self.blocks() {
            let rows = block.start * self.samples..block.end * self.samples;
            for step in block.clone() {
                let rows = step * self.samples..(step + 1) * self.samples;
                self.gather(step, &cells, &mut states[at(&rows, a)]);
            }
            let (wide, narrow) = (at(&rows, a), at(&rows, nn1));
            let (states, hidden) = (&states[wide.clone()], &mut hidden[narrow]);
            MatrixMut::new(hidden, nn1).product(
                Output::Fill,
                Matrix::new(states, a),
                Matrix::new(&turned.nn1_first, nn1),
            );
            passes::activate(hidden, nn1, nn1_biases[0], mask_at(masks[0], &rows, nn1));
            let (scores, attended) = (&mut attention[wide.clone()], &mut attended[wide]);
            MatrixMut::new(scores, a).product(
                Output::Fill,
                Matrix::new(hidden, nn1),
                Matrix::new(&turned.nn1_second, a),
            );
            passes::attend(scores, nn1_biases[1], states, attended);
            let firsts = Matrix::new(&turned.firsts_turned, all);
            let layers = &mut layers[at(&rows, all)];
            MatrixMut::new(layers, all).product(Output::Fill, Matrix::new(attended, a), firsts);
            passes::activate(layers, all, biases[0], mask_at(masks[1], &rows, self.widths.parts[0]));
            MatrixMut::new(&mut candidate[at(&rows, m)], m).product(
                Output::Fill,
                Matrix::new(layers, all).columns(places[0].clone()),
                Matrix::new(&turned.seconds[0], m),
            );
            for step in block.clone() {
                let rows = step * self.samples..(step + 1) * self.samples;
                let local = rows.start - block.start * self.samples..rows.end - block.start * self.samples;
                let layers = &mut layers[at(&local, all)];
                let (earlier, later) = memory.split_at_mut(rows.end * m);
                let (before, now) = (&earlier[rows.start * m..], &mut later[..self.samples * m]);
                if step > 0 {
                    let gates = self.widths.gates();
                    let recurrent = Matrix::new(&turned.recurrent_turned, gates.len());
                    let hidden = MatrixMut::new(layers, all).columns(gates);
                    hidden.product(Output::Add, Matrix::new(before, m), recurrent);
                }
                for (gate, out) in [(1, &mut *keep), (2, &mut *take)] {
                    let (place, mask) =
                        (places[gate].clone(), mask_at(masks[gate + 1], &rows, places[gate].len()));
                    passes::activate(&mut layers[place.start..], all, biases[gate], mask);
                    MatrixMut::new(&mut out[at(&rows, m)], m).product(
                        Output::Fill,
                        Matrix::new(layers, all).columns(place),
                        Matrix::new(&turned.seconds[gate], m),
                    );
                }
                let [keep, take, candidate] =
                    [&mut *keep, &mut *take, &mut *candidate].map(|out| &mut out[at(&rows, m)]);
                passes::update(keep, take, candidate, [seconds[1], seconds[2], seconds[0]], before, now);
            }
        }
    }

    fn backward_member(
        &mut self,
        number: i64,
        (weights, gradients): (&Weights, &Weights),
        masks: &Masks,
        dlast: &Tensor,
        dcells: &[Tensor],
    ) {
        let Widths { attended: a, memory: m, nn1, .. } = self.widths;
        let (all, places) = (self.widths.all(), self.widths.places());
        let mut scratch = self.scratch.take().unwrap_or_else(|| self.new_scratch());
        let (member, gradients) = (Member::of(weights, number), Member::of(gradients, number));
        let masks = masks_of(masks, number);
        let dcells: Vec<Tensor> = dcells.iter().map(|cell| cell.get(number)).collect();
        let own = [&self.states, &self.attention, &self.attended, &self.nn1_hidden, &self.hidden_layers];
        let own = own.map(|whole| whole.get(number));
        let (outputs, memory) = (self.outputs.each_ref().map(|x| x.get(number)), self.memory.get(number));
        let dlast = dlast.get(number).contiguous();
        // SAFETY: the parameters, masks and values of the forward pass are not changed during this pass.
        let ([states, attention, attended, hidden, layers], outputs, memory, masks) = unsafe {
            self.turned.stack(&member);
            scratch.memory.copy_from_slice(values(&dlast));
            let masks = masks.each_ref().map(|mask| mask.as_ref().map(|mask| values(mask)));
            (own.each_ref().map(|x| values(x)), outputs.each_ref().map(|x| values(x)), values(&memory), masks)
        };
        // SAFETY: as above.
        let (nn1_first, nn1_second, seconds) = unsafe {
            let seconds = member.parts.each_ref().map(|part| Matrix::of(&part.second.weight));
            (Matrix::of(&member.nn1.first.weight), Matrix::of(&member.nn1.second.weight), seconds)
        };
        // SAFETY: the gradients of the cell states and of the biases are separate tensors or separate parts of one,
        // and are used by nothing else during the pass.
        let (mut dcells, [dnn1_first, dnn1_second], mut firsts, [dnn2, dkeep, dtake]) = unsafe {
            let dcells: Vec<&mut [f32]> = dcells.iter().map(|cell| values_mut(cell)).collect();
            let nn1 = [&gradients.nn1.first, &gradients.nn1.second].map(|layer| values_mut(&layer.bias));
            let firsts = gradients.parts.each_ref().map(|part| values_mut(&part.first.bias));
            let seconds = gradients.parts.each_ref().map(|part| values_mut(&part.second.bias));
            (dcells, nn1, firsts, seconds)
        };
        for bias in [&mut *dnn1_first, dnn1_second, dnn2, dkeep, dtake] {
            bias.fill(0.0);
        }
        firsts.iter_mut().for_each(|bias| bias.fill(0.0));
        let turned = &self.turned;
        for block in self.blocks().rev() {
            let rows = block.start * self.samples..block.end * self.samples;
            let count = rows.len();
            let mut douts = scratch.outputs.each_mut().map(|out| &mut out[..count * m]);
            let dlayers = &mut scratch.hidden_layers[..count * all];
            let layers = &layers[at(&rows, all)];
            for step in block.clone().rev() {
                let rows = step * self.samples..(step + 1) * self.samples;
                let local = rows.start - block.start * self.samples..rows.end - block.start * self.samples;
                let gradients = douts.each_mut().map(|out| &mut out[at(&local, m)]);
                passes::update_backward(
                    outputs.map(|out| &out[at(&rows, m)]),
                    &memory[at(&rows, m)],
                    &mut scratch.memory,
                    gradients,
                    [&mut *dkeep, &mut *dtake, &mut *dnn2],
                );
                let (dlayers, layers) = (&mut dlayers[at(&local, all)], &layers[at(&local, all)]);
                for gate in [1, 2] {
                    let (place, mask) =
                        (places[gate].clone(), mask_at(masks[gate + 1], &rows, places[gate].len()));
                    MatrixMut::new(dlayers, all).columns(place.clone()).product(
                        Output::Fill,
                        Matrix::new(&douts[gate - 1][at(&local, m)], m),
                        seconds[gate],
                    );
                    let (dlayers, layers) = (&mut dlayers[place.start..], &layers[place.start..]);
                    passes::arrive(dlayers, layers, all, mask, firsts[gate]);
                }
                if step > 0 {
                    MatrixMut::new(&mut scratch.memory, m).product(
                        Output::Add,
                        Matrix::new(dlayers, all).columns(self.widths.gates()),
                        Matrix::new(&turned.recurrent, m),
                    );
                }
            }
            let dcandidate = Matrix::new(douts[2], m);
            MatrixMut::new(dlayers, all).columns(places[0].clone()).product(
                Output::Fill,
                dcandidate,
                seconds[0],
            );
            passes::arrive(dlayers, layers, all, mask_at(masks[1], &rows, places[0].len()), firsts[0]);
            let dstates = &mut scratch.attended[..count * a];
            let stacked = Matrix::new(&turned.firsts, a);
            MatrixMut::new(dstates, a).product(Output::Fill, Matrix::new(dlayers, all), stacked);
            let (states, hidden) = (&states[at(&rows, a)], &hidden[at(&rows, nn1)]);
            let dscores = &mut scratch.scores[..count * a];
            passes::attend_backward(&attention[at(&rows, a)], states, dstates, dscores, dnn1_second);
            let dhidden = &mut scratch.nn1_hidden[..count * nn1];
            MatrixMut::new(dhidden, nn1).product(Output::Fill, Matrix::new(dscores, a), nn1_second);
            passes::arrive(dhidden, hidden, nn1, mask_at(masks[0], &rows, nn1), dnn1_first);
            MatrixMut::new(dstates, a).product(Output::Add, Matrix::new(dhidden, nn1), nn1_first);
            for step in block.clone().rev() {
                let first = (step - block.start) * self.samples;
                self.scatter(step, &dstates[at(&(first..first + self.samples), a)], &mut dcells);
            }

            let output = if block.end == self.steps { Output::Fill } else { Output::Add };
            let (states, attended) = (Matrix::new(states, a), Matrix::new(&attended[at(&rows, a)], a));
            let (hidden, before) = (Matrix::new(hidden, nn1), Matrix::new(&memory[at(&rows, m)], m));
            // SAFETY: the gradients of the weights are used by nothing else during the pass.
            unsafe {
                add(
                    output,
                    &gradients.nn1,
                    (Matrix::new(dhidden, nn1), Matrix::new(dscores, a)),
                    states,
                    hidden,
                );
                for (part, dout) in [2, 0, 1].into_iter().enumerate() {
                    let (gradient, place) = (&gradients.parts[part], places[part].clone());
                    let dlayer = Matrix::new(dlayers, all).columns(place.clone());
                    let layer = Matrix::new(layers, all).columns(place);
                    add(output, gradient, (dlayer, Matrix::new(douts[dout], m)), attended, layer);
                    if part > 0 {
                        let weight = MatrixMut::of(&gradient.first.weight).columns(a..a + m);
                        weight.product(output, dlayer.transposed(), before);
                    }
                }
            }
        }
        self.scratch = Some(scratch);
    }
}

/// Adds the gradients of the weights of a perceptron from the gradients of its layers' outputs and from their inputs.
/// The first weight may have more columns than the input.
///
/// # Safety
/// Nothing else may use the gradients meanwhile.
unsafe fn add(
    output: Output,
    gradients: &Perceptron,
    (dfirst, dsecond): (Matrix<'_>, Matrix<'_>),
    input: Matrix<'_>,
    hidden: Matrix<'_>,
) {
    // SAFETY: the caller excludes other uses.
    let [first, second] =
        unsafe { [&gradients.first, &gradients.second].map(|layer| MatrixMut::of(&layer.weight)) };
    first.columns(0..input.width()).product(output, dfirst.transposed(), input);
    second.product(output, dsecond.transposed(), hidden);
}

impl Fusion for InMemory {
    fn forward(&mut self, states: &[Tensor], weights: &Weights, masks: &Masks, last: &Tensor) {
        for member in 0..self.members {
            self.forward_member(member, states, weights, masks);
        }
        let (steps, samples) = (self.steps as i64, self.samples as i64);
        last.shallow_clone().copy_(&self.memory.narrow(1, steps * samples, samples));
    }

    fn backward(&mut self, weights: (&Weights, &Weights), masks: &Masks, dlast: &Tensor, dstates: &[Tensor]) {
        for member in 0..self.members {
            self.backward_member(member, weights, masks, dlast, dstates);
        }
    }
}
