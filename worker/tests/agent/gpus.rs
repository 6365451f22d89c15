//! GPUs that can be used or not: the real program, with a fake `nvidia-smi` and a trainer with a given output.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use colearn_proto::v1;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::coordinator::Coordinator;

/// The output of `nvidia-smi` for two GPUs and an old driver.
const TWO_GPUS: &str = r#"case $1 in
*driver_version*) echo 535.104.05 ;;
*) echo "0, NVIDIA H100, GPU-a"; echo "1, NVIDIA H100, GPU-b" ;;
esac"#;
const NO_CUDA: &str = r#"{"libtorch":"2.11.0","cuda_library":null,"cuda_error":null,"cuda_devices":0}"#;
const NO_DEVICE: &str = r#"{"libtorch":"2.11.0","cuda_library":"/l.so","cuda_error":null,"cuda_devices":0}"#;
const USABLE: &str = r#"{"libtorch":"2.11.0","cuda_library":"/l.so","cuda_error":null,"cuda_devices":2}"#;

/// A host.
struct Host {
    folder: TempDir,
    nvidia_smi: &'static str,
    /// The output of `colearn-trainer devices`.
    devices: &'static str,
}

/// A worker that is killed at the end of the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

impl Host {
    fn new(nvidia_smi: &'static str, devices: &'static str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), nvidia_smi, devices }
    }

    fn start(&self, coordinator: &str, device: &str) -> Running {
        self.start_with(coordinator, device, &[])
    }

    fn start_with(&self, coordinator: &str, device: &str, options: &[&str]) -> Running {
        let folder = self.folder.path();
        program(&folder.join("nvidia-smi"), self.nvidia_smi);
        let ready = r#"echo '{"event":"ready","device":"script"}'; cat > /dev/null"#;
        let trainer = folder.join("trainer");
        program(&trainer, &format!("if [ $1 = devices ]; then echo '{}'; else {ready}; fi", self.devices));
        let path = std::env::var("PATH").unwrap_or_default();
        let child = Command::new(env!("CARGO_BIN_EXE_colearn-worker"))
            .args([
                "--coordinator",
                coordinator,
                "--device",
                device,
                "--threads",
                "1",
                "--connect-timeout",
                "60",
            ])
            .args(["--data-dir", ".", "--checkpoints", "checkpoints"])
            .args(options)
            .current_dir(folder)
            .env("COLEARN_TRAINER", trainer)
            .env("PATH", format!("{}:{path}", folder.display()))
            .env_remove("CUDA_VISIBLE_DEVICES")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running(child)
    }

    /// The devices and warnings in a worker's hello, and its log.
    async fn hello(&self) -> (Vec<String>, Vec<String>, String) {
        let mut coordinator = Coordinator::start().await;
        let mut worker = self.start(&format!("http://{}", coordinator.address), "auto");
        let hello = coordinator.expect_hello().await;
        kill(Pid::from_raw(worker.0.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let mut log = String::new();
        std::io::Read::read_to_string(&mut worker.0.stderr.take().unwrap(), &mut log).unwrap();
        (hello.slots.into_iter().map(|slot| slot.device).collect(), hello.warnings, log)
    }

    /// The exit code and the error of a worker that may use only GPUs.
    fn only_gpus(&self) -> (Option<i32>, String) {
        let mut worker = self.start("http://127.0.0.1:1", "cuda");
        let mut log = String::new();
        std::io::Read::read_to_string(&mut worker.0.stderr.take().unwrap(), &mut log).unwrap();
        let error = log.lines().find(|line| line.starts_with("error:")).unwrap_or_default();
        (worker.0.wait().unwrap().code(), error.to_owned())
    }
}

/// A host with one core has two slots too many.
fn of_gpus(warnings: &[String]) -> Vec<&String> {
    warnings.iter().filter(|warning| !warning.contains("slow each other down")).collect()
}

#[tokio::test]
async fn gpus_that_can_be_used_are_offered() {
    let (devices, warnings, log) = Host::new(TWO_GPUS, USABLE).hello().await;
    assert_eq!(devices, ["cuda:0 NVIDIA H100", "cuda:1 NVIDIA H100"]);
    assert_eq!(of_gpus(&warnings), [] as [&String; 0], "{log}");
}

/// Programs bring their own libraries.
#[tokio::test]
async fn gpus_are_offered_to_programs_without_asking_a_trainer() {
    let host = Host::new(TWO_GPUS, "nonsense");
    let mut coordinator = Coordinator::start().await;
    let url = format!("http://{}", coordinator.address);
    let _worker = host.start_with(&url, "auto", &["--programs-only"]);
    let hello = coordinator.expect_hello().await;
    let devices: Vec<&str> = hello.slots.iter().map(|slot| slot.device.as_str()).collect();
    assert_eq!(devices, ["cuda:0 NVIDIA H100", "cuda:1 NVIDIA H100"]);
    let offers = hello.slots[1].offers.clone().unwrap();
    assert!(offers.gpu && offers.trainers == [i32::from(v1::TrainerKind::Programs)], "{offers:?}");
    assert_eq!(of_gpus(&hello.warnings), [] as [&String; 0]);
}

#[tokio::test]
async fn gpus_that_libtorch_can_not_use_are_said_with_what_to_do() {
    for (devices, part) in
        [(NO_CUDA, "make libtorch CUDA=1"), (NO_DEVICE, "its driver 535.104.05 is too old")]
    {
        let host = Host::new(TWO_GPUS, devices);
        let (devices, warnings, log) = host.hello().await;
        assert!(devices.iter().all(|device| device == "cpu x1"), "{devices:?}");
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert!(warning.starts_with("this host has 2 GPUs (NVIDIA H100), but"), "{warning}");
        assert!(warning.contains(part) && warning.ends_with("; training on the cores"), "{warning}");
        assert!(log.lines().any(|line| line.contains("WARN") && line.contains(warning)), "{log}");

        let (code, error) = host.only_gpus();
        assert_eq!(code, Some(4), "{error}");
        assert!(error.starts_with("error: --device cuda is not available: this host has 2 GPUs"), "{error}");
        assert!(error.contains(part) && error.ends_with("or use --device cpu"), "{error}");
    }
}

#[tokio::test]
async fn a_driver_that_does_not_answer_is_said_and_a_host_without_gpus_is_none_to_warn_of() {
    let broken = Host::new("echo \"NVIDIA-SMI has failed because it couldn't communicate\"; exit 9", NO_CUDA);
    let (_, warnings, _) = broken.hello().await;
    let part = "nvidia-smi failed: NVIDIA-SMI has failed because it couldn't communicate; check the driver";
    assert!(warnings.len() == 1 && warnings[0].contains(part), "{warnings:?}");

    for nothing in ["echo No devices were found; exit 6", "echo No devices were found"] {
        // The trainer would not even be asked for its devices.
        let (devices, warnings, log) = Host::new(nothing, "nonsense").hello().await;
        assert!(!devices.is_empty() && warnings.is_empty(), "{log}");
    }
    let (code, error) = Host::new("echo No devices were found", "nonsense").only_gpus();
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("no GPU is visible"), "{error}");
}

#[tokio::test]
async fn a_trainer_that_can_not_be_asked_is_said() {
    let (devices, warnings, log) = Host::new(TWO_GPUS, "nonsense").hello().await;
    assert!(devices.iter().all(|device| device == "cpu x1"), "{devices:?}");
    assert!(
        warnings.len() == 1 && warnings[0].contains("its answer is not understood"),
        "{warnings:?}\n{log}"
    );
}
