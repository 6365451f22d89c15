//! The worker of colearn: the agent that talks to the coordinator and the trainer that trains.

pub mod agent;
pub mod checkpoint;
pub mod device;
pub mod metrics;
pub mod model;
pub mod optimizer;
pub mod out_of_memory;
pub mod plateau;
pub mod protocol;
pub mod random;
pub mod trainer;
