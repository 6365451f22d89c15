//! The worker of colearn, an agent: it talks to the coordinator, keeps one trainer child a slot, and keeps every report until
//! the coordinator says that it is durable.
//!
//! [`state`] decides and does nothing; [`run`] does and decides nothing. Between them are [`input::Input`]
//! and [`input::Action`].

pub mod connection;
mod cuda;
mod data_folder;
pub mod exit;
mod gpu;
mod gpu_trouble;
mod identity;
pub mod input;
pub mod launcher;
mod lines;
pub mod log_queue;
mod memory;
mod no_op;
pub mod options;
mod outbox;
mod plan;
pub mod run;
pub mod slot;
pub mod state;
mod time_limit;
pub mod trainer_process;
