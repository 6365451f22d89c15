//! Reads a worker's messages without a coordinator, for fuzzing.

use colearn_core::id::WorkerId;
use colearn_proto::v1::{self, work_request::Message};

use super::untrusted;

/// Whether the coordinator would accept this message as a hello or as a later message.
///
/// # Errors
/// The reason why it would not.
pub fn understands(request: v1::WorkRequest) -> Result<(), String> {
    match request.message {
        None => Ok(()),
        Some(Message::Hello(hello)) => untrusted::hello(hello).map(drop).map_err(|error| error.to_string()),
        Some(Message::Log(logged)) => {
            let worker = WorkerId::new("worker").map_err(|error| error.to_string())?;
            untrusted::log_batch(&worker, logged).map(drop).map_err(|error| error.to_string())
        }
        Some(message) => untrusted::from_worker(message).map(drop).map_err(|error| error.to_string()),
    }
}
