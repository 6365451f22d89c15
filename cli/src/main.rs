//! The `colearn` command.
fn main() {}
