//! Computations on tensors in host memory, without a call into libtorch for each operation.
//!
//! The operations of a training step on a CPU take microseconds, about as long as libtorch needs to begin one. These
//! modules compute several operations in one pass over memory ([`vector`]) and call MKL's matrix product directly
//! ([`matrix`]). They take single precision only. Where something is missing (another BLAS, an old processor, double
//! precision), the same is computed by operations on tensors.

pub(crate) mod matrix;
pub(crate) mod vector;

use tch::{Device, Kind, Tensor};

/// Whether this host has what the computations need.
pub(crate) fn is_supported() -> bool {
    matrix::is_supported() && vector::is_supported()
}

/// Whether tensors of this kind and device can be used as memory.
pub(crate) fn holds((kind, device): (Kind, Device)) -> bool {
    (kind, device) == (Kind::Float, Device::Cpu)
}

/// The values of a contiguous tensor in host memory.
///
/// # Safety
/// Nothing may change the values during the lifetime of the slice.
///
/// # Panics
/// If the tensor is not contiguous, not in host memory, or not of single precision.
pub(crate) unsafe fn values(tensor: &Tensor) -> &[f32] {
    // SAFETY: `start` checks that there are as many floats; the caller excludes changes.
    unsafe { std::slice::from_raw_parts(start(tensor), tensor.numel()) }
}

/// The values of a contiguous tensor in host memory, to change them.
///
/// # Safety
/// Nothing else may use the values during the lifetime of the slice.
///
/// # Panics
/// As [`values`].
#[expect(clippy::mut_from_ref, reason = "a tensor is a reference to its values, which others share")]
pub(crate) unsafe fn values_mut(tensor: &Tensor) -> &mut [f32] {
    // SAFETY: `start` checks that there are as many floats; the caller excludes other uses.
    unsafe { std::slice::from_raw_parts_mut(start(tensor), tensor.numel()) }
}

fn start(tensor: &Tensor) -> *mut f32 {
    assert!(holds((tensor.kind(), tensor.device())) && tensor.is_contiguous(), "the tensor is plain memory");
    tensor.data_ptr().cast()
}
