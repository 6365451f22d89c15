//! Why the GPUs of a host can not be used.

/// The driver that CUDA 13 needs, which the libtorch of PyPI is built for.
pub(crate) const OLDEST_DRIVER: u32 = 580;

/// There are GPUs, and trainers can not use them. The text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpuTrouble {
    /// They can not be listed.
    #[error("GPUs can not be listed: {0}; check the driver, which nvidia-smi must be able to reach")]
    NotListed(String),
    /// The trainer does not say what it can use.
    #[error("this host has {gpus}, but {why}")]
    NotAsked {
        /// In words.
        gpus: String,
        /// What went wrong.
        why: String,
    },
    /// This libtorch is one for CPUs.
    #[error(
        "this host has {gpus}, but libtorch has no CUDA half: `make libtorch CUDA=1` fetches it where colearn was built; otherwise let LD_LIBRARY_PATH name the torch/lib folder of a Python that has torch=={libtorch} with CUDA"
    )]
    NoCudaHalf {
        /// In words.
        gpus: String,
        /// The version that is needed.
        libtorch: String,
    },
    /// The CUDA half is there and lacks something.
    #[error(
        "this host has {gpus}, but libtorch's CUDA half does not load ({why}): `make libtorch CUDA=1` fetches what it needs where colearn was built; otherwise install torch=={libtorch} with all it requires"
    )]
    NotLoaded {
        /// In words.
        gpus: String,
        /// In the dynamic linker's words.
        why: String,
        /// The version that is needed.
        libtorch: String,
    },
    /// The driver is too old for this libtorch.
    #[error(
        "this host has {gpus}, but its driver {driver} is too old for CUDA 13, which torch {libtorch} is built for: install driver {OLDEST_DRIVER} or later"
    )]
    OldDriver {
        /// In words.
        gpus: String,
        /// Its version.
        driver: String,
        /// The version of libtorch.
        libtorch: String,
    },
    /// CUDA sees no device, for whatever reason.
    #[error(
        "this host has {gpus}, but CUDA finds no device: check that driver {OLDEST_DRIVER} or later is loaded (`nvidia-smi`), that /dev/nvidia* may be opened, and that a container was started with GPUs"
    )]
    NoDevice {
        /// In words.
        gpus: String,
    },
}
