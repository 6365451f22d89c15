//! The curves of running tasks.

use std::collections::HashSet;

use colearn_core::{
    id::ConfigurationId,
    scheduler::{RunningTaskCurves, Scheduler},
};
use colearn_proto::v1::GetRunningCurvesResponse;
use tonic::Status;

use super::{context::Rpc, parts::Parts};

impl Rpc {
    /// The curves of the running tasks of these configurations; of all if none is named. Only references to them are
    /// taken in the engine's turn. A settled sweep has none, and is not rebuilt.
    pub(super) async fn running_curves(
        &self,
        name: &str,
        only: HashSet<ConfigurationId>,
    ) -> Result<Vec<RunningTaskCurves>, Status> {
        let (_, id) = self.find(name).await?;
        let look = move |scheduler: &Scheduler| {
            scheduler.running_curves(id, |task| only.is_empty() || only.contains(&task.configuration))
        };
        self.ask(look).await
    }
}

/// Sends them, one message per task.
pub(super) async fn stream(running: Vec<RunningTaskCurves>, mut parts: Parts<GetRunningCurvesResponse>) {
    for RunningTaskCurves { task, name, attempt, epochs, curves } in running {
        if parts.ready().await.is_err() {
            return;
        }
        let history = curves.records().map(Into::into).collect();
        let every = curves.every();
        let part =
            GetRunningCurvesResponse { task: Some(task.into()), attempt, name, epochs, history, every };
        if parts.send(part).await.is_err() {
            return;
        }
    }
}
