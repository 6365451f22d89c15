//! How much memory is in use.

use std::ffi::c_int;

use nix::libc;
use tch::Device;

/// Bytes in use: for a GPU by all processes on it, for the CPU by this process.
pub(crate) fn used(device: Device) -> Option<u64> {
    match device {
        Device::Cuda(number) => of_gpu(number).map(|(free, total)| total - free),
        _ => resident(),
    }
}

/// Free and total bytes of a GPU; `None` where the CUDA runtime is not loaded or fails.
///
/// `tch` has no function for this, but the CUDA runtime that libtorch is linked against is loaded in this process.
pub(crate) fn of_gpu(number: usize) -> Option<(u64, u64)> {
    type SetDevice = unsafe extern "C" fn(c_int) -> c_int;
    type GetInfo = unsafe extern "C" fn(*mut usize, *mut usize) -> c_int;
    // SAFETY: the names are C strings, and looking a symbol up changes nothing.
    let (set, get) = unsafe {
        (
            libc::dlsym(libc::RTLD_DEFAULT, c"cudaSetDevice".as_ptr()),
            libc::dlsym(libc::RTLD_DEFAULT, c"cudaMemGetInfo".as_ptr()),
        )
    };
    if set.is_null() || get.is_null() {
        return None;
    }
    // SAFETY: these are the signatures of the CUDA runtime's functions of these names, in all of its versions.
    let (set, get) = unsafe {
        (std::mem::transmute::<*mut _, SetDevice>(set), std::mem::transmute::<*mut _, GetInfo>(get))
    };
    let (mut free, mut total) = (0_usize, 0_usize);
    // SAFETY: both pointers point to local numbers. An invalid device number gives an error code.
    let code = unsafe {
        match set(c_int::try_from(number).ok()?) {
            0 => get(&raw mut free, &raw mut total),
            error => error,
        }
    };
    (code == 0).then_some((free as u64, total as u64))
}

/// Resident memory of this process. Only Linux tells it.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
