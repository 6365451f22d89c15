//! The results table as text.

mod classes;
pub(crate) mod csv;
mod curves;
mod json;
mod latex;
mod markdown;

pub(crate) use classes::classes;
pub(crate) use csv::chosen;
pub use csv::csv;
#[cfg(feature = "parquet")]
pub(crate) use csv::{NUMBERS, WORDS};
pub(crate) use curves::curves;
pub(crate) use json::SCHEMA;
pub use json::json;
pub use latex::latex;
pub use markdown::markdown;
pub(crate) use markdown::{escape as markdown_escape, line as markdown_line};
