//! A cohort of Memory Fusion Networks.
//!
//! An LSTM cell per modality -> attention over the cell states of two neighbouring steps -> a gated memory -> a
//! perceptron on the last outputs and the last memory. The cells do not depend on the memory. Therefore everything
//! except the two recurrences is computed for all time steps at once.

use tch::{Device, Kind, Tensor};

use super::{
    fusion::Masks,
    shape::{MfnDropout, MfnShape, Weights},
    workspace::Workspace,
};
use crate::{
    model::{
        Batch, Draws, Flat, Kernels, Model,
        dropout::{Dropout, DropoutPlace},
        layout::Layout,
    },
    random::Purpose,
};

/// A cohort of Memory Fusion Networks.
pub struct Mfn {
    shape: MfnShape,
    /// The network has no state besides its parameters: the buffers are [K, 0].
    flat: Flat,
    probabilities: Vec<MfnDropout>,
    kernels: Kernels,
    dropout: Dropout,
    weights: Weights,
    weight_gradients: Weights,
    /// One workspace per batch size seen so far: full batches, and the last batch of an epoch.
    workspaces: Vec<Workspace>,
}

impl Mfn {
    /// A cohort of one member per seed, initialised as PyTorch initialises these layers.
    #[must_use]
    pub fn new(shape: MfnShape, seeds: &[u64], dropout: &[MfnDropout], options: (Kind, Device)) -> Self {
        let flat = Flat::new(shape.parameter_layout(), Layout::default(), seeds, options);
        let weights = shape.weights(&flat.layout, &flat.parameters);
        let weight_gradients = shape.weights(&flat.layout, &flat.gradients);
        let kernels = Kernels::of(options.1);
        Self {
            shape,
            flat,
            probabilities: dropout.to_vec(),
            kernels,
            dropout: Dropout::new(kernels),
            weights,
            weight_gradients,
            workspaces: Vec::new(),
        }
    }

    /// Uses other kernels than the device's own, to compare them.
    #[must_use]
    pub fn with_kernels(mut self, kernels: Kernels) -> Self {
        (self.kernels, self.dropout) = (kernels, Dropout::new(kernels));
        self.workspaces.clear();
        self
    }

    fn new_workspace(&self, batch: &Batch) -> Workspace {
        let size = [self.probabilities.len() as i64, batch.steps, batch.samples];
        Workspace::new(&self.shape, size, self.kernels, self.flat.options())
    }

    /// The workspace for batches of this shape.
    fn workspace(&mut self, batch: &Batch) -> usize {
        let fits = |w: &Workspace| w.samples == batch.samples && w.steps == batch.steps;
        self.workspaces.iter().position(fits).unwrap_or_else(|| {
            self.workspaces.push(self.new_workspace(batch));
            self.workspaces.len() - 1
        })
    }

    fn masks(&mut self, batch: &Batch, draws: &Draws<'_>) -> Masks {
        let place = |purpose, probability: fn(&MfnDropout) -> f64, rows: i64, width: i64| DropoutPlace {
            purpose,
            probabilities: self.probabilities.iter().map(probability).collect(),
            shape: [rows, width],
        };
        let (shape, all) = (&self.shape, batch.steps * batch.samples);
        let part = Purpose::PerceptronDropout;
        let places = [
            place(part(0), |d| d.nn1, all, shape.nn1),
            place(part(1), |d| d.nn2, all, shape.nn2),
            place(part(2), |d| d.gamma1, all, shape.gamma1),
            place(part(3), |d| d.gamma2, all, shape.gamma2),
            place(Purpose::HeadDropout, |d| d.out, batch.samples, shape.out),
        ];
        let masks = self.dropout.masks(&places, draws, &self.flat.parameters);
        let [nn1, nn2, gamma1, gamma2, out] =
            <[Option<Tensor>; 5]>::try_from(masks).expect("there is one for each place");
        Masks { nn1, nn2, gammas: [gamma1, gamma2], out }
    }
}

impl Model for Mfn {
    fn flat(&self) -> &Flat {
        &self.flat
    }

    fn train(&mut self, batch: &Batch, draws: &Draws<'_>) -> Tensor {
        let _guard = tch::no_grad_guard();
        let masks = self.masks(batch, draws);
        let number = self.workspace(batch);
        let workspace = &mut self.workspaces[number];
        let outputs = workspace.forward(&self.shape, batch, &self.weights, &masks);
        let (losses, doutputs) = self.shape.objective.loss_and_grad(&outputs, &batch.labels);
        let weights = (&self.weights, &self.weight_gradients);
        workspace.backward(&self.shape, batch, weights, &masks, &doutputs);
        losses
    }

    fn evaluate(&self, batch: &Batch) -> Tensor {
        let _guard = tch::no_grad_guard();
        self.new_workspace(batch).forward(&self.shape, batch, &self.weights, &Masks::default())
    }

    fn retain(&mut self, members: &[i64]) {
        let _guard = tch::no_grad_guard();
        self.flat.retain(members);
        self.weights = self.shape.weights(&self.flat.layout, &self.flat.parameters);
        self.weight_gradients = self.shape.weights(&self.flat.layout, &self.flat.gradients);
        self.probabilities = members.iter().map(|&member| self.probabilities[member as usize]).collect();
        self.workspaces.clear();
    }
}
