//! The agent as a real process, between a scripted coordinator that speaks real gRPC and a scripted trainer
//! that is a real child.

mod coordinator;
mod lives;
mod stories;
mod usage;
mod worker;
