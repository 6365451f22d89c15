//! Data sets made by arithmetic, for trying colearn without obtaining a real one.

mod demo;
mod random;

pub use demo::{DEMO_CLASSES, DemoError, DemoOptions, demo};
