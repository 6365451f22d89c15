//! The pure domain of colearn: sweep files, grids, the scheduler, statistics.
//!
//! Nothing in this crate reads a clock, draws a random number, touches a file or a socket: time and
//! everything else that happens comes in as an argument. `clippy.toml` beside this crate bans the ways out.

pub mod failure;
pub mod id;
pub mod result;
pub mod scheduler;
pub mod settings;
pub mod statistics;
pub mod sweep;
pub mod table;
pub mod text;
pub mod time;
