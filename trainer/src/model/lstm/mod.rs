//! LSTM cells over time, forward and backward, written by hand.

mod cells;
mod fused;
mod in_place;
mod shape;

pub(super) use cells::{Cells, Input, Weights};
pub(super) use shape::CellShape;
