//! The device that a trainer uses.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use colearn_core::text::counted;
use colearn_trainer_protocol::{
    Devices,
    environment::{entry, environment},
};
use tch::Device;

use crate::model::Kernels;

/// The version of libtorch that `tch` is made for.
const LIBTORCH: &str = "2.11.0";

/// A device that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The text is neither `cpu` nor `cuda:N`.
    #[error("`{0}` is not a device: use `cpu` or `cuda:N`")]
    Unknown(String),
    /// There is no such GPU, or this libtorch cannot use it.
    #[error(
        "`{0}` can not be used: this libtorch sees {count}; its folder needs libtorch_cuda.so (`make libtorch CUDA=1`), and the host a driver",
        count = counted(u64::try_from(*.1).unwrap_or(0), "CUDA device")
    )]
    Absent(String, i64),
}

/// A usable device and its name for people.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingDevice {
    /// The device as libtorch knows it.
    pub device: Device,
    /// The kernels that suit the device; others give the same numbers up to rounding.
    pub kernels: Kernels,
    /// A name such as `cpu x2` or `cuda:0`.
    pub name: String,
}

impl TrainingDevice {
    fn new(device: Device, name: String) -> Self {
        Self { device, kernels: Kernels::of(device), name }
    }

    /// Finds the device for the text `cpu` or `cuda:N`. `threads` appears in the name only.
    ///
    /// # Errors
    /// If the text has another form or the device is not available.
    pub fn find(text: &str, threads: u32) -> Result<Self, DeviceError> {
        if text == "cpu" {
            return Ok(Self::new(Device::Cpu, format!("cpu x{threads}")));
        }
        let number = text.strip_prefix("cuda:").and_then(|number| number.parse::<u16>().ok());
        let number = number.ok_or_else(|| DeviceError::Unknown(text.to_owned()))?;
        if let Err(error) = load_cuda() {
            eprintln!("warning: {error}");
        }
        let count = cuda_devices();
        if i64::from(number) >= count {
            return Err(DeviceError::Absent(text.to_owned(), count));
        }
        Ok(Self::new(Device::Cuda(usize::from(number)), text.to_owned()))
    }

    /// What results on this device are computed with, see [`environment`].
    #[must_use]
    pub fn environment(&self, threads: u32) -> BTreeMap<String, String> {
        let device = if self.device == Device::Cpu { "cpu" } else { &self.name };
        let mut known = environment(device, threads);
        known.extend(entry("libtorch", LIBTORCH));
        known
    }
}

/// What libtorch can do on this host.
#[must_use]
pub fn inventory() -> Devices {
    let (cuda_library, cuda_error) = match load_cuda() {
        Ok(library) => (library, None),
        Err(CudaLibraryError { library, why }) => (Some(library), Some(why)),
    };
    Devices {
        libtorch: LIBTORCH.to_owned(),
        cuda_library: cuda_library.map(|library| library.display().to_string()),
        cuda_error,
        cuda_devices: u32::try_from(cuda_devices()).unwrap_or(0),
    }
}

fn cuda_devices() -> i64 {
    if tch::Cuda::is_available() { tch::Cuda::device_count() } else { 0 }
}

/// The CUDA half of libtorch exists but cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to load {}: {why}", library.display())]
struct CudaLibraryError {
    library: PathBuf,
    /// The message of the dynamic linker.
    why: String,
}

/// Loads `libtorch_cuda.so` from the folder that libtorch was loaded from, and returns its path; `None` if it is
/// not there.
///
/// The program is linked against the CPU libraries alone, so that it starts on any host. libtorch finds CUDA
/// through hooks that this library registers when it is loaded. It must be loaded before the first CUDA query.
fn load_cuda() -> Result<Option<PathBuf>, CudaLibraryError> {
    let Some(library) = cuda_library() else {
        return Ok(None);
    };
    if let Err(why) = load(&library) {
        return Err(CudaLibraryError { library, why });
    }
    // CUDA's compiler looks for this library by its bare name, and no search path of this program leads to it.
    for builtins in nvrtc_builtins(&library) {
        if let Err(why) = load(&builtins) {
            eprintln!("warning: {}", CudaLibraryError { library: builtins, why });
        }
    }
    Ok(Some(library))
}

