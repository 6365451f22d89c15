//! Sweeps: from the sweep file to the tasks that are trained.

mod axes;
mod baselines;
mod blanks;
mod changes;
mod conflicts;
mod definition;
mod diagnostic;
mod draws;
mod exclude;
mod expand;
mod file;
mod fit;
mod json_schema;
mod mentions;
mod own;
mod parameters;
mod parse;
mod plan;
mod point;
mod program;
mod raw;
mod replicates;
mod report;
mod scalar;
mod sections;
mod vocabulary;

pub use definition::{
    Adjustment, CheckpointSettings, Configuration, Kept, Order, ReportSettings, RetrySettings,
    ScheduleSettings, Sweep,
};
pub use diagnostic::{Diagnostic, Diagnostics, Note, Severity, SourcePlace};
pub use draws::{DrawStage, PlannedDraws, PlannedDropout};
pub use file::reference;
pub use json_schema::json_schema;
pub use parse::Parsed;
pub use plan::{Decided, Plan, PlannedConfiguration, PlannedParameter, PlannedRows, PlannedSetting};
pub(crate) use replicates::replicate_values;
pub use scalar::did_you_mean;
