//! The choice between computations that suit a CPU and those that suit a GPU.

use tch::Device;

/// How the inner loops of training are computed: the recurrent passes, dropout masks and the optimizer's step.
/// Both ways give the same numbers up to rounding (masks: exactly), on any device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// Many small operations in place, and loops over host memory. For CPUs.
    InPlace,
    /// Few large operations on tensors, fused where libtorch has a kernel. The host does not wait for the device. For
    /// GPUs.
    Fused,
}

impl Kernels {
    /// The kernels that suit a device.
    #[must_use]
    pub fn of(device: Device) -> Self {
        if device == Device::Cpu { Self::InPlace } else { Self::Fused }
    }
}
