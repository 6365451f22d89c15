//! The results table: the metrics of every configuration averaged over its seeds, with the number of seeds; or over the
//! seeds and the values of `report.replicates`.

mod averages;
mod chosen;
mod class_scores;
mod comparisons;
mod replicate;
mod rows;
#[cfg(test)]
mod tests;

pub use self::chosen::{Choice, ChosenRow};
pub use self::class_scores::ClassScore;
pub use self::replicate::{Member, Replicate};
pub use self::rows::{ConfigurationRow, ResultsTable, RowState, TaskOutcome};
