//! LSTM cells over time, forward and backward, written by hand.

mod cells;
mod fused;
mod in_memory;
mod in_place;
mod input;
mod passes;
mod recurrence;
mod shape;

pub(super) use cells::{Cells, Input};
pub(super) use recurrence::Weights;
pub(super) use shape::CellShape;
