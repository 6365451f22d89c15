//! The early-fusion bidirectional LSTM of the paper's IEMOCAP experiments.
//!
//! Modalities side by side at every step -> stacked bidirectional LSTM (dropout between the layers) -> the output at
//! the LAST time step -> [`head`]. At the last step the backward direction of the upper layer has seen only that one
//! step. Therefore only this step is computed, and its recurrent weights never get a gradient.

use std::{cell::RefCell, ops::Range};

use tch::{Device, Kind, Tensor};

use super::{
    Batch, Columns, Draws, Flat, Kernels, Model, Objective,
    batch::of_members,
    dropout::{Dropout, DropoutPlace},
    head,
    layout::{Init, Layout},
    lstm::{CellShape, Cells, Input, Weights},
};
use crate::random::Purpose;

/// The sizes, the same for all members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BiEflstmShape {
    /// Width of all modalities together.
    pub features: i64,
    /// Hidden units per direction, and width of the head.
    pub hidden: i64,
    /// Stacked layers, at least 1.
    pub layers: i64,
    /// Number of classes, or 1 for a regression.
    pub outputs: i64,
    /// The loss that training minimises.
    pub objective: Objective,
}

impl BiEflstmShape {
    fn parameter_layout(&self) -> Layout {
        let mut layout = Layout::default();
        let gates = 4 * self.hidden;
        let uniform = Init::Uniform(1.0 / (self.hidden as f64).sqrt());
        for layer in 0..self.layers {
            let width = if layer == 0 { self.features } else { 2 * self.hidden };
            for direction in ["", "_reverse"] {
                let mut push = |name: &str, shape: &[i64]| {
                    layout.push(format!("lstm.{name}_l{layer}{direction}"), shape, uniform);
                };
                push("weight_ih", &[gates, width]);
                push("weight_hh", &[gates, self.hidden]);
                push("bias_ih", &[gates]);
                push("bias_hh", &[gates]);
            }
        }
        head::Parameters::lay_out(&mut layout, 2 * self.hidden, self.hidden, self.outputs);
        layout
    }

    /// The weights of both directions of every layer.
    fn weights(&self, layout: &Layout, flat: &Tensor) -> Vec<[Weights; 2]> {
        let layer = |layer: i64| {
            ["", "_reverse"].map(|direction| {
                let view = |name: &str| layout.view(flat, &format!("lstm.{name}_l{layer}{direction}"));
                Weights {
                    input: view("weight_ih"),
                    hidden: view("weight_hh"),
                    input_bias: view("bias_ih"),
                    hidden_bias: view("bias_hh"),
                }
            })
        };
        (0..self.layers).map(layer).collect()
    }
}

/// A cohort of bi-EFLSTMs.
pub struct BiEflstm {
    shape: BiEflstmShape,
    flat: Flat,
    probabilities: Vec<f64>,
    kernels: Kernels,
    dropout: Dropout,
    groups: Vec<Group>,
    /// One workspace per batch size seen so far: full batches and the last one, in training and in evaluation.
    workspaces: RefCell<Vec<Workspace>>,
}

/// Members that are computed together; all groups have the same size.
struct Group {
    members: Range<i64>,
    views: Views,
}

/// Size of one direction's recurrent weights, in bytes, from which members are computed one after the other, so that the
/// values of one stay in the processor's cache from its forward pass to its backward pass. Members of smaller networks
/// are computed together: there the fixed cost of operations matters, which they share.
const ALONE_FROM: i64 = 64 << 10;

/// Named views of the flat tensors of some members.
struct Views {
    lstm: Vec<[Weights; 2]>,
    lstm_gradients: Vec<[Weights; 2]>,
    head: head::Parameters,
    head_gradients: head::Parameters,
    running: head::Running,
}

/// The tensors of one pass.
struct Workspace {
    steps: i64,
    samples: i64,
    /// All layers but the last, both directions.
    lower: Vec<Cells>,
    /// Output of each layer but the last, [K, T * B, 2H].
    joined: Vec<Tensor>,
    /// The last layer forward in time.
    forward: Cells,
    /// The last layer backward in time: only its first step, which is the last time step.
    backward: Cells,
}

impl Workspace {
    fn new(
        shape: BiEflstmShape,
        [members, steps, samples]: [i64; 3],
        kernels: Kernels,
        options: (Kind, Device),
    ) -> Self {
        let cells = |directions: i64, steps: i64| {
            let shape = CellShape { directions, members, steps, samples, hidden: shape.hidden };
            Cells::new(shape, kernels, options)
        };
        let lower = (1..shape.layers).map(|_| cells(2, steps)).collect();
        let joined = (1..shape.layers)
            .map(|_| Tensor::empty([members, steps * samples, 2 * shape.hidden], options))
            .collect();
        Self { steps, samples, lower, joined, forward: cells(1, steps), backward: cells(1, 1) }
    }

