//! The Memory Fusion Network (Zadeh et al. 2018) of the paper's MOSI experiments.

mod memory;
mod network;
mod shape;
mod workspace;

pub use network::Mfn;
pub use shape::{MfnDropout, MfnModality, MfnShape};
