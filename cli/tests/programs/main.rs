//! The real programs: `colearn` and `colearn-worker`, over gRPC on loopback.

#![expect(clippy::unwrap_used, reason = "tests")]

mod access;
mod access_of_others;
mod bad_hosts;
mod bad_input;
#[cfg(target_os = "linux")]
mod chaos;
mod commit;
mod dashboard;
#[cfg(target_os = "linux")]
mod descriptors;
mod end_to_end;
mod environment;
mod exports;
#[cfg(target_os = "linux")]
mod full_screen;
mod gpus;
mod growing_curves;
mod http;
mod import;
mod kept;
mod kinds;
mod lab;
mod monitoring;
mod notifications;
mod notifications_tls;
mod only_its_own;
mod operations;
#[cfg(target_os = "linux")]
mod outputs;
mod own_programs;
mod pages;
mod reconnecting;
mod report;
#[cfg(target_os = "linux")]
mod restarts;
#[cfg(feature = "s3")]
mod s3;
#[cfg(target_os = "linux")]
mod settled;
#[cfg(target_os = "linux")]
mod slow_readers;
#[cfg(target_os = "linux")]
mod slurm;
#[cfg(target_os = "linux")]
mod small_disk;
#[cfg(target_os = "linux")]
mod state_folder;
mod submitting;
mod tensors;
mod terminals;
mod unreachable;
mod usage;
mod workers;
