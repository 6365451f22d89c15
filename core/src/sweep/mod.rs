//! Sweeps: from the file a person wrote to the tasks that are trained.

mod definition;

pub use definition::{Configuration, ReportSettings, RetrySettings, Sweep};
