//! The products of the cells' input with its weights, for all time steps at once.

use std::ops::Range;

use tch::Tensor;

use super::cells::Input;
use crate::host::matrix::{Matrix, MatrixMut, Output};

/// The products with the input in one direction, for all members.
pub(super) trait InputProducts {
    /// Fills `gates` [K, T * B, 4H] with the input times the transposed weights [K, 4H, F].
    fn forward(&self, input: &Input<'_>, weights: &Tensor, gates: &Tensor);

    /// Fills the gradient of the weights [K, 4H, F], given that of the gates [K, T * B, 4H].
    fn gradient(&self, input: &Input<'_>, dgates: &Tensor, gradient: &Tensor);
}

/// For every device and kind: one product for all members, for each range of columns that a member has. A product with
/// zeros adds exactly nothing.
pub(super) struct AsTensors;

impl InputProducts for AsTensors {
    fn forward(&self, input: &Input<'_>, weights: &Tensor, gates: &Tensor) {
        let mut started = false;
        for (first, count) in input.columns.of_any() {
            let part = input.rows.narrow(2, first, count);
            let matrix = weights.narrow(2, first, count).transpose(1, 2);
            let _ = match started {
                false => part.bmm_out(gates, &matrix),
                true => gates.baddbmm_out(gates, &part, &matrix),
            };
            started = true;
        }
        if !started {
            let _ = gates.shallow_clone().zero_();
        }
    }

    fn gradient(&self, input: &Input<'_>, dgates: &Tensor, gradient: &Tensor) {
        let transposed = dgates.transpose(1, 2);
        let mut end = 0;
        for (first, count) in input.columns.of_any() {
            zero(gradient, 2, end..first);
            let part = input.rows.narrow(2, first, count);
            let _ = transposed.bmm_out(&gradient.narrow(2, first, count), &part);
            end = first + count;
        }
        zero(gradient, 2, end..gradient.size()[2]);
    }
}

/// For CPUs in single precision: a member's columns that touch are multiplied at once, and those that only others have
/// are left out. So the rounding depends on the member alone.
pub(super) struct InMemory;

impl InputProducts for InMemory {
    fn forward(&self, input: &Input<'_>, weights: &Tensor, gates: &Tensor) {
        for member in 0..gates.size()[0] {
            let of_member = [input.rows, weights, gates].map(|whole| whole.get(member));
            let [rows, weights, gates] = &of_member;
            let mut output = Output::Fill;
            for (first, count) in input.columns.of(member as usize) {
                let columns = first as usize..(first + count) as usize;
                // SAFETY: the input and the parameters are not changed during this pass, and nothing else uses the
                // gates, which are a separate tensor.
                unsafe {
                    let weights = Matrix::of(weights).columns(columns.clone());
                    let rows = Matrix::of(rows).columns(columns);
                    MatrixMut::of(gates).product(output, rows, weights.transposed());
                }
                output = Output::Add;
            }
            if output == Output::Fill {
                let _ = gates.shallow_clone().zero_();
            }
        }
    }

    fn gradient(&self, input: &Input<'_>, dgates: &Tensor, gradient: &Tensor) {
        for member in 0..dgates.size()[0] {
            let of_member = [input.rows, dgates, gradient].map(|whole| whole.get(member));
            let [rows, dgates, gradient] = &of_member;
            let mut end = 0;
            for (first, count) in input.columns.of(member as usize) {
                zero(gradient, 1, end..first);
                let columns = first as usize..(first + count) as usize;
                // SAFETY: as above; the gradient is a part of a tensor that is used by nothing else.
                unsafe {
                    let rows = Matrix::of(rows).columns(columns.clone());
                    let place = MatrixMut::of(gradient).columns(columns);
                    place.product(Output::Fill, Matrix::of(dgates).transposed(), rows);
                }
                end = first + count;
            }
            zero(gradient, 1, end..gradient.size()[1]);
        }
    }
}

/// Sets the gradient of absent columns to zero; `axis` is that of the columns.
fn zero(gradient: &Tensor, axis: i64, columns: Range<i64>) {
    if !columns.is_empty() {
        let _ = gradient.narrow(axis, columns.start, columns.end - columns.start).zero_();
    }
}
