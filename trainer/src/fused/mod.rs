//! Fused operators of libtorch that the `tch` crate does not wrap: one kernel on a GPU where plain operations take
//! a dozen. `operators.cpp` is their C interface.
//!
//! Like those of `tch`, these functions panic with libtorch's message when libtorch reports an error. The trainer
//! catches the panic.

use std::{
    ffi::{CStr, c_char},
    ptr,
};

use nix::libc;
use tch::Tensor;

/// at::Tensor.
#[repr(C)]
struct RawTensor {
    _private: [u8; 0],
}

unsafe extern "C" {
    fn colearn_lstm_cell(
        out: *mut *mut RawTensor,
        input_gates: *const RawTensor,
        hidden_gates: *const RawTensor,
        cell: *const RawTensor,
    ) -> *mut c_char;
    fn colearn_lstm_cell_backward(
        out: *mut *mut RawTensor,
        dhidden: *const RawTensor,
        dcell: *const RawTensor,
        cell_before: *const RawTensor,
        cell_now: *const RawTensor,
        gates: *const RawTensor,
    ) -> *mut c_char;
    fn colearn_adam(
        parameters: *const *const RawTensor,
        gradients: *const *const RawTensor,
        means: *const *const RawTensor,
        squares: *const *const RawTensor,
        steps: *const *const RawTensor,
        count: i64,
        learning_rate: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        epsilon: f64,
    ) -> *mut c_char;
}

/// Results of one time step of a cell. All tensors have N rows.
#[derive(Debug)]
pub(crate) struct CellStep {
    /// h, the output: [N, H].
    pub(crate) hidden: Tensor,
    /// c, the state: [N, H].
    pub(crate) cell: Tensor,
    /// The activated gates i, f, g, o: [N, 4H].
    pub(crate) gates: Tensor,
}

/// One time step of `torch.nn.LSTM`'s cell. `input_gates` and `hidden_gates` are the two summands of the gates'
/// preactivations, [N, 4H] each; the biases may be in either. `cell` is the previous state, [N, H].
///
/// On a GPU this is libtorch's fused kernel, which exists for GPUs only. On other devices plain operations compute
/// the same.
pub(crate) fn lstm_cell(input_gates: &Tensor, hidden_gates: &Tensor, cell: &Tensor) -> CellStep {
    if !cell.device().is_cuda() {
        return plain::lstm_cell(input_gates, hidden_gates, cell);
    }
    let mut out = [ptr::null_mut(); 3];
    // SAFETY: the arguments point to tensors that outlive the call; `out` has room for the three results.
    let error =
        unsafe { colearn_lstm_cell(out.as_mut_ptr(), raw(input_gates), raw(hidden_gates), raw(cell)) };
    check(error);
    let [hidden, cell, gates] = out.map(owned);
    CellStep { hidden, cell, gates }
}

/// The gradients of the preactivations [N, 4H] and of the previous cell state [N, H], from the gradients of the
/// output and of the state (None if only the output reads the state).
pub(crate) fn lstm_cell_backward(
    dhidden: &Tensor,
    dcell: Option<&Tensor>,
    cell_before: &Tensor,
    step: &CellStep,
) -> (Tensor, Tensor) {
    if !dhidden.device().is_cuda() {
        return plain::lstm_cell_backward(dhidden, dcell, cell_before, step);
    }
    let mut out = [ptr::null_mut(); 2];
    // SAFETY: as in `lstm_cell`; the gradient of the state may be null.
    let error = unsafe {
        colearn_lstm_cell_backward(
            out.as_mut_ptr(),
            raw(dhidden),
            dcell.map_or(ptr::null(), raw),
            raw(cell_before),
            raw(&step.cell),
            raw(&step.gates),
        )
    };
    check(error);
    let [dgates, dbefore] = out.map(owned);
    (dgates, dbefore)
}

/// Constants for all tensors of one call of [`adam`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AdamConstants {
    pub(crate) learning_rate: f64,
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) weight_decay: f64,
    pub(crate) epsilon: f64,
}

/// The tensors of one parameter tensor: the parameter, its gradient, the running means of the gradient and of its
/// square, and the number of steps so far (a single-precision number on the same device).
pub(crate) type AdamTensors = [Tensor; 5];

