//! Changes of large sweeps, computed before the turn in which they happen.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use crate::{
    id::{ConfigurationId, SweepId},
    settings::DataShape,
    sweep::{Configuration, Order, Sweep},
    time::Timestamp,
};

use super::{
    machine::Scheduler,
    operations::{ExtensionError, extended},
    sweep_state::SweepState,
    sweeps::{same_tasks, settings_differ, with_settings_of},
};

/// The parts of a submission or an extension that take time in proportion to the sweep. They depend only on sweeps, and
/// not on the state of tasks. Without it [`Scheduler::apply`] computes the same during the turn.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The sweep as it was before; `None` if there was none of this name.
    there: Option<Arc<Sweep>>,
    /// The sweep of the event.
    sweep: Arc<Sweep>,
    /// The sweep after the change.
    after: Arc<Sweep>,
    /// Whether it differs from that before.
    changes: bool,
    /// The state in which all its tasks are pending, until it is taken.
    state: Option<SweepState>,
    /// The numbers of the tasks that were there before, by their numbers before.
    moved: Vec<u32>,
    /// The names of its data sets.
    data_sets: BTreeSet<String>,
    /// The mistakes that were found in it for data sets.
    checked: Vec<(String, DataShape, Vec<String>)>,
}

impl Prepared {
    /// Prepares the submission of a sweep that does not exist yet. It is used if the event has this very sweep.
    #[must_use]
    pub fn submission(sweep: Arc<Sweep>) -> Self {
        Self::new(None, sweep.clone(), sweep, true)
    }

    /// Prepares the submission of a sweep that exists with other settings; `None` if it exists with the same settings,
    /// or with other tasks. It is used if the event has this very sweep, and if the existing one is still the same.
    #[must_use]
    pub fn resubmission(there: Arc<Sweep>, sweep: Arc<Sweep>) -> Option<Self> {
        if !same_tasks(&there, &sweep) || !settings_differ(&there, &sweep) {
            return None;
        }
        let after = Arc::new(with_settings_of(&there, &sweep));
        Some(Self::new(Some(there), sweep, after, true))
    }

    /// Prepares the extension of a sweep. It is used if the event has [`Self::sweep`], and if the sweep is still the
    /// same as now.
    ///
    /// # Errors
    /// As [`Scheduler::extension`].
    pub fn extension(there: Arc<Sweep>, newer: &Sweep) -> Result<Self, ExtensionError> {
        let sweep = Arc::new(extended(&there, newer)?);
        let changes = *there != *sweep;
        Ok(Self::new(Some(there), sweep.clone(), sweep, changes))
    }

    fn new(there: Option<Arc<Sweep>>, sweep: Arc<Sweep>, after: Arc<Sweep>, changes: bool) -> Self {
        let state = fresh(&after);
        let moved = there.as_ref().map_or_else(Vec::new, |there| moved(there, &state));
        let data_sets = after.data_sets().into_iter().map(str::to_owned).collect();
        Self { there, sweep, after, changes, state: Some(state), moved, data_sets, checked: Vec::new() }
    }

    /// Checks the sweep against data sets, see [`Scheduler::data_shapes`].
    pub fn check(&mut self, shapes: Vec<(String, DataShape)>) {
        let checked = shapes.into_iter().map(|(name, shape)| {
            let misfits = self.after.misfits(&name, &shape);
            (name, shape, misfits)
        });
        self.checked = checked.collect();
    }

    /// The names of its data sets.
    pub fn data_sets(&self) -> impl Iterator<Item = &str> {
        self.data_sets.iter().map(String::as_str)
    }

    /// The mistakes in the sweep for a data set, if it was checked against it.
    pub(super) fn misfits(&self, name: &str, shape: &DataShape) -> Option<Vec<String>> {
        let found = self.checked.iter().find(|(checked, other, _)| checked == name && other == shape)?;
        Some(found.2.clone())
    }

    /// Whether the change has an effect.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.changes
    }

    /// The sweep after the change.
    pub(super) fn after(&self) -> &Arc<Sweep> {
        &self.after
    }

    /// The sweep of the event.
    #[must_use]
    pub fn sweep(&self) -> &Arc<Sweep> {
        &self.sweep
    }

    /// Whether it was computed for this sweep as it is now.
    fn is_from(&self, there: Option<&Arc<Sweep>>) -> bool {
        match (&self.there, there) {
            (Some(prepared), Some(there)) => Arc::ptr_eq(prepared, there),
            (None, None) => true,
            _ => false,
        }
    }
}

