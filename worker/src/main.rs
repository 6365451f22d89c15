//! The `colearn-worker` binary.
fn main() {}
