//! The coordinator of colearn: engine, store, gRPC services.
//!
//! [`Coordinator::start`] is the entry point. The [`engine`] owns the scheduler of `colearn-core`, the [`store`]
//! keeps the data that must not be lost, and `rpc` converts wire types to domain types.

pub mod engine;
pub mod store;

mod connections;
mod coordinator;
mod logs;
mod metrics;
pub mod notify;
pub mod pools;
mod quiet;
mod rpc;

#[cfg(test)]
mod testing;

pub use coordinator::{
    Config, Coordinator, CoordinatorError, ReservedCoordinator, RunningCoordinator, Storage,
};
pub use rpc::{SweepParser, understands};
