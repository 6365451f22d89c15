//! Sizes and parameters of the Memory Fusion Network.

use tch::Tensor;

use crate::model::{
    Objective,
    layout::{Init, Layout},
    lstm,
    perceptron::Perceptron,
};

/// A modality and its LSTM cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MfnModality {
    /// Its name, in the names of its parameters.
    pub name: String,
    /// Its first column in a batch.
    pub first: i64,
    /// Its number of columns.
    pub dim: i64,
    /// Hidden units of its cell.
    pub hidden: i64,
}

/// The sizes, the same for all members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MfnShape {
    /// At least one modality.
    pub modalities: Vec<MfnModality>,
    /// Width of the memory.
    pub memory: i64,
    /// Hidden width of the attention over the cell states.
    pub nn1: i64,
    /// Hidden width of the perceptron that proposes the memory's update.
    pub nn2: i64,
    /// Hidden width of the gate that keeps the memory.
    pub gamma1: i64,
    /// Hidden width of the gate that lets the update in.
    pub gamma2: i64,
    /// Hidden width of the head.
    pub out: i64,
    /// Number of classes, or 1 for a regression.
    pub outputs: i64,
    /// The loss that training minimises.
    pub objective: Objective,
}

/// A member's probabilities of dropout between the two layers of each perceptron, in [0, 1).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "they are named as the widths in `MfnShape` are")]
pub struct MfnDropout {
    pub nn1: f64,
    pub nn2: f64,
    pub gamma1: f64,
    pub gamma2: f64,
    pub out: f64,
}

/// The parameters, or their gradients.
pub(super) struct Weights {
    /// One LSTM per modality.
    pub(super) lstm: Vec<lstm::Weights>,
    pub(super) nn1: Perceptron,
    pub(super) nn2: Perceptron,
    pub(super) gammas: [Perceptron; 2],
    pub(super) out: Perceptron,
}

impl MfnShape {
    /// Hidden units of all modalities together.
    pub(super) fn hidden(&self) -> i64 {
        self.modalities.iter().map(|modality| modality.hidden).sum()
    }

    /// Each modality with its first position among the hidden units of all modalities.
    pub(super) fn places(&self) -> impl Iterator<Item = (&MfnModality, i64)> {
        self.modalities.iter().scan(0, |place, modality| {
            let first = *place;
            *place += modality.hidden;
            Some((modality, first))
        })
    }

    pub(super) fn parameter_layout(&self) -> Layout {
        let mut layout = Layout::default();
        for MfnModality { name, dim, hidden, .. } in &self.modalities {
            let uniform = Init::Uniform(1.0 / (*hidden as f64).sqrt());
            let mut push = |part: &str, shape: &[i64]| {
                layout.push(format!("lstm.{name}.{part}"), shape, uniform);
            };
            push("weight_ih", &[4 * hidden, *dim]);
            push("weight_hh", &[4 * hidden, *hidden]);
            push("bias_ih", &[4 * hidden]);
            push("bias_hh", &[4 * hidden]);
        }
        let (attended, both) = (2 * self.hidden(), 2 * self.hidden() + self.memory);
        Perceptron::lay_out(&mut layout, "nn1", [attended, self.nn1, attended]);
        Perceptron::lay_out(&mut layout, "nn2", [attended, self.nn2, self.memory]);
        Perceptron::lay_out(&mut layout, "gamma1", [both, self.gamma1, self.memory]);
        Perceptron::lay_out(&mut layout, "gamma2", [both, self.gamma2, self.memory]);
        Perceptron::lay_out(&mut layout, "out", [self.hidden() + self.memory, self.out, self.outputs]);
        layout
    }

    pub(super) fn weights(&self, layout: &Layout, flat: &Tensor) -> Weights {
        let lstm = |modality: &MfnModality| {
            let view = |part: &str| layout.view(flat, &format!("lstm.{}.{part}", modality.name));
            lstm::Weights {
                input: view("weight_ih"),
                hidden: view("weight_hh"),
                input_bias: view("bias_ih"),
                hidden_bias: view("bias_hh"),
            }
        };
        let perceptron = |name| Perceptron::view(layout, flat, name);
        Weights {
            lstm: self.modalities.iter().map(lstm).collect(),
            nn1: perceptron("nn1"),
            nn2: perceptron("nn2"),
            gammas: ["gamma1", "gamma2"].map(perceptron),
            out: perceptron("out"),
        }
    }
}
