//! Results for people and programs: text tables, LaTeX, charts, and a self-contained page.
//!
//! Everything here is a function of a [`Material`]; the only side effect is [`write()`], which writes a folder.

mod cells;
mod charts;
mod choice;
pub mod compare;
mod error;
mod escape;
mod folder;
mod long;
mod meaning;
mod numbers;
mod page;
#[cfg(feature = "parquet")]
mod parquet;
mod reference;
mod report_data;
mod select;
mod svg;
pub mod text;
mod verdicts;

#[cfg(feature = "parquet")]
pub use self::parquet::parquet;
pub use cells::{heading_and_rows, metric_heading, row_names, setting_columns, summary_line, warnings};
pub use error::ReportError;
pub use folder::write;
pub use long::{Long, Records};
#[cfg(feature = "parquet")]
pub use parquet::predictions_parquet;
pub use reference::{Matched, Published, Reference, ReferenceError};
pub use report_data::{FailureNote, Material, Provenance, Record};
pub use select::{Leading, Selection, UnknownName, leading};
pub use verdicts::next_step;
