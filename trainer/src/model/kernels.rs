//! The seam between what suits a CPU and what suits a GPU.

use tch::Device;

/// How the inner loops of training are computed: the recurrent passes, dropout masks and the optimizer's step.
/// Both ways give the same numbers up to rounding (masks: exactly), on any device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// Many small operations in place, and loops over host memory: for the CPU.
    InPlace,
    /// Few large operations on tensors, fused where libtorch has a kernel for that, and nothing that waits for the
    /// device: for GPUs.
    Fused,
}

impl Kernels {
    /// Those for a device.
    #[must_use]
    pub fn of(device: Device) -> Self {
        if device == Device::Cpu { Self::InPlace } else { Self::Fused }
    }
}
