//! The tensors of one run of LSTM cells over time, with a view of every step made once.
//!
//! Everything is kept in the order of time, for the direction that runs backward too. The two directions are
//! at different times in one step; a strided view puts them side by side, so that each pointwise operation
//! handles both at once.

use tch::{Device, Kind, Tensor};

/// How large a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CellShape {
    /// 1 (forward in time) or 2 (forward, and backward).
    pub(super) directions: i64,
    pub(super) members: i64,
    pub(super) steps: i64,
    pub(super) samples: i64,
    pub(super) hidden: i64,
}

impl CellShape {
    /// The time that a direction is at in a step.
    pub(super) fn time(&self, direction: i64, step: i64) -> i64 {
        if direction == 0 { step } else { self.steps - 1 - step }
    }

    /// A new tensor [directions, K, T, B, width].
    pub(super) fn tensor(&self, width: i64, options: (Kind, Device)) -> Tensor {
        Tensor::empty([self.directions, self.members, self.steps, self.samples, width], options)
    }

    /// The view [directions, K, B, width] of `columns` (first, count) at a step.
    pub(super) fn step(&self, whole: &Tensor, step: i64, columns: (i64, i64)) -> Tensor {
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
    pub(super) fn matrices(&self, whole: &Tensor, step: i64) -> Vec<Tensor> {
        (0..self.directions).map(|d| whole.get(d).select(1, self.time(d, step))).collect()
    }

    /// One direction as rows: [K, T * B, width].
    pub(super) fn rows(&self, whole: &Tensor, direction: i64) -> Tensor {
        whole.get(direction).flatten(1, 2)
    }
}

/// The values of one step, both directions: [directions, K, B, H] and, for the matrix products, [K, B, 4H] each.
pub(super) struct Step {
    pub(super) input_forget: Tensor,
    pub(super) input: Tensor,
    pub(super) forget: Tensor,
    pub(super) candidate: Tensor,
    pub(super) output: Tensor,
    pub(super) cell: Tensor,
    pub(super) cell_tanh: Tensor,
    pub(super) hidden: Tensor,
    pub(super) gate_matrices: Vec<Tensor>,
    pub(super) hidden_matrices: Vec<Tensor>,
}

/// What the forward pass leaves for the backward pass.
pub(super) struct Cells {
    pub(super) shape: CellShape,
    /// Activations in PyTorch's order i, f, g, o: [directions, K, T, B, 4H].
    pub(super) gates: Tensor,
    /// [directions, K, T, B, H], like the two that follow.
    pub(super) cell: Tensor,
    pub(super) cell_tanh: Tensor,
    pub(super) hidden: Tensor,
    pub(super) views: Vec<Step>,
    /// Made when a backward pass first asks.
    pub(super) slopes: Option<Slopes>,
}

impl Cells {
    pub(super) fn new(shape: CellShape, options: (Kind, Device)) -> Self {
        let h = shape.hidden;
        let [gates, cell, cell_tanh, hidden] = [4 * h, h, h, h].map(|width| shape.tensor(width, options));
        let views = (0..shape.steps)
            .map(|s| Step {
                input_forget: shape.step(&gates, s, (0, 2 * h)),
                input: shape.step(&gates, s, (0, h)),
                forget: shape.step(&gates, s, (h, h)),
                candidate: shape.step(&gates, s, (2 * h, h)),
                output: shape.step(&gates, s, (3 * h, h)),
                cell: shape.step(&cell, s, (0, h)),
                cell_tanh: shape.step(&cell_tanh, s, (0, h)),
                hidden: shape.step(&hidden, s, (0, h)),
                gate_matrices: shape.matrices(&gates, s),
                hidden_matrices: shape.matrices(&hidden, s),
            })
            .collect();
        Self { shape, gates, cell, cell_tanh, hidden, views, slopes: None }
    }
}

/// The gradients of one step: the first three gates as [directions, K, B, 3, H], the others [.., H].
pub(super) struct SlopeStep {
    pub(super) input_forget_candidate: Tensor,
    pub(super) output: Tensor,
    pub(super) cell: Tensor,
    pub(super) hidden: Tensor,
    pub(super) gate_matrices: Vec<Tensor>,
    pub(super) hidden_matrices: Vec<Tensor>,
}

/// Tensors of the backward pass.
pub(super) struct Slopes {
    /// First the derivative of what each gate contributes by its preactivation, then multiplied in place
    /// by what arrives there: the gradient of the preactivations. [directions, K, T, B, 4H]
    pub(super) gates: Tensor,
    /// d hidden / d cell: [directions, K, T, B, H].
    pub(super) cell: Tensor,
    /// What arrives at the outputs; the caller fills it, the pass adds to it.
    pub(super) hidden: Tensor,
    /// What arrives at the cell state: [directions, K, B, H].
    pub(super) carried: Tensor,
    pub(super) views: Vec<SlopeStep>,
}

impl Slopes {
    pub(super) fn new(shape: CellShape, options: (Kind, Device)) -> Self {
        let h = shape.hidden;
        let [gates, cell, hidden] = [4 * h, h, h].map(|width| shape.tensor(width, options));
        // Before the first step there is no cell state, so its forget gate never gets a gradient.
        let _ = shape.step(&gates, 0, (h, h)).zero_();
        let carried = Tensor::empty([shape.directions, shape.members, shape.samples, h], options);
        let views = (0..shape.steps)
            .map(|s| SlopeStep {
                input_forget_candidate: shape.step(&gates, s, (0, 3 * h)).unflatten(3, [3, h]),
                output: shape.step(&gates, s, (3 * h, h)),
                cell: shape.step(&cell, s, (0, h)),
                hidden: shape.step(&hidden, s, (0, h)),
                gate_matrices: shape.matrices(&gates, s),
                hidden_matrices: shape.matrices(&hidden, s),
            })
            .collect();
        Self { gates, cell, hidden, carried, views }
    }
}
