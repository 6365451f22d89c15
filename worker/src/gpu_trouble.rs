//! Reasons why the GPUs of a host cannot be used.

/// The oldest driver that works with CUDA 13, which PyPI's libtorch is built for.
pub(crate) const OLDEST_DRIVER: u32 = 580;

/// There are GPUs that trainers cannot use. The text names the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpuTrouble {
    /// The GPUs cannot be listed.
    #[error("GPUs cannot be listed: {0}; check the driver, which nvidia-smi must be able to reach")]
    NotListed(String),
    /// The trainer does not report what it can use.
    #[error("this host has {gpus}, but {why}")]
    NotAsked {
        /// The GPUs as text.
        gpus: String,
        /// The error.
        why: String,
    },
    /// This libtorch has no CUDA half.
    #[error(
        "this host has {gpus}, but libtorch has no CUDA half: `make libtorch CUDA=1` fetches it where colearn was built; otherwise let LD_LIBRARY_PATH name the torch/lib folder of a Python that has torch=={libtorch} with CUDA"
    )]
    NoCudaHalf {
        /// The GPUs as text.
        gpus: String,
        /// The needed version.
        libtorch: String,
    },
    /// The CUDA half exists, but something that it needs is missing.
    #[error(
        "this host has {gpus}, but libtorch's CUDA half does not load ({why}): `make libtorch CUDA=1` fetches what it needs where colearn was built; otherwise install torch=={libtorch} with all it requires"
    )]
    NotLoaded {
        /// The GPUs as text.
        gpus: String,
        /// The message of the dynamic linker.
        why: String,
        /// The needed version.
        libtorch: String,
    },
    /// The driver is too old for this libtorch.
    #[error(
        "this host has {gpus}, but its driver {driver} is too old for CUDA 13, which torch {libtorch} is built for: install driver {OLDEST_DRIVER} or later"
    )]
    OldDriver {
        /// The GPUs as text.
        gpus: String,
        /// Version of the driver.
        driver: String,
        /// Version of libtorch.
        libtorch: String,
    },
    /// CUDA finds no device, for an unknown reason.
    #[error(
        "this host has {gpus}, but CUDA finds no device: check that driver {OLDEST_DRIVER} or later is loaded (`nvidia-smi`), that /dev/nvidia* may be opened, and that a container was started with GPUs"
    )]
    NoDevice {
        /// The GPUs as text.
        gpus: String,
    },
}
