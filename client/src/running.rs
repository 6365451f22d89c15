//! The curves of running tasks, as a coordinator sends them.

use colearn_core::result::EpochRecord;
use colearn_proto::v1::GetRunningCurvesResponse;
use tonic::{Code, Response, Status, Streaming};

/// The curves of a running task.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningCurves {
    /// The id of the configuration.
    pub configuration: String,
    /// The name of the configuration.
    pub name: String,
    /// The seed.
    pub seed: u64,
    /// The attempt.
    pub attempt: u32,
    /// Total number of epochs; 0 if it is not known.
    pub epochs: u32,
    /// The known epochs of the attempt, in order.
    pub history: Vec<EpochRecord>,
    /// The smallest distance of two of them, except for the last one.
    pub every: u32,
}

/// Reads an answer to `GetRunningCurves`. From a coordinator of an older version, which has no such method, there are
/// none.
///
/// # Errors
/// If the coordinator refused, or the connection was lost.
pub async fn gather_running(
    answer: Result<Response<Streaming<GetRunningCurvesResponse>>, Status>,
) -> Result<Vec<RunningCurves>, Status> {
    let mut parts = match answer {
        Ok(answer) => answer.into_inner(),
        Err(status) if status.code() == Code::Unimplemented => return Ok(Vec::new()),
        Err(status) => return Err(status),
    };
    let mut running = Vec::new();
    while let Some(part) = parts.message().await? {
        let GetRunningCurvesResponse { task, attempt, name, epochs, history, every } = part;
        let task = task.unwrap_or_default();
        running.push(RunningCurves {
            configuration: task.configuration,
            name,
            seed: task.seed,
            attempt,
            epochs,
            history: history.into_iter().map(Into::into).collect(),
            every: every.max(1),
        });
    }
    Ok(running)
}
