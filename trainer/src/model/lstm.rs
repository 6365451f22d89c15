//! Forward and backward passes of LSTM cells over time, written by hand.
//!
//! The input's products for all time steps are one matrix product, and so is every weight's gradient; only
//! the product with the previous output remains in the loop over time. The equations are PyTorch's
//! (`torch.nn.LSTM`): i, f, o = sigmoid(..), g = tanh(..), c = f c' + i g, h = o tanh(c).

use tch::Tensor;

use super::cells::{Cells, SlopeStep, Slopes, Step};

/// The parameters of one direction of one layer, or their gradients: [K, 4H, F], [K, 4H, H], [K, 4H] twice.
pub(super) struct Weights {
    pub(super) input: Tensor,
    pub(super) hidden: Tensor,
    pub(super) input_bias: Tensor,
    pub(super) hidden_bias: Tensor,
}

/// What the cells read: rows [K, T * B, F], and which of their columns are present as (first, count).
pub(super) struct Input<'a> {
    pub(super) rows: &'a Tensor,
    pub(super) columns: &'a [(i64, i64)],
}

impl Input<'_> {
    fn parts(&self) -> impl Iterator<Item = (i64, i64, Tensor)> + '_ {
        self.columns.iter().map(|&(first, count)| (first, count, self.rows.narrow(2, first, count)))
    }
}

impl Cells {
    /// Runs the cells over time; afterwards `hidden` holds their outputs.
    pub(super) fn forward(&self, input: &Input<'_>, weights: &[Weights]) {
        for (d, weights) in (0_i64..).zip(weights) {
            let gates = self.shape.rows(&self.gates, d);
            let bias = (&weights.input_bias + &weights.hidden_bias).unsqueeze(1).expand_as(&gates);
            let mut started = false;
            for (first, count, part) in input.parts() {
                let matrix = weights.input.narrow(2, first, count).transpose(1, 2);
                let base = if started { &gates } else { &bias };
                let _ = base.baddbmm_out(&gates, &part, &matrix);
                started = true;
            }
            if !started {
                gates.shallow_clone().copy_(&bias);
            }
        }
        let recurrent: Vec<Tensor> = weights.iter().map(|w| w.hidden.transpose(1, 2)).collect();
        let mut previous: Option<&Step> = None;
        for now in &self.views {
            if let Some(Step { hidden_matrices, .. }) = previous {
                for ((gates, hidden), matrix) in now.gate_matrices.iter().zip(hidden_matrices).zip(&recurrent)
                {
                    let _ = gates.baddbmm_out(gates, hidden, matrix);
                }
            }
            let _ = now.input_forget.sigmoid_out(&now.input_forget);
            let _ = now.candidate.tanh_out(&now.candidate);
            let _ = now.output.sigmoid_out(&now.output);
            let _ = now.input.mul_out(&now.cell, &now.candidate);
            if let Some(Step { cell, .. }) = previous {
                let _ = now.cell.addcmul_out(&now.cell, &now.forget, cell);
            }
            let _ = now.cell.tanh_out(&now.cell_tanh);
            let _ = now.output.mul_out(&now.hidden, &now.cell_tanh);
            previous = Some(now);
        }
    }

    /// Turns what arrives at the outputs (`slopes.hidden`, filled by the caller: at every step, or with
    /// `only_last` at the last one alone) and at the cell states (`cells` [directions, K, T, B, H], if anything
    /// but the outputs reads them) into the gradient of the gates' preactivations (`slopes.gates`).
    pub(super) fn backward(
        &self,
        slopes: &Slopes,
        weights: &[Weights],
        only_last: bool,
        cells: Option<&Tensor>,
    ) {
        self.prepare(slopes);
        let mut later: Option<(&SlopeStep, &Step)> = None;
        for step in (0..self.shape.steps).rev() {
            let (slope, now) = (&slopes.views[step as usize], &self.views[step as usize]);
            if let Some((later_slope, later_now)) = later {
                let products = slope.hidden_matrices.iter().zip(&later_slope.gate_matrices).zip(weights);
                for ((hidden, gates), weights) in products {
                    if only_last {
                        let _ = gates.bmm_out(hidden, &weights.hidden);
                    } else {
                        let _ = hidden.baddbmm_out(hidden, gates, &weights.hidden);
                    }
                }
                let carried = slopes.carried.mul_out(&slopes.carried, &later_now.forget);
                let _ = carried.addcmul_out(&slopes.carried, &slope.hidden, &slope.cell);
            } else {
                let _ = slope.hidden.mul_out(&slopes.carried, &slope.cell);
            }
            if let Some(cells) = cells {
                let arriving = self.shape.step(cells, step, (0, self.shape.hidden));
                let _ = slopes.carried.add_out(&slopes.carried, &arriving);
            }
            let three = &slope.input_forget_candidate;
            let _ = three.mul_out(three, &slopes.carried.unsqueeze(3));
            let _ = slope.output.mul_out(&slope.output, &slope.hidden);
            later = Some((slope, now));
        }
    }

