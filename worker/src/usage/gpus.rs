//! What the GPUs of this worker do, as NVIDIA's management library (NVML) says. It is loaded when the worker starts; a host
//! without it has no GPUs to look at.
//!
//! This has not run on a GPU yet: the tests use a library that stands in for NVML.

use std::{collections::BTreeSet, ffi::OsStr};

use colearn_proto::v1::GpuUsage;
use nvml_wrapper::{Device, Nvml};

/// Reads what GPUs do.
pub(crate) trait GpuMeter: Send {
    /// What each of them does now; empty if nothing is known.
    fn read(&self) -> Vec<GpuUsage>;
}

/// A meter of the GPUs with these identifiers. Without GPUs, or without the library, it says nothing.
pub(crate) fn of_this_host(uuids: BTreeSet<String>) -> Box<dyn GpuMeter> {
    if uuids.is_empty() { Box::new(Nothing) } else { open(uuids, None) }
}

fn open(uuids: BTreeSet<String>, library: Option<&OsStr>) -> Box<dyn GpuMeter> {
    let mut builder = Nvml::builder();
    if let Some(library) = library {
        builder.lib_path(library);
    }
    match builder.init() {
        Ok(nvml) => Box::new(Management { nvml, uuids }),
        Err(error) => {
            tracing::debug!(%error, "NVML cannot be used: what the GPUs do is not known");
            Box::new(Nothing)
        }
    }
}

struct Nothing;

impl GpuMeter for Nothing {
    fn read(&self) -> Vec<GpuUsage> {
        Vec::new()
    }
}

struct Management {
    nvml: Nvml,
    uuids: BTreeSet<String>,
}

impl GpuMeter for Management {
    fn read(&self) -> Vec<GpuUsage> {
        let known = |uuid: &String| Some(of(uuid.clone(), &self.nvml.device_by_uuid(uuid.as_str()).ok()?));
        self.uuids.iter().filter_map(known).collect()
    }
}

/// A part of a GPU (MIG) has memory, but NVML does not say how busy it is.
fn of(uuid: String, device: &Device<'_>) -> GpuUsage {
    let memory = device.memory_info().ok();
    GpuUsage {
        uuid,
        name: device.name().unwrap_or_default(),
        busy_percent: device.utilization_rates().ok().map(|rates| rates.gpu),
        memory_bytes: memory.as_ref().map(|memory| memory.total),
        used_bytes: memory.as_ref().map(|memory| memory.used),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A library with the functions that are used here, of one GPU.
    const STAND_IN: &str = r#"
#include <stddef.h>
#include <string.h>
typedef struct { unsigned long long total, free, used; } memory;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned int gpu, memory; } rates;
static int gpu;
int nvmlInit_v2(void) { return 0; }
int nvmlInitWithFlags(unsigned int flags) { (void)flags; return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    if (strcmp(uuid, "GPU-1")) return 6;
    *device = &gpu;
    return 0;
}
int nvmlDeviceGetName(void *device, char *name, unsigned int length) {
    (void)device; (void)length;
    strcpy(name, "Stand-in");
    return 0;
}
int nvmlDeviceGetMemoryInfo(void *device, memory *info) {
    (void)device;
    info->total = 1000; info->free = 700; info->used = 300;
    return 0;
}
int nvmlDeviceGetMemoryInfo_v2(void *device, memory_v2 *info) {
    (void)device;
    info->total = 1000; info->reserved = 0; info->free = 700; info->used = 300;
    return 0;
}
int nvmlDeviceGetUtilizationRates(void *device, rates *rates) {
    (void)device;
    rates->gpu = 42; rates->memory = 7;
    return 0;
}
"#;

    fn gpus(uuids: &[&str]) -> BTreeSet<String> {
        uuids.iter().map(|uuid| (*uuid).to_owned()).collect()
    }

    #[test]
    fn without_the_library_nothing_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libnvidia-ml.so");
        assert_eq!(open(gpus(&["GPU-1"]), Some(library.as_os_str())).read(), []);
        std::fs::write(&library, "no library").unwrap();
        assert_eq!(open(gpus(&["GPU-1"]), Some(library.as_os_str())).read(), []);
        assert_eq!(of_this_host(BTreeSet::new()).read(), []);
    }

    #[test]
    fn a_gpu_that_the_library_knows_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (source, library) = (folder.path().join("nvml.c"), folder.path().join("libnvidia-ml.so"));
        std::fs::write(&source, STAND_IN).unwrap();
        let Ok(built) =
            Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status()
        else {
            eprintln!("skipped: there is no C compiler");
            return;
        };
        assert!(built.success());
        let read = open(gpus(&["GPU-1", "GPU-gone"]), Some(library.as_os_str())).read();
        let expected = GpuUsage {
            uuid: "GPU-1".to_owned(),
            name: "Stand-in".to_owned(),
            busy_percent: Some(42),
            memory_bytes: Some(1000),
            used_bytes: Some(300),
        };
        assert_eq!(read, [expected]);
    }
}
