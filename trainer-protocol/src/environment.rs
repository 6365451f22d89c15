//! What a trainer computes with, for the provenance of its results.

use std::{collections::BTreeMap, env, fs};

use colearn_core::text::{one_line, shortened};
use nix::sys::utsname::uname;

/// The environment variable in which the worker names the model of the GPU to a trainer on a GPU.
pub const DEVICE_MODEL: &str = "COLEARN_DEVICE_MODEL";

/// Maximum length of a value, in bytes.
const MAX_VALUE: usize = 256;

/// The entries of [`TaskResult::environment`](colearn_core::result::TaskResult::environment) that both kinds of trainers
/// know. What the system does not say is left out.
///
/// - `colearn`: version of colearn, and the commit if the program was built with `COLEARN_COMMIT`;
/// - `device_model`: model of the GPU, or of the CPU for the device `cpu`;
/// - `gpu_driver`: version of the driver, on a GPU;
/// - `host_cpu`: model of the CPU;
/// - `os`: the kernel and the distribution;
/// - `threads`: threads of the slot.
#[must_use]
pub fn environment(device: &str, threads: u32) -> BTreeMap<String, String> {
    let on_gpu = device != "cpu";
    let cpu = read("/proc/cpuinfo").and_then(|text| cpu_model(&text));
    let gpu = env::var(DEVICE_MODEL).ok().filter(|_| on_gpu);
    let driver = read("/proc/driver/nvidia/version").filter(|_| on_gpu);
    let found = [
        ("colearn", Some(version())),
        ("device_model", if on_gpu { gpu } else { cpu.clone() }),
        ("gpu_driver", driver.and_then(|text| driver_version(&text))),
        ("host_cpu", cpu),
        ("os", system()),
        ("threads", Some(threads.to_string())),
    ];
    let entries = found.into_iter().filter_map(|(name, value)| entry(name, &value?));
    entries.collect()
}

/// An entry whose value fits a result; `None` if the value is empty.
#[must_use]
pub fn entry(name: &str, value: &str) -> Option<(String, String)> {
    let value = one_line(value);
    let value = shortened(value.trim(), MAX_VALUE);
    (!value.is_empty()).then(|| (name.to_owned(), value))
}

/// The version of colearn, and the commit that it was built from if the build named it.
fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    match option_env!("COLEARN_COMMIT").filter(|commit| !commit.is_empty()) {
        Some(commit) => format!("{version} (commit {commit})"),
        None => version.to_owned(),
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// `Linux 6.8.0-45-generic x86_64, Ubuntu 24.04.1 LTS`.
fn system() -> Option<String> {
    let kernel = uname().ok()?;
    let parts = [kernel.sysname(), kernel.release(), kernel.machine()].map(|part| part.to_string_lossy());
    let distribution = read("/etc/os-release").and_then(|text| distribution(&text));
    Some([Some(parts.join(" ")), distribution].into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// The first processor's model; ARM processors have none.
fn cpu_model(cpuinfo: &str) -> Option<String> {
    field(cpuinfo, "model name", ':')
}

/// The name for people of <https://www.freedesktop.org/software/systemd/man/latest/os-release.html>.
fn distribution(os_release: &str) -> Option<String> {
    let name = field(os_release, "PRETTY_NAME", '=')?;
    Some(name.trim_matches(['"', '\'']).to_owned())
}

/// `NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build ...`.
fn driver_version(version: &str) -> Option<String> {
    let line = version.lines().find(|line| line.starts_with("NVRM version"))?;
    let number = |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
    line.split_whitespace().find(number).map(str::to_owned)
}

/// The value of the first line with this name.
fn field(text: &str, name: &str, between: char) -> Option<String> {
    let named = |line: &str| {
        let (found, value) = line.split_once(between)?;
        (found.trim() == name).then(|| value.trim().to_owned())
    };
    text.lines().find_map(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_system_are_read() {
        let cpu = "processor\t: 0\nvendor_id\t: x\nmodel\t\t: 7\nmodel name\t: Some CPU @ 2.4 GHz\nmodel name\t: b\n";
        assert_eq!(cpu_model(cpu).as_deref(), Some("Some CPU @ 2.4 GHz"));
        assert_eq!(cpu_model("processor\t: 0\nBogoMIPS\t: 50.00\n"), None);
        let release = "NAME=\"Some\"\nPRETTY_NAME=\"Some Linux 24.04.1 LTS\"\n";
        assert_eq!(distribution(release).as_deref(), Some("Some Linux 24.04.1 LTS"));
        assert_eq!(distribution("PRETTY_NAME=Plain\n").as_deref(), Some("Plain"));
        for (version, number) in [
            (
                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue\nGCC version: 12.3.0\n",
                "550.54.15",
            ),
            ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release", "580.65.06"),
        ] {
            assert_eq!(driver_version(version).as_deref(), Some(number));
        }
    }

    #[test]
    fn what_is_recorded_fits_a_result() {
        let found = environment("cpu", 3);
        assert_eq!(found["threads"], "3");
        assert!(found["colearn"].starts_with(env!("CARGO_PKG_VERSION")), "{found:?}");
        assert!(found["os"].contains(' '), "{found:?}");
        assert_eq!(found.get("device_model"), found.get("host_cpu"));
        assert!(!found.contains_key("gpu_driver"), "{found:?}");
        assert_eq!(entry("a", " x\u{1b}[2J\ny "), Some(("a".to_owned(), "x [2J y".to_owned())));
        assert_eq!(entry("a", " \n"), None);
        assert!(entry("a", &"x".repeat(1000)).is_some_and(|(_, value)| value.len() <= MAX_VALUE));
    }
}
