//! The choice between computations that suit a CPU and those that suit a GPU.

use tch::Device;

use crate::host;

/// How the inner loops of training are computed: the recurrent passes, dropout masks and the optimizer's step.
/// All ways give the same numbers up to rounding (masks: exactly), on any device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// Loops over host memory, and the products of libtorch's BLAS called directly. For CPUs that have what the loops
    /// need; tensors of other kinds and devices are computed as by `InPlace`.
    InMemory,
    /// Many small operations in place, and loops over host memory for masks and optimizer. For all CPUs.
    InPlace,
    /// Few large operations on tensors, fused where libtorch has a kernel. The host does not wait for the device. For
    /// GPUs.
    Fused,
}

impl Kernels {
    /// The kernels that suit a device.
    #[must_use]
    pub fn of(device: Device) -> Self {
        match device {
            Device::Cpu if host::is_supported() => Self::InMemory,
            Device::Cpu => Self::InPlace,
            _ => Self::Fused,
        }
    }
}
