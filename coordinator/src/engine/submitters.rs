//! Who submitted sweeps. The scheduler does not know.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use colearn_core::id::SweepId;

/// Who submitted sweeps, where it is known. Numbers of sweeps never come again, so that nothing has to be removed.
#[derive(Clone, Debug, Default)]
pub struct Submitters(Arc<RwLock<BTreeMap<SweepId, Arc<str>>>>);

impl Submitters {
    pub(super) fn new(known: Vec<(SweepId, Arc<str>)>) -> Self {
        Self(Arc::new(RwLock::new(known.into_iter().collect())))
    }

    pub(super) fn insert(&self, sweep: SweepId, who: Arc<str>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(sweep, who);
    }

    /// Who submitted a sweep.
    #[must_use]
    pub fn of(&self, sweep: SweepId) -> Option<Arc<str>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&sweep).cloned()
    }
}
