//! A cohort of Memory Fusion Networks.
//!
//! An LSTM cell for each modality -> attention over the cell states of two neighbouring steps -> a gated
//! memory -> a perceptron on the last outputs and the last memory. The cells do not depend on the memory, so
//! everything but the two recurrences is computed for all time steps at once.

use tch::{Device, Kind, Tensor};

use super::{
    shape::{MfnDropout, MfnShape, Weights},
    workspace::{Masks, Workspace},
};
use crate::{
    model::{Batch, Draws, Flat, Model, layout::Layout},
    random::Purpose,
};

/// A cohort of Memory Fusion Networks.
pub struct Mfn {
    shape: MfnShape,
    /// The network carries nothing beside its parameters: the buffers are [K, 0].
    flat: Flat,
    dropout: Vec<MfnDropout>,
    weights: Weights,
    weight_gradients: Weights,
    /// Of the batch sizes seen so far: the full one, and the one of an epoch's last batch.
    workspaces: Vec<Workspace>,
}

impl Mfn {
    /// A cohort of one member per seed, initialised as PyTorch initialises these layers.
    #[must_use]
    pub fn new(shape: MfnShape, seeds: &[u64], dropout: &[MfnDropout], options: (Kind, Device)) -> Self {
        let flat = Flat::new(shape.parameter_layout(), Layout::default(), seeds, options);
        let weights = shape.weights(&flat.layout, &flat.parameters);
        let weight_gradients = shape.weights(&flat.layout, &flat.gradients);
        Self { shape, flat, dropout: dropout.to_vec(), weights, weight_gradients, workspaces: Vec::new() }
    }

    fn new_workspace(&self, batch: &Batch) -> Workspace {
        let size = [self.dropout.len() as i64, batch.steps, batch.samples];
        Workspace::new(&self.shape, size, self.flat.options())
    }

    /// The workspace for batches of this shape.
    fn workspace(&mut self, batch: &Batch) -> usize {
        let fits = |w: &Workspace| w.samples == batch.samples && w.steps == batch.steps;
        self.workspaces.iter().position(fits).unwrap_or_else(|| {
            self.workspaces.push(self.new_workspace(batch));
            self.workspaces.len() - 1
        })
    }

    fn masks(&self, batch: &Batch, draws: &Draws<'_>) -> Masks {
        let mask = |purpose, probability: fn(&MfnDropout) -> f64, rows: i64, width: i64| {
            let probabilities: Vec<f64> = self.dropout.iter().map(probability).collect();
            draws.mask(purpose, &probabilities, &[rows, width], &self.flat.parameters)
        };
        let (shape, all) = (&self.shape, batch.steps * batch.samples);
        let part = Purpose::PerceptronDropout;
        Masks {
            nn1: mask(part(0), |d| d.nn1, all, shape.nn1),
            nn2: mask(part(1), |d| d.nn2, all, shape.nn2),
            gammas: [
                mask(part(2), |d| d.gamma1, all, shape.gamma1),
                mask(part(3), |d| d.gamma2, all, shape.gamma2),
            ],
            out: mask(Purpose::HeadDropout, |d| d.out, batch.samples, shape.out),
        }
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
        let (losses, doutputs) = self.shape.objective.losses_and_slopes(&outputs, &batch.labels);
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
        self.dropout = members.iter().map(|&member| self.dropout[member as usize]).collect();
        self.workspaces.clear();
    }
}
