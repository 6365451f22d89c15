//! Generated data sets, to try colearn without obtaining a real one.

mod demo;
mod random;

pub use demo::{DEMO_CLASSES, DemoError, DemoOptions, demo};
