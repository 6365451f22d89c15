//! The results table as text.

pub(crate) mod csv;
mod curves;
mod json;
mod latex;
mod markdown;

pub use csv::csv;
#[cfg(feature = "parquet")]
pub(crate) use csv::{NUMBERS, WORDS};
pub(crate) use curves::curves;
pub(crate) use json::SCHEMA;
pub use json::json;
pub use latex::latex;
pub(crate) use markdown::line as markdown_line;
pub use markdown::markdown;
