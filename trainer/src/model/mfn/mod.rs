//! The Memory Fusion Network (Zadeh et al. 2018) of the paper's MOSI experiments.

mod as_tensors;
mod fusion;
mod in_memory;
mod memory;
mod network;
mod passes;
mod shape;
mod turned;
mod workspace;

pub use network::Mfn;
pub use shape::{MfnDropout, MfnModality, MfnShape};
