//! The tensors of one pass, and the computation.

use tch::{Device, Kind, Tensor};

use super::{
    memory::Memory,
    shape::{MfnShape, Weights},
};
use crate::model::{
    Batch, Kernels,
    lstm::{CellShape, Cells, Input},
    perceptron::Perceptron,
};

/// Dropout masks, [K, T * B, width]; the head's is [K, B, width].
#[derive(Default)]
pub(super) struct Masks {
    pub(super) nn1: Option<Tensor>,
    pub(super) nn2: Option<Tensor>,
    pub(super) gammas: [Option<Tensor>; 2],
    pub(super) out: Option<Tensor>,
}

/// The tensors are [K, T * B, width], except those of the head. A is twice the hidden units of all modalities.
pub(super) struct Workspace {
    pub(super) steps: i64,
    pub(super) samples: i64,
    /// Cells of each modality.
    cells: Vec<Cells>,
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
    /// Input of the head, [K, B, H + M].
    features: Tensor,
    out_hidden: Tensor,
    grads: Option<MfnGradients>,
}

/// Gradients. Each has the shape of its value.
struct MfnGradients {
    /// First the gradient of the attended states, then that of the states.
    states: Tensor,
    attention: Tensor,
    nn1_hidden: Tensor,
    nn2_hidden: Tensor,
    candidate: Tensor,
    out_hidden: Tensor,
    /// Gradients of the cell states of each modality, [1, K, T, B, H].
    cells: Vec<Tensor>,
}

impl Workspace {
    pub(super) fn new(shape: &MfnShape, size: [i64; 3], kernels: Kernels, options: (Kind, Device)) -> Self {
        let [members, steps, samples] = size;
        let cells = |hidden| {
            Cells::new(CellShape { directions: 1, members, steps, samples, hidden }, kernels, options)
        };
        let tensor = |width: i64| Tensor::empty([members, steps * samples, width], options);
        let head = |width: i64| Tensor::empty([members, samples, width], options);
        let states = tensor(2 * shape.hidden());
        // The states before the first step are zero; no pass writes there.
        let _ = states.narrow(1, 0, samples).narrow(2, 0, shape.hidden()).zero_();
        Self {
            steps,
            samples,
            cells: shape.modalities.iter().map(|modality| cells(modality.hidden)).collect(),
            attention: states.empty_like(),
            attended: states.empty_like(),
            states,
            nn1_hidden: tensor(shape.nn1),
            nn2_hidden: tensor(shape.nn2),
            candidate: tensor(shape.memory),
            memory: Memory::new(size, [shape.gamma1, shape.gamma2], shape.memory, options),
            features: head(shape.hidden() + shape.memory),
            out_hidden: head(shape.out),
            grads: None,
        }
    }

    /// The outputs, [K, B, O].
    pub(super) fn forward(
        &mut self,
        shape: &MfnShape,
        batch: &Batch,
        weights: &Weights,
        masks: &Masks,
    ) -> Tensor {
        let (hidden, last) = (shape.hidden(), self.steps - 1);
        for (m, (modality, place)) in shape.places().enumerate() {
            let (rows, columns) =
                (batch.features.narrow(2, modality.first, modality.dim), modality.present(&batch.columns));
            let cells = &mut self.cells[m];
            cells.forward(&Input { rows: &rows, columns: &columns }, &weights.lstm[m..=m]);
            let states = cells.shape.rows(&cells.states(), 0);
            self.states.narrow(2, hidden + place, modality.hidden).copy_(&states);
            self.later(&self.states).narrow(2, place, modality.hidden).copy_(&self.earlier(&states));
            let output = self.cells[m].hidden.get(0).select(1, last);
            self.features.narrow(2, place, modality.hidden).copy_(&output);
        }
        weights.nn1.forward(&self.states, masks.nn1.as_ref(), &self.nn1_hidden, &self.attention);
        let _ = self.attention.internal_softmax_out(&self.attention, -1, false);
        let _ = self.attention.mul_out(&self.attended, &self.states);
        weights.nn2.forward(&self.attended, masks.nn2.as_ref(), &self.nn2_hidden, &self.candidate);
        let _ = self.candidate.tanh_out(&self.candidate);
        self.memory.forward(&self.attended, &self.candidate, &weights.gammas, &masks.gammas);
        self.features.narrow(2, hidden, shape.memory).copy_(&self.memory.last());
        let out = &weights.out;
        out.first.forward(&self.features, &self.out_hidden);
        let outputs = Tensor::empty(
            [self.features.size()[0], self.samples, shape.outputs],
            (self.features.kind(), self.features.device()),
        );
        out.finish(masks.out.as_ref(), &self.out_hidden, &outputs);
        outputs
    }

    /// Fills the gradients, given the gradient of the outputs [K, B, O].
    pub(super) fn backward(
        &mut self,
        shape: &MfnShape,
        batch: &Batch,
        (weights, gradients): (&Weights, &Weights),
        masks: &Masks,
        doutputs: &Tensor,
    ) {
        let hidden = shape.hidden();
        let grads = self.grads.take().unwrap_or_else(|| self.new_gradients());
        weights.out.arrive(doutputs, masks.out.as_ref(), &self.out_hidden, &grads.out_hidden);
        fill(&gradients.out, (&self.features, &self.out_hidden), (&grads.out_hidden, doutputs));
        let dfeatures = grads.out_hidden.bmm(&weights.out.first.weight);

        let dattended = &grads.states;
        self.memory.backward(
            &self.attended,
            &self.candidate,
            &weights.gammas,
            &gradients.gammas,
            &masks.gammas,
            &dfeatures.narrow(2, hidden, shape.memory),
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
        let dstates = dattended;
        let _ = dstates.mul_out(dstates, &self.attention);
        let _ = dstates.baddbmm_out(dstates, &grads.nn1_hidden, &weights.nn1.first.weight);

        for (m, (modality, place)) in shape.places().enumerate() {
            let dcell = &grads.cells[m];
            let mut rows = dcell.get(0).flatten(1, 2);
            rows.copy_(&dstates.narrow(2, hidden + place, modality.hidden));
            let _ = self.earlier(&rows).g_add_(&self.later(dstates).narrow(2, place, modality.hidden));

            let cells = &mut self.cells[m];
            cells.prepare_gradients();
            let arriving = dfeatures.narrow(2, place, modality.hidden);
            cells.gradients().hidden.get(0).select(1, self.steps - 1).copy_(&arriving);
            cells.backward(&weights.lstm[m..=m], true, Some(dcell));
            let (rows, columns) =
                (batch.features.narrow(2, modality.first, modality.dim), modality.present(&batch.columns));
            cells.weight_gradients(&Input { rows: &rows, columns: &columns }, &gradients.lstm[m..=m]);
        }
        self.grads = Some(grads);
    }

    fn new_gradients(&self) -> MfnGradients {
        MfnGradients {
            states: self.states.empty_like(),
            attention: self.attention.empty_like(),
            nn1_hidden: self.nn1_hidden.empty_like(),
            nn2_hidden: self.nn2_hidden.empty_like(),
            candidate: self.candidate.empty_like(),
            out_hidden: self.out_hidden.empty_like(),
            cells: self.cells.iter().map(|cells| cells.hidden.empty_like()).collect(),
        }
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

/// The gradients of a perceptron from the inputs and the gradients of its two layers.
fn fill(gradients: &Perceptron, inputs: (&Tensor, &Tensor), grads: (&Tensor, &Tensor)) {
    gradients.first.fill(grads.0, inputs.0);
    gradients.second.fill(grads.1, inputs.1);
}
