//! The results table: the metrics of every configuration averaged over its seeds, with the number of seeds.

mod averages;
mod comparisons;
mod rows;
#[cfg(test)]
mod tests;

pub use self::rows::{ConfigurationRow, ResultsTable, RowState, TaskOutcome};
