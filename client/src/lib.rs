//! What all clients of a coordinator share, the command line and the dashboard: words for states, the form of JSON, and
//! results with their table.

mod fetched;
pub mod json;
mod running;
pub mod words;

pub use fetched::{FetchError, Fetched, Received, failure_note, gather, receive};
pub use running::{RunningCurves, gather_running};
