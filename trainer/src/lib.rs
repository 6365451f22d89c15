//! The trainer of colearn: trains cohorts of tasks on one device, with libtorch.
//!
//! [`process`] reads commands and writes events; [`training`] is the loop; [`model`] holds the networks.

pub mod device;
mod fused;
mod host;
pub mod metrics;
pub mod model;
pub mod optimizer;
pub mod plateau;
pub mod process;
pub mod random;
mod tensor_bits;
pub mod training;
