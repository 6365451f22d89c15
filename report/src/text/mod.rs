//! The results table as text.

mod csv;
mod curves;
mod json;
mod latex;
mod markdown;

pub use csv::csv;
#[cfg(feature = "parquet")]
pub(crate) use csv::{NUMBERS, WORDS};
pub(crate) use curves::curves;
pub use json::json;
pub use latex::latex;
pub use markdown::markdown;
