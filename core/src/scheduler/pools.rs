//! What pools of workers need to know, see [`crate::pools`].

use std::collections::BTreeMap;

use super::machine::Scheduler;
use crate::{
    needs::Needs,
    pools::{SeenWorker, Waiting},
};

impl Scheduler {
    /// The tasks that would start now if there were slots for them, by what they need.
    #[must_use]
    pub fn waiting(&self) -> Vec<Waiting> {
        let only = self.settings.only.as_ref();
        let states = self
            .active
            .iter()
            .filter_map(|id| self.sweeps.get(id))
            .filter(|state| only.is_none_or(|name| state.sweep.name == *name))
            .filter(|state| !self.misfits.contains_key(&state.id));
        let mut by_needs: BTreeMap<&Needs, u64> = BTreeMap::new();
        for state in states {
            *by_needs.entry(&state.sweep.needs).or_default() += state.room() as u64;
        }
        let waiting = by_needs.into_iter().filter(|(_, tasks)| *tasks > 0);
        waiting.map(|(needs, tasks)| Waiting { needs: needs.clone(), tasks }).collect()
    }

    /// The connected workers as pools see them. Ids without the random digits at their end are left out.
    #[must_use]
    pub fn workers_for_pools(&self) -> Vec<SeenWorker> {
        let connected = self.workers.iter().filter(|(_, worker)| worker.connected);
        let seen = connected.filter_map(|(id, worker)| {
            let (name, _) = id.as_str().rsplit_once('-')?;
            Some(SeenWorker {
                name: name.to_owned(),
                worked: worker.has_trained || !worker.leases.is_empty(),
                memory: worker.offers.iter().filter_map(|offers| offers.memory).max(),
                threads: worker.offers.iter().filter_map(|offers| offers.threads).max(),
            })
        });
        seen.collect()
    }
}
