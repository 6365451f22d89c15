//! The results table: every configuration's metrics averaged over its seeds, and how many seeds that were.

mod averages;
mod comparisons;
mod rows;
#[cfg(test)]
mod tests;

pub use self::rows::{ConfigurationRow, ResultsTable, RowState, TaskOutcome};
