//! Checks whether trainers can use the GPUs of a host with their libtorch, and names the remedy if not.

use colearn_trainer_protocol::Devices;

use super::{
    gpu::{self, Gpu},
    gpu_trouble::{GpuTrouble, OLDEST_DRIVER},
    launcher::Launcher,
};

/// The GPUs of this host that trainers can use; empty if there are none, or if none is visible.
///
/// # Errors
/// If there are GPUs that cannot be used.
pub(crate) async fn usable_gpus(launcher: &Launcher) -> Result<Vec<Gpu>, GpuTrouble> {
    let gpus = gpu::inventory().await?;
    if !gpus.is_empty() {
        let devices = launcher.devices().await;
        let devices = devices
            .map_err(|error| GpuTrouble::NotAsked { gpus: in_words(&gpus), why: error.to_string() })?;
        let driver = if devices.cuda_devices == 0 { gpu::driver().await } else { None };
        check(&gpus, &devices, driver.as_deref())?;
    }
    Ok(gpus)
}

/// Checks whether these GPUs (at least one) can be used. `driver` is the version of the driver, if known.
fn check(gpus: &[Gpu], devices: &Devices, driver: Option<&str>) -> Result<(), GpuTrouble> {
    let libtorch = devices.libtorch.clone();
    if let Some(why) = &devices.cuda_error {
        return Err(GpuTrouble::NotLoaded { gpus: in_words(gpus), why: why.clone(), libtorch });
    }
    if devices.cuda_library.is_none() {
        return Err(GpuTrouble::NoCudaHalf { gpus: in_words(gpus), libtorch });
    }
    if devices.cuda_devices > 0 {
        return Ok(());
    }
    let major = driver.and_then(|driver| driver.split('.').next()?.parse::<u32>().ok());
    Err(match (driver, major) {
        (Some(driver), Some(major)) if major < OLDEST_DRIVER => {
            GpuTrouble::OldDriver { gpus: in_words(gpus), driver: driver.to_owned(), libtorch }
        }
        _ => GpuTrouble::NoDevice { gpus: in_words(gpus) },
    })
}

/// A text such as `2 GPUs (NVIDIA H100)`.
fn in_words(gpus: &[Gpu]) -> String {
    let mut names: Vec<&str> = gpus.iter().map(|gpu| gpu.name.as_str()).collect();
    names.dedup();
    let gpus = if gpus.len() == 1 { "1 GPU".to_owned() } else { format!("{} GPUs", gpus.len()) };
    format!("{gpus} ({})", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpus(count: usize) -> Vec<Gpu> {
        vec![Gpu { name: "NVIDIA H100".to_owned(), uuid: "GPU-a".to_owned() }; count]
    }

    fn devices(library: Option<&str>, error: Option<&str>, count: u32) -> Devices {
        Devices {
            libtorch: "2.11.0".to_owned(),
            cuda_library: library.map(str::to_owned),
            cuda_error: error.map(str::to_owned),
            cuda_devices: count,
        }
    }

    fn said(devices: &Devices, driver: Option<&str>) -> String {
        check(&gpus(2), devices, driver).unwrap_err().to_string()
    }

    #[test]
    fn what_is_in_the_way_is_said_with_what_to_do() {
        const LIBRARY: Option<&str> = Some("/lib/libtorch_cuda.so");
        let text = said(&devices(None, None, 0), Some("580.65.06"));
        assert!(
            text.starts_with("this host has 2 GPUs (NVIDIA H100), but libtorch has no CUDA half"),
            "{text}"
        );
        assert!(text.contains("`make libtorch CUDA=1`") && text.contains("torch==2.11.0"), "{text}");
        let text = said(&devices(LIBRARY, Some("libcudnn.so.9: cannot open"), 0), None);
        assert!(
            text.contains("does not load (libcudnn.so.9: cannot open): `make libtorch CUDA=1`"),
            "{text}"
        );
        let text = said(&devices(LIBRARY, None, 0), Some("535.104.05"));
        assert!(
            text.contains("its driver 535.104.05 is too old") && text.contains("driver 580 or later"),
            "{text}"
        );
        for driver in [Some("580.65.06"), Some("garbage"), None] {
            let text = said(&devices(LIBRARY, None, 0), driver);
            assert!(text.contains("CUDA finds no device"), "{text}");
        }
        assert_eq!(check(&gpus(1), &devices(LIBRARY, None, 1), None), Ok(()));
    }

    #[test]
    fn one_gpu_is_one() {
        assert_eq!(in_words(&gpus(1)), "1 GPU (NVIDIA H100)");
    }
}
