//! The worker of colearn: the agent that talks to the coordinator and the trainer that trains.

pub mod agent;
pub mod protocol;
