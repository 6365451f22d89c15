//! The real programs: `colearn` and `colearn-worker`, over gRPC on loopback.

#![expect(clippy::unwrap_used, reason = "tests")]

mod bad_hosts;
mod bad_input;
#[cfg(target_os = "linux")]
mod chaos;
mod commit;
#[cfg(target_os = "linux")]
mod descriptors;
mod end_to_end;
mod gpus;
mod lab;
mod operations;
mod pages;
mod report;
#[cfg(target_os = "linux")]
mod restarts;
#[cfg(target_os = "linux")]
mod settled;
#[cfg(target_os = "linux")]
mod small_disk;
#[cfg(target_os = "linux")]
mod state_folder;
mod tensors;
#[cfg(target_os = "linux")]
mod unread;
mod workers;
