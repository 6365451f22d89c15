//! The real coordinator, the real agent and a person who uses the real client, on virtual hosts in virtual
//! time. Only the trainers are scripted.
//!
//! A [history](history::History) is a function of its seed: which hosts die and come back, which links break,
//! what trainers do, what the person asks for. After it everything must be in order: see [`audit`]. Nothing
//! that ships depends on this crate.

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
