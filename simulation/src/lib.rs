//! The real coordinator, the real agent and a person who uses the real client, on virtual hosts in virtual time. Only
//! the trainers are scripted.
//!
//! A [history](history::History) is a function of its seed. The seed decides which hosts crash and return, which
//! links break, what trainers do, and what the person requests. Afterwards everything must be consistent: see
//! [`audit`]. No shipped program depends on this crate.

pub mod audit;
pub mod chance;
pub mod history;
pub mod hosts;
pub mod network;
pub mod person;
pub mod seeds;
pub mod store;
pub mod trace;
pub mod trainers;
pub mod trouble;
