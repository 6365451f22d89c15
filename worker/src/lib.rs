//! The worker agent of colearn: it communicates with the coordinator, keeps one trainer process per slot, and keeps
//! every report until the coordinator says that it is durable.
//!
//! [`state`] makes all decisions and has no effects; [`run`] has all effects and makes no decisions. They communicate
//! through [`input::Input`] and [`input::Action`].

pub mod connection;
mod cuda;
mod data_folder;
pub mod exit;
mod gpu;
mod gpu_trouble;
mod identity;
pub mod input;
mod inventory;
pub mod launcher;
mod lines;
pub mod log_queue;
mod memory;
mod no_op;
pub mod options;
mod outbox;
mod plan;
pub mod programs;
pub mod run;
pub mod slot;
pub mod state;
mod time_limit;
mod trainer_log;
pub mod trainer_process;
mod usage;
