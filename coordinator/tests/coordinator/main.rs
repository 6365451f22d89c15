//! A coordinator over real gRPC and HTTP. What needs a process of its own is beside this folder: `access.rs` reads all
//! that its process logs, and `stress.rs` opens thousands of connections.

mod bad_hosts;
mod damage;
mod documentation;
mod grid;
mod hostile_workers;
mod http;
mod large;
mod metrics;
mod notifications;
mod pages;
mod programs;
mod recorded;
mod retention;
mod roles;
mod slow_readers;
#[expect(dead_code, reason = "the tests beside this folder use more of it")]
mod support;
mod sweeps;
mod workers;
