//! The memory and its two gates. Besides the LSTMs, this is the only part that depends on its own earlier values.
//!
//! gamma1, gamma2 = sigmoid(perceptron([attended | previous memory])), memory = gamma1 * previous memory + gamma2 *
//! candidate. The product of the gates' first layers with `attended` is computed once for all time steps.

use tch::{Device, Kind, Tensor};

use crate::model::perceptron::Perceptron;

/// Tensors of all time steps, [K, T * B, width], for the forward and the backward pass.
pub(super) struct Memory {
    steps: i64,
    samples: i64,
    gates: [Gate; 2],
    values: Tensor,
    grads: Option<Gradients>,
}

/// Values after the dropout, and after the sigmoid.
struct Gate {
    hidden: Tensor,
    value: Tensor,
}

/// The gradients of the gates' preactivations (`hidden`: first layer, `value`: second layer), and the gradient that
/// arrives at the memory.
struct Gradients {
    gates: [Gate; 2],
    values: Tensor,
}

/// A gate's weights, mask and values.
type Part<'a> = (&'a Perceptron, Option<&'a Tensor>, &'a Gate);

impl Memory {
    /// `size` is K, T, B; `widths` are the widths of the gates' hidden layers.
    pub(super) fn new(size: [i64; 3], widths: [i64; 2], memory: i64, options: (Kind, Device)) -> Self {
        let [members, steps, samples] = size;
        let tensor = |width: i64| Tensor::empty([members, steps * samples, width], options);
        let gates = widths.map(|width| Gate { hidden: tensor(width), value: tensor(memory) });
        Self { steps, samples, gates, values: tensor(memory), grads: None }
    }

    /// Runs over time. `attended` [K, T * B, A]; `candidate` [K, T * B, M].
    pub(super) fn forward(
        &self,
        attended: &Tensor,
        candidate: &Tensor,
        weights: &[Perceptron; 2],
        masks: &[Option<Tensor>; 2],
    ) {
        let width = attended.size()[2];
        let parts = self.parts(weights, masks);
        for (weights, _, gate) in parts {
            weights.first.columns((0, width)).forward(attended, &gate.hidden);
        }
        let recurrent = weights.each_ref().map(|w| memory_columns(w, width).transpose(1, 2));
        for step in 0..self.steps {
            let at = |whole: &Tensor| self.at(whole, step);
            let before = (step > 0).then(|| self.at(&self.values, step - 1));
            for ((weights, mask, gate), matrix) in parts.iter().zip(&recurrent) {
                let (hidden, mut value) = (at(&gate.hidden), at(&gate.value));
                if let Some(before) = &before {
                    let _ = hidden.baddbmm_out(&hidden, before, matrix);
                }
                weights.finish(mask.map(at).as_ref(), &hidden, &value);
                let _ = value.sigmoid_();
            }
            let [keep, take] = self.gates.each_ref().map(|gate| at(&gate.value));
            let values = at(&self.values);
            let _ = take.mul_out(&values, &at(candidate));
            if let Some(before) = &before {
                let _ = values.addcmul_out(&values, &keep, before);
            }
        }
    }

    /// Fills the gates' gradients, `dattended` [K, T * B, A] and `dcandidate` [K, T * B, M] (after its tanh), from
    /// the gradient of the last memory [K, B, M].
    #[expect(clippy::too_many_arguments, reason = "each is one of the tensors that the equations name")]
    pub(super) fn backward(
        &mut self,
        attended: &Tensor,
        candidate: &Tensor,
        weights: &[Perceptron; 2],
        gradients: &[Perceptron; 2],
        masks: &[Option<Tensor>; 2],
        dlast: &Tensor,
        dattended: &Tensor,
        dcandidate: &Tensor,
    ) {
        let grads = self.grads.take().unwrap_or_else(|| self.new_gradients());
        let width = attended.size()[2];
        let parts = self.parts(weights, masks);
        let [keep, take] = self.gates.each_ref().map(|gate| &gate.value);
        // Factors that do not depend on the arriving gradients. Before the first step there is no memory to keep.
        let (before, now) = (self.earlier(&self.values), self.later(&grads.gates[0].value));
        let _ = self.at(&grads.gates[0].value, 0).zero_();
        let _ = Tensor::sigmoid_backward_grad_input(&now, &before, &self.later(keep));
        let _ = Tensor::sigmoid_backward_grad_input(&grads.gates[1].value, candidate, take);

        self.at(&grads.values, self.steps - 1).copy_(dlast);
        for step in (0..self.steps).rev() {
            let at = |whole: &Tensor| self.at(whole, step);
            let dvalues = at(&grads.values);
            for ((weights, mask, gate), grad) in parts.iter().zip(&grads.gates) {
                let dvalue = at(&grad.value);
                let _ = dvalue.mul_out(&dvalue, &dvalues);
                weights.arrive(&dvalue, mask.map(at).as_ref(), &at(&gate.hidden), &at(&grad.hidden));
            }
            if step > 0 {
                let before = self.at(&grads.values, step - 1);
                let _ = dvalues.mul_out(&before, &at(keep));
                for ((weights, ..), grad) in parts.iter().zip(&grads.gates) {
                    let matrix = memory_columns(weights, width);
                    let _ = before.baddbmm_out(&before, &at(&grad.hidden), &matrix);
                }
            }
        }

        let _ = dattended.shallow_clone().zero_();
        let _ = grads.values.mul_out(dcandidate, take);
        let _ = Tensor::tanh_backward_grad_input(dcandidate, dcandidate, candidate);
        for (((weights, _, gate), grad), gradients) in parts.iter().zip(&grads.gates).zip(gradients) {
            gradients.second.fill(&grad.value, &gate.hidden);
            gradients.first.columns((0, width)).fill(&grad.hidden, attended);
            let place = memory_columns(gradients, width);
            let later = self.later(&grad.hidden).transpose(1, 2);
            let _ = later.bmm_out(&place, &self.earlier(&self.values));
            let first = weights.first.weight.narrow(2, 0, width);
            let _ = dattended.baddbmm_out(dattended, &grad.hidden, &first);
        }
        self.grads = Some(grads);
    }

    /// The memory after the last step, [K, B, M].
    pub(super) fn last(&self) -> Tensor {
        self.at(&self.values, self.steps - 1)
    }

    fn new_gradients(&self) -> Gradients {
        let gates = self
            .gates
            .each_ref()
            .map(|gate| Gate { hidden: gate.hidden.empty_like(), value: gate.value.empty_like() });
        Gradients { gates, values: self.values.empty_like() }
    }

    fn parts<'a>(&'a self, weights: &'a [Perceptron; 2], masks: &'a [Option<Tensor>; 2]) -> [Part<'a>; 2] {
        [0, 1].map(|gate: usize| (&weights[gate], masks[gate].as_ref(), &self.gates[gate]))
    }

    /// The rows of one step.
    fn at(&self, whole: &Tensor, step: i64) -> Tensor {
        whole.narrow(1, step * self.samples, self.samples)
    }

    /// The rows of all steps but the last.
    fn earlier(&self, whole: &Tensor) -> Tensor {
        whole.narrow(1, 0, (self.steps - 1) * self.samples)
    }

    /// The rows of all steps but the first.
    fn later(&self, whole: &Tensor) -> Tensor {
        whole.narrow(1, self.samples, (self.steps - 1) * self.samples)
    }
}

/// The columns of a gate's first weight, or of its gradient, that multiply the memory: [K, W, M].
fn memory_columns(gate: &Perceptron, attended: i64) -> Tensor {
    let weight = &gate.first.weight;
    weight.narrow(2, attended, weight.size()[2] - attended)
}