/// One step of Adam, in place, equal to `torch.optim.Adam(fused=True)`, on any device.
pub(crate) fn adam(tensors: &[AdamTensors], constants: AdamConstants) {
    let column = |number: usize| -> Vec<*const RawTensor> {
        tensors.iter().map(|tensors| raw(&tensors[number])).collect()
    };
    let [parameters, gradients, means, squares, steps] = [0, 1, 2, 3, 4].map(column);
    let AdamConstants { learning_rate, beta1, beta2, weight_decay, epsilon } = constants;
    // SAFETY: each list has one pointer per tensor. The tensors outlive the call, and nothing else uses them during
    // the call.
    let error = unsafe {
        colearn_adam(
            parameters.as_ptr(),
            gradients.as_ptr(),
            means.as_ptr(),
            squares.as_ptr(),
            steps.as_ptr(),
            tensors.len() as i64,
            learning_rate,
            beta1,
            beta2,
            weight_decay,
            epsilon,
        )
    };
    check(error);
}

fn raw(tensor: &Tensor) -> *const RawTensor {
    tensor.as_ptr().cast()
}

fn owned(tensor: *mut RawTensor) -> Tensor {
    // SAFETY: the pointer was made by `new at::Tensor` for this call, and only this value owns it.
    unsafe { Tensor::from_ptr(tensor.cast()) }
}

fn check(error: *mut c_char) {
    if error.is_null() {
        return;
    }
    // SAFETY: the pointer is a C string that `strdup` made for this call.
    let message = unsafe {
        let message = CStr::from_ptr(error).to_string_lossy().into_owned();
        libc::free(error.cast());
        message
    };
    panic!("{message}");
}

/// The same computations in plain operations: for devices without the kernel, and for tests.
mod plain {
    use tch::Tensor;

    use super::CellStep;

    pub(super) fn lstm_cell(input_gates: &Tensor, hidden_gates: &Tensor, cell: &Tensor) -> CellStep {
        let parts = (input_gates + hidden_gates).chunk(4, 1);
        let [i, f, o] = [&parts[0], &parts[1], &parts[3]].map(Tensor::sigmoid);
        let g = parts[2].tanh();
        let cell = &f * cell + &i * &g;
        CellStep { hidden: &o * cell.tanh(), cell, gates: Tensor::cat(&[i, f, g, o], 1) }
    }

    pub(super) fn lstm_cell_backward(
        dhidden: &Tensor,
        dcell: Option<&Tensor>,
        cell_before: &Tensor,
        step: &CellStep,
    ) -> (Tensor, Tensor) {
        let parts = step.gates.chunk(4, 1);
        let [i, f, g, o] = [&parts[0], &parts[1], &parts[2], &parts[3]];
        let cell_tanh = step.cell.tanh();
        let arriving = Tensor::tanh_backward(&(dhidden * o), &cell_tanh);
        let arriving = dcell.map_or_else(|| arriving.shallow_clone(), |dcell| &arriving + dcell);
        let dgates = [
            Tensor::sigmoid_backward(&(&arriving * g), i),
            Tensor::sigmoid_backward(&(&arriving * cell_before), f),
            Tensor::tanh_backward(&(&arriving * i), g),
            Tensor::sigmoid_backward(&(dhidden * cell_tanh), o),
        ];
        (Tensor::cat(&dgates, 1), arriving * f)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    /// libtorch has no such kernel for the CPU. Its error arrives as a panic with the message, and the process leaks
    /// nothing.
    #[test]
    fn what_libtorch_refuses_is_a_panic_with_its_message() {
        let tensor = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        let mut out = [ptr::null_mut(); 3];
        // SAFETY: as in `lstm_cell`.
        let error = unsafe { colearn_lstm_cell(out.as_mut_ptr(), raw(&tensor), raw(&tensor), raw(&tensor)) };
        let refused = std::panic::catch_unwind(|| check(error)).unwrap_err();
        let message = refused.downcast_ref::<String>().unwrap();
        assert!(message.contains("_thnn_fused_lstm_cell") && message.contains("CPU"), "{message}");
        assert!(out.iter().all(|out| out.is_null()));
    }
}
