//! The pure domain of colearn: sweep files, grids, the scheduler, statistics.
//!
//! This crate reads no clock, draws no random numbers, and uses no files or sockets: time and all other input are
//! arguments. `clippy.toml` beside this crate bans the functions for these.

pub mod failure;
pub mod id;
pub mod names;
pub mod needs;
pub mod pools;
pub mod result;
pub mod scheduler;
pub mod settings;
pub mod statistics;
pub mod sweep;
pub mod table;
pub mod text;
pub mod time;
