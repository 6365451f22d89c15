//! Training steps of the networks without a trainer around them, for `scripts/gpu-check`: numbers to compare between
//! devices, and times.
//!
//! ```text
//! device                                                   what libtorch sees
//! parity NETWORK --device D [--members K] [--rounds N]     the same steps on D and on the CPU, and how they differ
//! steps NETWORK --device D --members K,K,... --seconds S   milliseconds a step, and memory, at each K
//! prepare NETWORK --device D [--members K]                 makes a cohort and its batch, for `rounds` in this process
//! rounds [--rounds N]                                      nothing but steps, for a profiler to watch
//! hold --device D --leave BYTES                            takes all of a GPU's memory but BYTES, until stdin closes
//! ```
//!
//! NETWORK is `bi-eflstm` or `mfn`, at the paper's sizes. `--samples B` and `--steps T` make the batch smaller.
//! `--kernels fused` or `in-place` chooses other kernels than the device's own. Every line on standard output is a
//! JSON object.

mod memory;
mod options;
mod parity;
mod steps;
#[path = "../../benches/common/subject.rs"]
mod subject;
mod work;

use std::{
    ffi::{CStr, c_char, c_int},
    io::Read as _,
    panic::{AssertUnwindSafe, catch_unwind},
};

use options::Options;
use serde_json::json;
use tch::{Device, Kind, Tensor};

/// The error is a text for people.
type Outcome = Result<(), String>;

/// Runs the probe as a program would run. Returns the exit code: 0 on success, 1 on failure, 2 for wrong usage.
///
/// # Safety
/// `arguments` points to `count` C strings, which are not changed during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gpu_probe(count: c_int, arguments: *const *const c_char) -> c_int {
    let read = |index: usize| {
        // SAFETY: the caller guarantees that there are `count` strings.
        unsafe { CStr::from_ptr(*arguments.add(index)) }.to_string_lossy().into_owned()
    };
    let arguments: Vec<String> = (0..usize::try_from(count).unwrap_or(0)).map(read).collect();
    let options = match Options::parse(&arguments) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error}");
            return 2;
        }
    };
    // libtorch's exceptions are panics here. They must not reach the caller, which is not Rust.
    match catch_unwind(AssertUnwindSafe(|| run(&options))) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            eprintln!("error: {error}");
            1
        }
        Err(panic) => {
            eprintln!("error: {}", words(panic.as_ref()));
            1
        }
    }
}

fn run(options: &Options) -> Outcome {
    match options.command.as_str() {
        "device" => device(),
        "parity" => parity::run(options),
        "steps" => steps::run(options),
        "prepare" => steps::prepare(options),
        "rounds" => steps::rounds(options),
        "hold" => hold(options),
        other => Err(format!("`{other}` is not a command: device, parity, steps, prepare, rounds or hold")),
    }
}

fn device() -> Outcome {
    let devices = colearn_trainer::device::inventory();
    let memory = (devices.cuda_devices > 0).then(|| memory::of_gpu(0)).flatten();
    let mut seen = serde_json::to_value(&devices).map_err(|error| error.to_string())?;
    seen["cudnn"] = json!(devices.cuda_devices > 0 && tch::Cuda::cudnn_is_available());
    seen["memory"] = json!(memory.map(|(free, total)| json!({"free": free, "total": total})));
    say(&seen);
    Ok(())
}

/// Occupies memory, so that other processes run out of memory soon.
fn hold(options: &Options) -> Outcome {
    let Device::Cuda(number) = options.device()? else {
        return Err("only the memory of a GPU can be held".to_owned());
    };
    // The CUDA context itself takes memory. It is created before the free memory is queried.
    let context = Tensor::zeros([1], (Kind::Uint8, Device::Cuda(number)));
    let (free, _) = memory::of_gpu(number).ok_or("the CUDA runtime does not say how much memory is free")?;
    let leave: i64 = options.number("--leave", 0)?;
    let size = i64::try_from(free).unwrap_or(i64::MAX).saturating_sub(leave);
    if size <= 0 {
        return Err(format!("{free} bytes are free, which is less than is to be left"));
    }
    let held = Tensor::empty([size], (Kind::Uint8, Device::Cuda(number)));
    say(&json!({"held": held.numel() + context.numel()}));
    std::io::stdin().read_to_end(&mut Vec::new()).map_err(|error| error.to_string())?;
    Ok(())
}

/// Writes one JSON line for the program that started the probe.
fn say(value: &serde_json::Value) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    // A closed output means that the reader does not need the line.
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}

/// The message of a panic.
fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("the probe panicked").to_owned()
}
