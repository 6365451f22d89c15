//! Queries of sweeps, both of active and of settled ones.

use std::sync::Arc;

use colearn_core::{
    id::{SweepId, SweepName},
    scheduler::{Scheduler, SweepView},
};
use colearn_proto::v1;
use tonic::{Code, Status};

use super::{context::Rpc, convert, refusal::refusal};
use crate::engine::{Stopped, SweepSummary};

/// What becomes of a settled sweep that was rebuilt for a query.
#[derive(Clone, Copy)]
pub(super) enum Afterwards {
    /// It is kept for the next query, such as that of the next page.
    Keep,
    /// It is not kept, because what is answered is large too.
    LetGo,
}

impl Rpc {
    /// Asks the engine.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Scheduler) -> T + Send + 'static,
    ) -> Result<T, Status> {
        self.engine.ask(question).await.map_err(convert::stopped)
    }

    /// The summary of a sweep, with who submitted it.
    pub(super) fn summary(&self, summary: SweepSummary) -> v1::SweepSummary {
        let by = self.engine.submitters().of(summary.id);
        v1::SweepSummary {
            submitted_by: by.as_deref().unwrap_or_default().to_owned(),
            ..convert::summary(summary)
        }
    }

    /// The number of the sweep of this name.
    pub(super) async fn find(&self, name: &str) -> Result<(SweepName, SweepId), Status> {
        let name = SweepName::new(name).map_err(convert::invalid)?;
        let wanted = name.clone();
        let id = self.ask(move |scheduler| scheduler.id_of(&wanted)).await?;
        let id = id.ok_or_else(|| convert::unknown_sweep(&name))?;
        Ok((name, id))
    }

    /// Queries one sweep. The engine is not involved in queries of a settled sweep, which may take a while.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        name: &str,
        question: impl FnOnce(&Scheduler, SweepView<'_>) -> T + Send + 'static,
    ) -> Result<T, Status> {
        self.look_and(Afterwards::Keep, name, question).await
    }

    /// As [`Self::look`], and says what becomes of a settled sweep.
    pub(super) async fn look_and<T: Send + 'static>(
        &self,
        afterwards: Afterwards,
        name: &str,
        question: impl FnOnce(&Scheduler, SweepView<'_>) -> T + Send + 'static,
    ) -> Result<T, Status> {
        let (name, id) = self.find(name).await?;
        let settled = match (self.is_settled(id).await?, afterwards) {
            (false, _) => None,
            (true, Afterwards::Keep) => Some(self.rebuilt.get(id, &*self.store).await?),
            (true, Afterwards::LetGo) => Some(self.rebuilt.take(id, &*self.store).await?),
        };
        let seen = match settled {
            Some(alone) => tokio::task::spawn_blocking(move || {
                let view = alone.sweep(id)?;
                Some(question(&alone, view))
            })
            .await
            .map_err(|error| refusal(Code::Internal, error))?,
            None => self.ask(move |scheduler| Some(question(scheduler, scheduler.sweep(id)?))).await?,
        };
        seen.ok_or_else(|| convert::unknown_sweep(&name))
    }

    /// Makes sure that the engine has the whole sweep, so that operations on it are possible.
    pub(super) async fn revive(&self, id: SweepId) -> Result<(), Status> {
        if self.is_settled(id).await? {
            let alone = self.rebuilt.take(id, &*self.store).await?;
            self.engine.revive(id, Arc::unwrap_or_clone(alone)).await.map_err(convert::stopped)?;
        }
        Ok(())
    }

    async fn is_settled(&self, id: SweepId) -> Result<bool, Status> {
        self.ask(move |scheduler| scheduler.settled(id).is_some()).await
    }
}

/// The status after the engine has stopped, which ends every answer.
pub(super) fn stopped() -> Status {
    convert::stopped(Stopped)
}