    /// Features [K, B, 2H] for the head. `masks` are the dropout masks between the layers, each [K, T * B, 2H].
    fn forward(&mut self, batch: &Batch, lstm: &[[Weights; 2]], masks: &[Option<Tensor>]) -> Tensor {
        let mut input = Input { rows: &batch.features, columns: &batch.columns };
        let hidden = self.forward.shape.hidden;
        let all = Columns::alike(self.forward.shape.members, &[(0, 2 * hidden)]);
        for (layer, cells) in self.lower.iter_mut().enumerate() {
            cells.forward(&input, &lstm[layer]);
            for d in 0..2 {
                let half = |whole: &Tensor| whole.narrow(2, d * hidden, hidden);
                let rows = cells.shape.rows(&cells.hidden, d);
                let mut out = half(&self.joined[layer]);
                match &masks[layer] {
                    Some(mask) => drop(rows.mul_out(&out, &half(mask))),
                    None => out.copy_(&rows),
                }
            }
            input = Input { rows: &self.joined[layer], columns: &all };
        }
        let [forward, backward] = &lstm[self.lower.len()];
        self.forward.forward(&input, std::slice::from_ref(forward));
        let last = last_rows(input.rows, self.samples);
        let last = Input { rows: &last, columns: input.columns };
        self.backward.forward(&last, std::slice::from_ref(backward));
        let (ahead, back) = (&self.forward.hidden, &self.backward.hidden);
        Tensor::cat(&[ahead.get(0).select(1, self.steps - 1), back.get(0).select(1, 0)], -1)
    }

    /// Fills the gradients, given the gradient of the head's features.
    fn backward(
        &mut self,
        batch: &Batch,
        lstm: &[[Weights; 2]],
        gradients: &[[Weights; 2]],
        masks: &[Option<Tensor>],
        dfeatures: &Tensor,
    ) {
        let hidden = self.forward.shape.hidden;
        for cells in self.lower.iter_mut().chain([&mut self.forward, &mut self.backward]) {
            cells.prepare_gradients();
        }
        let all = Columns::alike(self.forward.shape.members, &[(0, 2 * hidden)]);
        let joined = &self.joined;
        let input = |layer: usize| match layer {
            0 => Input { rows: &batch.features, columns: &batch.columns },
            _ => Input { rows: &joined[layer - 1], columns: &all },
        };

        let top = self.lower.len();
        let (ahead, back) = lstm[top].split_at(1);
        let (ahead_gradients, back_gradients) = gradients[top].split_at(1);
        for (cells, weights, gradients, column) in [
            (&mut self.forward, ahead, ahead_gradients, 0),
            (&mut self.backward, back, back_gradients, hidden),
        ] {
            let arriving = dfeatures.narrow(2, column, hidden);
            cells.gradients().hidden.get(0).select(1, cells.shape.steps - 1).copy_(&arriving);
            cells.backward(weights, true, None);
            let Input { rows, columns } = input(top);
            let rows = if column == 0 { rows.shallow_clone() } else { last_rows(rows, self.samples) };
            cells.weight_gradients(&Input { rows: &rows, columns }, gradients);
        }
        if top == 0 {
            return;
        }
        let mut dinput = self.forward.input_gradient(ahead, None);
        let _ = self.backward.input_gradient(back, Some(last_rows(&dinput, self.samples)));
        for layer in (0..top).rev() {
            let cells = &mut self.lower[layer];
            for d in 0..2 {
                let half = |whole: &Tensor| whole.narrow(2, d * hidden, hidden);
                let mut out = cells.shape.rows(&cells.gradients().hidden, d);
                match &masks[layer] {
                    Some(mask) => drop(half(&dinput).mul_out(&out, &half(mask))),
                    None => out.copy_(&half(&dinput)),
                }
            }
            cells.backward(&lstm[layer], false, None);
            cells.weight_gradients(&input(layer), &gradients[layer]);
            if layer > 0 {
                dinput = cells.input_gradient(&lstm[layer], None);
            }
        }
    }
}

/// The values [K, ...] of all members, from those of the groups.
fn joined(parts: impl Iterator<Item = Tensor>) -> Tensor {
    let mut parts: Vec<Tensor> = parts.collect();
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(&parts, 0),
    }
}

/// The rows of the last time step, of rows [K, T * B, F].
fn last_rows(rows: &Tensor, samples: i64) -> Tensor {
    rows.narrow(1, rows.size()[1] - samples, samples)
}

impl BiEflstm {
    /// A cohort with one member per seed, initialised as PyTorch initialises these layers. `dropout` is the
    /// probability of each member, in [0, 1).
    #[must_use]
    pub fn new(shape: BiEflstmShape, seeds: &[u64], dropout: &[f64], options: (Kind, Device)) -> Self {
        let layout = shape.parameter_layout();
        let mut buffer_layout = Layout::default();
        head::Running::lay_out(&mut buffer_layout, shape.hidden);
        let flat = Flat::new(layout, buffer_layout, seeds, options);
        let kernels = Kernels::of(options.1);
        let groups = Group::all(shape, kernels, &flat);
        Self {
            shape,
            flat,
            probabilities: dropout.to_vec(),
            kernels,
            dropout: Dropout::new(kernels),
            groups,
            workspaces: RefCell::default(),
        }
    }

