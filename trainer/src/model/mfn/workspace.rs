//! The tensors of one pass, and the computation.

use tch::{Device, Kind, Tensor};

use super::{
    as_tensors::{AsTensors, fill},
    fusion::{Fusion, Masks},
    in_memory::InMemory,
    shape::{MfnShape, Weights},
};
use crate::{
    host,
    model::{
        Batch, Kernels,
        lstm::{CellShape, Cells, Input},
    },
};

/// The cells, what fuses their states, and the head.
pub(super) struct Workspace {
    pub(super) steps: i64,
    pub(super) samples: i64,
    /// Cells of each modality.
    cells: Vec<Cells>,
    fusion: Box<dyn Fusion>,
    /// Input of the head, [K, B, H + M].
    features: Tensor,
    out_hidden: Tensor,
    grads: Option<MfnGradients>,
}

/// Gradients. Each has the shape of its value.
struct MfnGradients {
    out_hidden: Tensor,
    /// Gradients of the cell states of each modality, [1, K, T, B, H].
    cells: Vec<Tensor>,
}

impl Workspace {
    /// `size` is K, T, B.
    pub(super) fn new(shape: &MfnShape, size: [i64; 3], kernels: Kernels, options: (Kind, Device)) -> Self {
        let [members, steps, samples] = size;
        let cells = |hidden| {
            Cells::new(CellShape { directions: 1, members, steps, samples, hidden }, kernels, options)
        };
        let head = |width: i64| Tensor::empty([members, samples, width], options);
        let fusion: Box<dyn Fusion> = match kernels {
            Kernels::InMemory if host::holds(options) => Box::new(InMemory::new(shape, size)),
            Kernels::InMemory | Kernels::InPlace | Kernels::Fused => {
                Box::new(AsTensors::new(shape, size, options))
            }
        };
        Self {
            steps,
            samples,
            cells: shape.modalities.iter().map(|modality| cells(modality.hidden)).collect(),
            fusion,
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
        let mut states = Vec::with_capacity(self.cells.len());
        for (m, (modality, place)) in shape.places().enumerate() {
            let rows = batch.features.narrow(2, modality.first, modality.dim);
            let columns = batch.columns.within((modality.first, modality.dim));
            let cells = &mut self.cells[m];
            cells.forward(&Input { rows: &rows, columns: &columns }, &weights.lstm[m..=m]);
            states.push(cells.shape.rows(&cells.states(), 0));
            let output = cells.hidden.get(0).select(1, self.steps - 1);
            self.features.narrow(2, place, modality.hidden).copy_(&output);
        }
        let last = self.features.narrow(2, shape.hidden(), shape.memory);
        self.fusion.forward(&states, weights, masks, &last);
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
        let grads = self.grads.take().unwrap_or_else(|| MfnGradients {
            out_hidden: self.out_hidden.empty_like(),
            cells: self.cells.iter().map(|cells| cells.hidden.empty_like()).collect(),
        });
        weights.out.arrive(doutputs, masks.out.as_ref(), &self.out_hidden, &grads.out_hidden);
        fill(&gradients.out, (&self.features, &self.out_hidden), (&grads.out_hidden, doutputs));
        let dfeatures = grads.out_hidden.bmm(&weights.out.first.weight);

        let dstates: Vec<Tensor> = grads.cells.iter().map(|dcell| dcell.get(0).flatten(1, 2)).collect();
        let dlast = dfeatures.narrow(2, shape.hidden(), shape.memory);
        self.fusion.backward((weights, gradients), masks, &dlast, &dstates);

        for (m, (modality, place)) in shape.places().enumerate() {
            let cells = &mut self.cells[m];
            cells.prepare_gradients();
            let arriving = dfeatures.narrow(2, place, modality.hidden);
            cells.gradients().hidden.get(0).select(1, self.steps - 1).copy_(&arriving);
            cells.backward(&weights.lstm[m..=m], true, Some(&grads.cells[m]));
            let rows = batch.features.narrow(2, modality.first, modality.dim);
            let columns = batch.columns.within((modality.first, modality.dim));
            cells.weight_gradients(&Input { rows: &rows, columns: &columns }, &gradients.lstm[m..=m]);
        }
        self.grads = Some(grads);
    }
}
