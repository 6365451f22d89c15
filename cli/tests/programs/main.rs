//! The real programs: `colearn` and `colearn-worker`, over gRPC on loopback.

#![expect(clippy::unwrap_used, reason = "tests")]

mod bad_input;
mod commit;
mod end_to_end;
mod lab;
mod operations;
mod report;
mod tensors;
mod workers;
