//! The worker of colearn, an agent: it talks to the coordinator, keeps one trainer child a slot, and keeps every report until
//! the coordinator says that it is durable.
//!
//! [`state`] decides and does nothing; [`run`] does and decides nothing. Between them are [`input::Input`]
//! and [`input::Action`].

pub mod connection;
pub mod cuda;
pub mod exit;
pub mod gpu;
pub mod identity;
pub mod input;
pub mod launcher;
mod lines;
pub mod log_queue;
pub mod memory;
pub mod no_op;
pub mod options;
pub mod outbox;
pub mod plan;
pub mod run;
pub mod slot;
pub mod state;
pub mod time_limit;
pub mod trainer_process;