    /// Uses other kernels than the device's own, to compare them.
    #[must_use]
    pub fn with_kernels(mut self, kernels: Kernels) -> Self {
        (self.kernels, self.dropout) = (kernels, Dropout::new(kernels));
        self.groups = Group::all(self.shape, kernels, &self.flat);
        self.workspaces.borrow_mut().clear();
        self
    }

    /// Calls `pass` with the workspace for batches of this shape; all groups share it, one at a time.
    fn with_workspace<T>(&self, batch: &Batch, pass: impl FnOnce(&mut Workspace) -> T) -> T {
        let mut workspaces = self.workspaces.borrow_mut();
        let fits = |w: &Workspace| w.samples == batch.samples && w.steps == batch.steps;
        let number = workspaces.iter().position(fits).unwrap_or_else(|| {
            let size = [batch.features.size()[0], batch.steps, batch.samples];
            workspaces.push(Workspace::new(self.shape, size, self.kernels, self.flat.options()));
            workspaces.len() - 1
        });
        pass(&mut workspaces[number])
    }
}

impl Group {
    /// The groups of all members.
    fn all(shape: BiEflstmShape, kernels: Kernels, flat: &Flat) -> Vec<Self> {
        let all = flat.parameters.size()[0];
        let weights = 4 * shape.hidden * shape.hidden * size_of::<f32>() as i64;
        let size = if kernels == Kernels::InMemory && weights >= ALONE_FROM { 1 } else { all };
        let group = |first: i64| {
            let members = first..first + size;
            Self { views: Views::new(shape, flat, &members), members }
        };
        (0..all).step_by(size.max(1) as usize).map(group).collect()
    }
}

impl Views {
    fn new(shape: BiEflstmShape, flat: &Flat, members: &Range<i64>) -> Self {
        let Flat { layout, buffer_layout, parameters, gradients, buffers } = flat;
        let [parameters, gradients, buffers] =
            [parameters, gradients, buffers].map(|whole| of_members(whole, members));
        Self {
            lstm: shape.weights(layout, &parameters),
            lstm_gradients: shape.weights(layout, &gradients),
            head: head::Parameters::view(layout, &parameters),
            head_gradients: head::Parameters::view(layout, &gradients),
            running: head::Running::view(buffer_layout, &buffers),
        }
    }
}

impl Model for BiEflstm {
    fn flat(&self) -> &Flat {
        &self.flat
    }

    fn train(&mut self, batch: &Batch, draws: &Draws<'_>) -> Tensor {
        let _guard = tch::no_grad_guard();
        let hidden = self.shape.hidden;
        let place =
            |purpose, shape| DropoutPlace { purpose, probabilities: self.probabilities.clone(), shape };
        let between = [batch.steps * batch.samples, 2 * hidden];
        let places: Vec<DropoutPlace> = (1..self.shape.layers)
            .map(|layer| place(Purpose::LayerDropout(layer as u32 - 1), between))
            .chain([place(Purpose::HeadDropout, [batch.samples, hidden])])
            .collect();
        let mut masks = self.dropout.masks(&places, draws, &self.flat.parameters);
        let head_mask = masks.pop().flatten();

        let losses = self.groups.iter().map(|group| {
            let (views, batch) = (&group.views, batch.of_members(&group.members));
            let part = |mask: &Option<Tensor>| mask.as_ref().map(|mask| of_members(mask, &group.members));
            let (masks, head_mask): (Vec<_>, _) = (masks.iter().map(part).collect(), part(&head_mask));
            let features =
                self.with_workspace(&batch, |workspace| workspace.forward(&batch, &views.lstm, &masks));
            let (outputs, pass) = head::forward(&views.head, &views.running, &features, head_mask.as_ref());
            let (losses, doutputs) = self.shape.objective.loss_and_grad(&outputs, &batch.labels);
            let dfeatures = head::backward(&views.head, &views.head_gradients, &pass, &doutputs);
            self.with_workspace(&batch, |workspace| {
                workspace.backward(&batch, &views.lstm, &views.lstm_gradients, &masks, &dfeatures);
            });
            losses
        });
        joined(losses)
    }

    fn evaluate(&self, batch: &Batch) -> Tensor {
        let _guard = tch::no_grad_guard();
        let masks: Vec<Option<Tensor>> = (1..self.shape.layers).map(|_| None).collect();
        joined(self.groups.iter().map(|Group { members, views }| {
            let batch = batch.of_members(members);
            let features =
                self.with_workspace(&batch, |workspace| workspace.forward(&batch, &views.lstm, &masks));
            head::evaluate(&views.head, &views.running, &features)
        }))
    }

    fn retain(&mut self, members: &[i64]) {
        let _guard = tch::no_grad_guard();
        self.flat.retain(members);
        self.groups = Group::all(self.shape, self.kernels, &self.flat);
        self.probabilities = members.iter().map(|&member| self.probabilities[member as usize]).collect();
        self.workspaces.borrow_mut().clear();
    }
}