    /// The factors that do not depend on what arrives, for all time steps at once.
    fn prepare(&self, slopes: &Slopes) {
        let h = self.shape.hidden;
        let gate = |whole: &Tensor, number: i64| whole.narrow(4, number * h, h);
        let [i, f, g, o] = [0, 1, 2, 3].map(|number| gate(&self.gates, number));
        let [di, df, dg, do_] = [0, 1, 2, 3].map(|number| gate(&slopes.gates, number));
        let _ = Tensor::sigmoid_backward_grad_input(&di, &g, &i);
        let _ = Tensor::tanh_backward_grad_input(&dg, &i, &g);
        let _ = Tensor::sigmoid_backward_grad_input(&do_, &self.cell_tanh, &o);
        let _ = Tensor::tanh_backward_grad_input(&slopes.cell, &o, &self.cell_tanh);
        let more = self.shape.steps - 1;
        for d in 0..self.shape.directions {
            // The forget gate multiplies the cell state of the step before: one earlier or one later in time.
            let (now, before) = if d == 0 { (1, 0) } else { (0, 1) };
            let at = |whole: &Tensor, time: i64| whole.get(d).narrow(1, time, more);
            let _ = Tensor::sigmoid_backward_grad_input(&at(&df, now), &at(&self.cell, before), &at(&f, now));
        }
    }

    /// The gradients of the parameters, from `slopes.gates`.
    pub(super) fn weight_gradients(&self, slopes: &Slopes, input: &Input<'_>, gradients: &[Weights]) {
        let more = self.shape.steps - 1;
        for (d, gradient) in (0_i64..).zip(gradients) {
            let rows = self.shape.rows(&slopes.gates, d);
            let transposed = rows.transpose(1, 2);
            let mut end = 0;
            for (first, count, part) in input.parts() {
                zero(&gradient.input, end, first);
                let _ = transposed.bmm_out(&gradient.input.narrow(2, first, count), &part);
                end = first + count;
            }
            zero(&gradient.input, end, gradient.input.size()[2]);

            let (now, before) = if d == 0 { (1, 0) } else { (0, 1) };
            let at = |whole: &Tensor, time: i64| whole.get(d).narrow(1, time, more).flatten(1, 2);
            if more > 0 {
                let gates = at(&slopes.gates, now).transpose(1, 2);
                let _ = gates.bmm_out(&gradient.hidden, &at(&self.hidden, before));
            } else {
                let _ = gradient.hidden.shallow_clone().zero_();
            }
            let _ = rows.sum_intlist_out(&gradient.input_bias, 1_i64, false, rows.kind());
            gradient.hidden_bias.shallow_clone().copy_(&gradient.input_bias);
        }
    }
}

impl Cells {
    /// The gradient with respect to the input's rows, [K, T * B, F]: with `out` None a new tensor, else added to it.
    pub(super) fn input_gradient(&self, slopes: &Slopes, weights: &[Weights], out: Option<Tensor>) -> Tensor {
        let products = (0_i64..).zip(weights).fold(out, |out, (d, weights)| {
            let rows = self.shape.rows(&slopes.gates, d);
            Some(match out {
                None => rows.bmm(&weights.input),
                Some(out) => out.baddbmm_out(&out, &rows, &weights.input),
            })
        });
        products.expect("cells run in at least one direction")
    }
}

/// Columns that were absent have no gradient.
fn zero(gradient: &Tensor, first: i64, end: i64) {
    if end > first {
        let _ = gradient.narrow(2, first, end - first).zero_();
    }
}
