//! Lists the GPUs that this process may use.

use std::{
    io,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::process::Command;

use super::gpu_trouble::GpuTrouble;

/// Time limit for `nvidia-smi`, which hangs if the driver does.
const PATIENCE: Duration = Duration::from_secs(20);

/// One GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gpu {
    /// Its name, such as `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// The identifier for CUDA_VISIBLE_DEVICES that no reordering changes, such as `GPU-0a1b...`.
    pub uuid: String,
}

/// The output of `nvidia-smi` without a GPU; in some versions its exit code is not 0.
const NO_DEVICES: &str = "No devices were found";

/// The GPUs that `nvidia-smi` lists and CUDA_VISIBLE_DEVICES allows, in CUDA's order; none without `nvidia-smi`.
///
/// # Errors
/// If there seem to be GPUs that cannot be listed.
pub(crate) async fn inventory() -> Result<Vec<Gpu>, GpuTrouble> {
    let listing = match ask("index,name,uuid").await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return unlisted(Path::new("/dev")).map_or(Ok(Vec::new()), Err);
        }
        Err(error) => return Err(GpuTrouble::NotListed(format!("nvidia-smi could not be run: {error}"))),
        Ok(output) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stdout);
            let reason = said.lines().next().unwrap_or("no reason given");
            if reason.starts_with(NO_DEVICES) {
                return Ok(Vec::new());
            }
            return Err(GpuTrouble::NotListed(format!("nvidia-smi failed: {reason}")));
        }
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
    };
    let allowed = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    Ok(visible(&parse(&listing), allowed.as_deref()))
}

/// The driver's version, such as `580.65.06`; `None` if it is unknown.
pub(crate) async fn driver() -> Option<String> {
    let output = ask("driver_version").await.ok()?;
    let listing = String::from_utf8_lossy(&output.stdout);
    let version = listing.lines().next()?.trim();
    version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
}

/// Queries fields from `nvidia-smi`.
async fn ask(fields: &str) -> io::Result<Output> {
    let query = [format!("--query-gpu={fields}"), "--format=csv,noheader".to_owned()];
    let asked = Command::new("nvidia-smi").args(query).stdin(Stdio::null()).kill_on_drop(true).output();
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(output) => output,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer")),
    }
}

/// The error without `nvidia-smi`: a container may have the device without the program.
fn unlisted(devices: &Path) -> Option<GpuTrouble> {
    let device = devices.join("nvidia0");
    let text = || format!("{} exists, but nvidia-smi is not on the PATH", device.display());
    device.exists().then(|| GpuTrouble::NotListed(text()))
}

fn parse(listing: &str) -> Vec<Gpu> {
    let line = |line: &str| {
        let (_, rest) = line.split_once(',')?;
        let (name, uuid) = rest.rsplit_once(',')?;
        Some(Gpu { name: name.trim().to_owned(), uuid: uuid.trim().to_owned() })
    };
    listing.lines().filter_map(line).collect()
}

/// The visible part of `gpus` under CUDA's rule: the list ends at the first entry that names no GPU, and an entry is
/// an index or the beginning of a UUID.
fn visible(gpus: &[Gpu], allowed: Option<&str>) -> Vec<Gpu> {
    let Some(allowed) = allowed else { return gpus.to_vec() };
    let named = |entry: &str| {
        let entry = entry.trim();
        if entry.starts_with("MIG-") {
            return Some(Gpu { name: "NVIDIA MIG instance".to_owned(), uuid: entry.to_owned() });
        }
        match entry.parse::<usize>() {
            Ok(index) => gpus.get(index).cloned(),
            Err(_) if entry.starts_with("GPU-") => {
                gpus.iter().find(|gpu| gpu.uuid.starts_with(entry)).cloned()
            }
            Err(_) => None,
        }
    };
    allowed.split(',').map_while(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "0, NVIDIA H100 80GB HBM3, GPU-aaaa\n1, NVIDIA L4, GPU-bbbb\n";

    fn uuids(allowed: Option<&str>) -> Vec<String> {
        visible(&parse(LISTING), allowed).into_iter().map(|gpu| gpu.uuid).collect()
    }

    #[test]
    fn listings_are_read() {
        assert_eq!(parse(LISTING)[0].name, "NVIDIA H100 80GB HBM3");
        assert_eq!(parse("No devices were found\n"), []);
    }

    #[test]
    fn a_device_that_nothing_lists_is_noticed() {
        let devices = tempfile::tempdir().unwrap();
        assert_eq!(unlisted(devices.path()), None);
        std::fs::write(devices.path().join("nvidia0"), "").unwrap();
        assert!(unlisted(devices.path()).unwrap().to_string().contains("nvidia-smi is not on the PATH"));
    }

    #[test]
    fn cuda_visible_devices_is_respected() {
        assert_eq!(uuids(None), ["GPU-aaaa", "GPU-bbbb"]);
        assert_eq!(uuids(Some("1,0")), ["GPU-bbbb", "GPU-aaaa"]);
        assert_eq!(uuids(Some("GPU-bb")), ["GPU-bbbb"]);
        assert_eq!(uuids(Some("MIG-1234")), ["MIG-1234"]);
        for nothing in ["", "-1", "NoDevFiles"] {
            assert!(uuids(Some(nothing)).is_empty(), "{nothing}");
        }
        assert_eq!(uuids(Some("0,7,1")), ["GPU-aaaa"]);
    }
}