/// The libraries that `libnvrtc.so` needs to compile kernels for cuDNN. They are beside the CUDA half of libtorch, or
/// in the folder of PyPI's CUDA wheels.
fn nvrtc_builtins(cuda_library: &Path) -> Vec<PathBuf> {
    let Some(beside) = cuda_library.parent() else {
        return Vec::new();
    };
    let folders = [beside.to_owned(), beside.join("../../nvidia/cu13/lib")];
    let files = folders.iter().filter_map(|folder| folder.read_dir().ok()).flatten().flatten();
    files
        .filter(|file| file.file_name().as_encoded_bytes().starts_with(b"libnvrtc-builtins.so."))
        .map(|file| file.path())
        .collect()
}

/// Loads a shared library and never unloads it. The error is the message of the dynamic linker.
#[cfg(target_os = "linux")]
fn load(library: &Path) -> Result<(), String> {
    use std::{ffi::CString, os::unix::ffi::OsStrExt};

    use nix::libc;

    let path = CString::new(library.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    // SAFETY: the path is a C string that outlives the call. Loading runs the library's constructors; those of
    // `libtorch_cuda.so` register it with the libtorch that it was built with, in the same folder. The library is never
    // unloaded.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if !handle.is_null() {
        return Ok(());
    }
    // SAFETY: dlerror returns null or a C string that is valid until the next call on this thread.
    let error = unsafe { libc::dlerror() };
    if error.is_null() {
        return Err("no reason given".to_owned());
    }
    // SAFETY: see above.
    Err(unsafe { std::ffi::CStr::from_ptr(error) }.to_string_lossy().into_owned())
}

/// libtorch has CUDA on Linux only.
#[cfg(not(target_os = "linux"))]
fn load(_library: &Path) -> Result<(), String> {
    Err("there is no CUDA on this system".to_owned())
}

/// The CUDA half of the libtorch that this process runs with; `None` where it has none.
fn cuda_library() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    // `address permissions offset device inode path`, the path last and perhaps with spaces.
    let mut paths = maps.lines().filter_map(|line| line.find('/').map(|start| &line[start..]));
    let cpu = PathBuf::from(paths.find(|path| path.contains("libtorch_cpu.so"))?);
    Some(cpu.with_file_name("libtorch_cuda.so")).filter(|library| library.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_compiler_of_kernels_needs_is_found_in_both_layouts() {
        let folder = tempfile::tempdir().unwrap();
        let (torch, nvidia) = (folder.path().join("torch/lib"), folder.path().join("nvidia/cu13/lib"));
        for (folder, name) in [
            (&torch, "libnvrtc-builtins.so.13.0"),
            (&torch, "libnvrtc.so.13"),
            (&nvidia, "libnvrtc-builtins.so.13.0"),
            (&nvidia, "libnvrtc-builtins.alt.so.13.0"),
        ] {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(folder.join(name), "").unwrap();
        }
        let found = nvrtc_builtins(&torch.join("libtorch_cuda.so"));
        let found: Vec<PathBuf> = found.iter().map(|path| path.canonicalize().unwrap()).collect();
        let expected =
            [&torch, &nvidia].map(|folder| folder.canonicalize().unwrap().join("libnvrtc-builtins.so.13.0"));
        assert_eq!(found, expected);
        assert_eq!(nvrtc_builtins(Path::new("/nowhere/libtorch_cuda.so")), [] as [PathBuf; 0]);
    }

    #[test]
    fn devices_by_name() {
        let cpu = TrainingDevice::find("cpu", 3).unwrap();
        assert_eq!((cpu.device, cpu.name.as_str()), (Device::Cpu, "cpu x3"));
        for text in ["gpu", "cuda", "cuda:x", "cuda:-1", ""] {
            assert_eq!(TrainingDevice::find(text, 1), Err(DeviceError::Unknown(text.to_owned())));
        }
        assert!(matches!(TrainingDevice::find("cuda:999", 1), Err(DeviceError::Absent(..))));
    }
}
