//! The agent as a real process, between a scripted coordinator over real gRPC and a scripted trainer in a real child
//! process.

#![expect(clippy::unwrap_used, reason = "these are tests; clippy takes their helpers for something else")]

mod coordinator;
mod gpus;
mod lifecycle;
mod no_op;
mod programs;
mod stories;
mod usage;
mod worker;
