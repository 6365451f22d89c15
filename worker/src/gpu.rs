//! Which GPUs this process may use.

use std::{io, process::Stdio, time::Duration};

use tokio::process::Command;

/// How long `nvidia-smi` may take; it hangs where the driver does.
const PATIENCE: Duration = Duration::from_secs(20);

/// One GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Its name, such as `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// What CUDA_VISIBLE_DEVICES accepts and no reordering changes, such as `GPU-0a1b...`.
    pub uuid: String,
}

/// The GPUs that `nvidia-smi` lists and CUDA_VISIBLE_DEVICES allows, in CUDA's order; none where there is no
/// `nvidia-smi` or it fails, with the reason if that is surprising.
#[must_use]
pub async fn inventory() -> (Vec<Gpu>, Option<String>) {
    let query = ["--query-gpu=index,name,uuid", "--format=csv,noheader"];
    let asked = Command::new("nvidia-smi").args(query).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(output) => output,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer")),
    };
    let listing = match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return (Vec::new(), None),
        Err(error) => return (Vec::new(), Some(format!("nvidia-smi could not be run: {error}"))),
        Ok(output) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stdout);
            let reason = said.lines().next().unwrap_or("no reason given").to_owned();
            return (Vec::new(), Some(format!("nvidia-smi failed: {reason}")));
        }
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
    };
    let allowed = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    (visible(&parse(&listing), allowed.as_deref()), None)
}

fn parse(listing: &str) -> Vec<Gpu> {
    let line = |line: &str| {
        let (_, rest) = line.split_once(',')?;
        let (name, uuid) = rest.rsplit_once(',')?;
        Some(Gpu { name: name.trim().to_owned(), uuid: uuid.trim().to_owned() })
    };
    listing.lines().filter_map(line).collect()
}

/// What is left of `gpus` under CUDA's rule: the list ends at the first entry that names no GPU, and an
/// entry is an index or the beginning of a UUID.
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
