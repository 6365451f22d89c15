//! The inputs that colearn reads from outside, as functions of bytes that must return for any bytes.
//!
//! Each function is called by a target of `cargo fuzz`, and with changed valid inputs by the bounded test beside it.

pub mod change;
pub mod targets;
