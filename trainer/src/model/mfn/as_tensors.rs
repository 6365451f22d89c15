//! The attention and the memory as operations on tensors. Everything except the memory's recurrence is computed for
//! all time steps at once.

use tch::{Device, Kind, Tensor};

use super::{
    fusion::{Fusion, Masks},
    memory::Memory,
    shape::{MfnShape, Weights},
};
use crate::model::perceptron::Perceptron;

/// The tensors are [K, T * B, width]. A is twice the hidden units of all modalities.
pub(super) struct AsTensors {
    steps: i64,
    samples: i64,
    /// Hidden units of each modality.
    hidden: Vec<i64>,
    /// The cell states of all modalities at the previous step (0 at the first step), then those at this step: width
    /// A.
    states: Tensor,
    /// Softmax of NN1's output: width A.
    attention: Tensor,
    /// The attended cell states: width A.
    attended: Tensor,
    nn1_hidden: Tensor,
    nn2_hidden: Tensor,
    /// tanh of NN2's output.
    candidate: Tensor,
    memory: Memory,
    grads: Option<Gradients>,
}

/// Gradients. Each has the shape of its value.
struct Gradients {
    /// First the gradient of the attended states, then that of the states.
    states: Tensor,
    attention: Tensor,
    nn1_hidden: Tensor,
    nn2_hidden: Tensor,
    candidate: Tensor,
}

impl AsTensors {
    /// `size` is K, T, B.
    pub(super) fn new(shape: &MfnShape, size: [i64; 3], options: (Kind, Device)) -> Self {
        let [members, steps, samples] = size;
        let tensor = |width: i64| Tensor::empty([members, steps * samples, width], options);
        let states = tensor(2 * shape.hidden());
        // The states before the first step are zero; no pass writes there.
        let _ = states.narrow(1, 0, samples).narrow(2, 0, shape.hidden()).zero_();
        Self {
            steps,
            samples,
            hidden: shape.modalities.iter().map(|modality| modality.hidden).collect(),
            attention: states.empty_like(),
            attended: states.empty_like(),
            states,
            nn1_hidden: tensor(shape.nn1),
            nn2_hidden: tensor(shape.nn2),
            candidate: tensor(shape.memory),
            memory: Memory::new(size, [shape.gamma1, shape.gamma2], shape.memory, options),
            grads: None,
        }
    }

    fn new_gradients(&self) -> Gradients {
        Gradients {
            states: self.states.empty_like(),
            attention: self.attention.empty_like(),
            nn1_hidden: self.nn1_hidden.empty_like(),
            nn2_hidden: self.nn2_hidden.empty_like(),
            candidate: self.candidate.empty_like(),
        }
    }

    /// The columns of each modality in `states`, as (first, count): those of the previous step, those of this step.
    fn places(&self) -> impl Iterator<Item = [(i64, i64); 2]> {
        let all: i64 = self.hidden.iter().sum();
        self.hidden.iter().scan(0, move |place, &hidden| {
            let first = *place;
            *place += hidden;
            Some([(first, hidden), (all + first, hidden)])
        })
    }

    /// The rows of all steps but the last.
    fn earlier(&self, rows: &Tensor) -> Tensor {
        rows.narrow(1, 0, (self.steps - 1) * self.samples)
    }

    /// The rows of all steps but the first.
    fn later(&self, rows: &Tensor) -> Tensor {
        rows.narrow(1, self.samples, (self.steps - 1) * self.samples)
    }
}

impl Fusion for AsTensors {
    fn forward(&mut self, states: &[Tensor], weights: &Weights, masks: &Masks, last: &Tensor) {
        for (states, [before, now]) in states.iter().zip(self.places()) {
            self.states.narrow(2, now.0, now.1).copy_(states);
            self.later(&self.states).narrow(2, before.0, before.1).copy_(&self.earlier(states));
        }
        weights.nn1.forward(&self.states, masks.nn1.as_ref(), &self.nn1_hidden, &self.attention);
        let _ = self.attention.internal_softmax_out(&self.attention, -1, false);
        let _ = self.attention.mul_out(&self.attended, &self.states);
        weights.nn2.forward(&self.attended, masks.nn2.as_ref(), &self.nn2_hidden, &self.candidate);
        let _ = self.candidate.tanh_out(&self.candidate);
        self.memory.forward(&self.attended, &self.candidate, &weights.gammas, &masks.gammas);
        last.shallow_clone().copy_(&self.memory.last());
    }

    fn backward(
        &mut self,
        (weights, gradients): (&Weights, &Weights),
        masks: &Masks,
        dlast: &Tensor,
        dstates: &[Tensor],
    ) {
        let grads = self.grads.take().unwrap_or_else(|| self.new_gradients());
        let dattended = &grads.states;
        self.memory.backward(
            &self.attended,
            &self.candidate,
            &weights.gammas,
            &gradients.gammas,
            &masks.gammas,
            dlast,
            dattended,
            &grads.candidate,
        );
        weights.nn2.arrive(&grads.candidate, masks.nn2.as_ref(), &self.nn2_hidden, &grads.nn2_hidden);
        fill(&gradients.nn2, (&self.attended, &self.nn2_hidden), (&grads.nn2_hidden, &grads.candidate));
        let _ = dattended.baddbmm_out(dattended, &grads.nn2_hidden, &weights.nn2.first.weight);

        let _ = dattended.mul_out(&grads.attention, &self.states);
        let (dattention, kind) = (&grads.attention, self.attention.kind());
        let _ = Tensor::internal_softmax_backward_data_out(dattention, dattention, &self.attention, -1, kind);
        weights.nn1.arrive(dattention, masks.nn1.as_ref(), &self.nn1_hidden, &grads.nn1_hidden);
        fill(&gradients.nn1, (&self.states, &self.nn1_hidden), (&grads.nn1_hidden, dattention));
        // The states reach the loss in two ways: as the attended values, and through the attention.
        let both = dattended;
        let _ = both.mul_out(both, &self.attention);
        let _ = both.baddbmm_out(both, &grads.nn1_hidden, &weights.nn1.first.weight);
        for (rows, [before, now]) in dstates.iter().zip(self.places()) {
            rows.shallow_clone().copy_(&both.narrow(2, now.0, now.1));
            let _ = self.earlier(rows).g_add_(&self.later(both).narrow(2, before.0, before.1));
        }
        self.grads = Some(grads);
    }
}

/// The gradients of a perceptron from the inputs and the gradients of its two layers.
pub(super) fn fill(gradients: &Perceptron, inputs: (&Tensor, &Tensor), grads: (&Tensor, &Tensor)) {
    gradients.first.fill(grads.0, inputs.0);
    gradients.second.fill(grads.1, inputs.1);
}
