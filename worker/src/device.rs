//! What a trainer trains on.

use std::path::PathBuf;

use tch::Device;

/// A device that can not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Neither `cpu` nor `cuda:N`.
    #[error("`{0}` is not a device: use `cpu` or `cuda:N`")]
    Unknown(String),
    /// There is no such GPU, or this libtorch can not use it.
    #[error(
        "`{0}` can not be used: this libtorch sees {1} CUDA device(s); its folder needs libtorch_cuda.so, and the host a driver"
    )]
    Absent(String, i64),
}

/// A usable device and what people call it.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingDevice {
    /// For libtorch.
    pub device: Device,
    /// Such as `cpu x2` or `cuda:0`.
    pub name: String,
}

impl TrainingDevice {
    /// Finds the device that is written `cpu` or `cuda:N`. `threads` is for the name only.
    ///
    /// # Errors
    /// When it is written otherwise or is not there.
    pub fn find(text: &str, threads: u32) -> Result<Self, DeviceError> {
        if text == "cpu" {
            return Ok(Self { device: Device::Cpu, name: format!("cpu x{threads}") });
        }
        let number = text.strip_prefix("cuda:").and_then(|number| number.parse::<u16>().ok());
        let number = number.ok_or_else(|| DeviceError::Unknown(text.to_owned()))?;
        load_cuda();
        let count = if tch::Cuda::is_available() { tch::Cuda::device_count() } else { 0 };
        if i64::from(number) >= count {
            return Err(DeviceError::Absent(text.to_owned(), count));
        }
        Ok(Self { device: Device::Cuda(usize::from(number)), name: text.to_owned() })
    }
}

/// Loads `libtorch_cuda.so` from the folder that libtorch was loaded from, if it is there.
///
/// The program is linked against the CPU libraries alone, so that it starts on any host. libtorch finds CUDA
/// through hooks that this library registers when it is loaded, which must be before the first CUDA query.
#[cfg(target_os = "linux")]
fn load_cuda() {
    use std::{ffi::CString, os::unix::ffi::OsStrExt};

    use nix::libc;

    let Some(library) = cuda_library() else {
        return;
    };
    let Ok(path) = CString::new(library.as_os_str().as_bytes()) else {
        return;
    };
    // SAFETY: the path is a C string that outlives the call. Loading runs the library's constructors, which
    // register it with the libtorch it was built with and is lying beside. It stays loaded.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    if handle.is_null() {
        // SAFETY: dlerror returns null or a C string that is valid until the next call on this thread.
        let error = unsafe {
            let error = libc::dlerror();
            if error.is_null() {
                "no reason given".into()
            } else {
                std::ffi::CStr::from_ptr(error).to_string_lossy()
            }
        };
        eprintln!("warning: failed to load {}: {error}", library.display());
    }
}

/// libtorch has CUDA on Linux only.
#[cfg(not(target_os = "linux"))]
fn load_cuda() {}

/// The CUDA half of the libtorch that this process runs with; `None` where it has none.
#[must_use]
pub fn cuda_library() -> Option<PathBuf> {
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
    fn devices_by_name() {
        let cpu = TrainingDevice::find("cpu", 3).unwrap();
        assert_eq!((cpu.device, cpu.name.as_str()), (Device::Cpu, "cpu x3"));
        for text in ["gpu", "cuda", "cuda:x", "cuda:-1", ""] {
            assert_eq!(TrainingDevice::find(text, 1), Err(DeviceError::Unknown(text.to_owned())));
        }
        assert!(matches!(TrainingDevice::find("cuda:999", 1), Err(DeviceError::Absent(..))));
    }
}
