//! Queries of sweeps, both of active and of settled ones.

use colearn_core::{
    id::{SweepId, SweepName},
    scheduler::{Scheduler, SweepView},
};
use tonic::{Code, Status};

use super::{context::Rpc, convert, refusal::refusal};
use crate::engine::Stopped;

/// Number of journal entries that are read at once.
const PAGE: u32 = 4096;

impl Rpc {
    /// Asks the engine.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Scheduler) -> T + Send + 'static,
    ) -> Result<T, Status> {
        self.engine.ask(question).await.map_err(convert::stopped)
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
        let (name, id) = self.find(name).await?;
        let seen = match self.settled(id).await? {
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
        if let Some(alone) = self.settled(id).await? {
            self.engine.revive(id, alone).await.map_err(convert::stopped)?;
        }
        Ok(())
    }

    /// A settled sweep, rebuilt from its journal entries; `None` if it is not settled.
    async fn settled(&self, id: SweepId) -> Result<Option<Scheduler>, Status> {
        if !self.ask(move |scheduler| scheduler.settled(id).is_some()).await? {
            return Ok(None);
        }
        let (mut entries, mut after) = (Vec::new(), 0);
        loop {
            let page = self.store.journal_of(id, after, PAGE).await.map_err(|e| convert::store_failed(&e))?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            entries.extend(page.into_iter().map(|(_, entry)| (entry.at, entry.event)));
        }
        let rebuilt = tokio::task::spawn_blocking(move || Scheduler::of_one_sweep(entries)).await;
        rebuilt.map(Some).map_err(|error| refusal(Code::Internal, error))
    }
}

/// The status after the engine has stopped, which ends every answer.
pub(super) fn stopped() -> Status {
    convert::stopped(Stopped)
}