/// The state of a sweep in which nothing has begun, with the names that the first lease will need.
fn fresh(sweep: &Arc<Sweep>) -> SweepState {
    let state = SweepState::new(SweepId(0), sweep.clone(), Timestamp(0));
    state.names();
    state
}

/// The numbers in `new` of all tasks of a sweep, by their numbers in the sweep.
pub(super) fn moved(there: &Sweep, new: &SweepState) -> Vec<u32> {
    let places = |configuration: &Configuration| new.place_of(configuration.id);
    let configurations: Vec<Option<u32>> = there.configurations.iter().map(places).collect();
    let seeds: Vec<Option<u32>> = there.seeds.iter().map(|seed| new.place_of_seed(*seed)).collect();
    let at = |configuration: &Option<u32>, seed: &Option<u32>| {
        new.at(configuration.expect("no task is ever left out"), seed.expect("no task is ever left out"))
    };
    match there.schedule.order {
        Order::BySeed => {
            seeds.iter().flat_map(|seed| configurations.iter().map(move |place| at(place, seed))).collect()
        }
        Order::ByConfiguration => {
            configurations.iter().flat_map(|place| seeds.iter().map(move |seed| at(place, seed))).collect()
        }
    }
}

/// Finds configurations of another sweep by their ids. Usually they are in the same order.
pub(super) struct ById<'a> {
    configurations: &'a [Configuration],
    by_id: Option<HashMap<ConfigurationId, &'a Configuration>>,
}

impl<'a> ById<'a> {
    pub(super) fn new(sweep: &'a Sweep) -> Self {
        Self { configurations: &sweep.configurations, by_id: None }
    }

    /// The configuration with this id, which is probably at this place.
    pub(super) fn find(&mut self, place: usize, id: ConfigurationId) -> Option<&'a Configuration> {
        if let Some(there) = self.configurations.get(place).filter(|there| there.id == id) {
            return Some(there);
        }
        let all = self.configurations;
        let by_id = self.by_id.get_or_insert_with(|| all.iter().map(|it| (it.id, it)).collect());
        by_id.get(&id).copied()
    }
}

/// What a turn has replaced. To drop it takes time in proportion to the sweep.
#[derive(Debug)]
pub struct Discarded {
    _states: Vec<SweepState>,
    _prepared: Option<Box<Prepared>>,
}

impl Scheduler {
    /// Announces what was computed for the next submission or extension.
    pub fn prepare(&mut self, prepared: Box<Prepared>) {
        self.prepared = Some(prepared);
    }

    /// Whether what was computed for an extension of a sweep fits the sweep as it is now.
    #[must_use]
    pub fn can_use(&self, sweep: SweepId, prepared: &Prepared) -> bool {
        let there = self.sweeps.get(&sweep).map(|state| &state.sweep);
        there.is_some() && prepared.is_from(there)
    }

    /// Takes what is no longer needed, to be dropped elsewhere; `None` if there is nothing.
    pub fn take_discarded(&mut self) -> Option<Discarded> {
        let (states, prepared) = (std::mem::take(&mut self.discarded), self.prepared.take());
        (!states.is_empty() || prepared.is_some())
            .then_some(Discarded { _states: states, _prepared: prepared })
    }

    /// What is prepared for an event that brings this sweep, for one that is `there` now.
    pub(super) fn prepared_for(&self, there: &Arc<Sweep>, sweep: &Arc<Sweep>) -> Option<&Prepared> {
        self.prepared.as_deref().filter(|it| it.is_from(Some(there)) && Arc::ptr_eq(&it.sweep, sweep))
    }

    /// The state of a sweep in which nothing has begun, and the new numbers of the tasks that it had before: prepared,
    /// or computed now.
    pub(super) fn prepared_state(
        &mut self,
        there: Option<&Arc<Sweep>>,
        sweep: Arc<Sweep>,
    ) -> (SweepState, Vec<u32>) {
        if let Some(prepared) =
            self.prepared.as_mut().filter(|it| it.is_from(there) && Arc::ptr_eq(&it.after, &sweep))
            && let Some(state) = prepared.state.take()
        {
            return (state, std::mem::take(&mut prepared.moved));
        }
        let state = SweepState::new(SweepId(0), sweep, Timestamp(0));
        let moved = there.map_or_else(Vec::new, |there| moved(there, &state));
        (state, moved)
    }
}
