//! Who gets what: the packing policy.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, btree_set},
};

use crate::id::{LeaseToken, SweepId, TaskId};

use super::{
    event::Event,
    machine::Scheduler,
    sweep_state::{Group, SweepState},
};

impl Scheduler {
    /// The leases that should be granted now, as events to apply; nothing is changed by asking.
    ///
    /// Each free slot goes to the sweep of the highest priority that has something to train; among equals to
    /// the one that has the fewest slots, then to the oldest. A slot gets as many tasks of one cohort as it
    /// takes, unless there are fewer tasks than free places: then they are spread, for two half-full slots are
    /// faster than a full one beside an idle one.
    #[must_use]
    pub fn next_grants(&self) -> Vec<Event> {
        let mut grants = Vec::new();
        let mut slots_left = self.free.len();
        if slots_left == 0 {
            return grants;
        }
        let only = self.settings.only.as_ref();
        let states = self
            .active
            .iter()
            .filter_map(|id| self.sweeps.get(id))
            .filter(|state| only.is_none_or(|name| state.sweep.name == *name));
        let mut pickers: BTreeMap<Turn, Picker<'_>> = states
            .map(|state| (Turn::of(state), Picker::new(state)))
            .filter(|(_, picker)| picker.room > 0)
            .collect();
        let mut tasks_left: usize = pickers.values().map(|picker| picker.room).sum();
        let mut token = self.last_token;
        // Ascending capacity: what a small slot can not take of its share goes to the larger ones after it.
        for slot in &self.free {
            let share = tasks_left.div_ceil(slots_left).min(slot.max_cohort as usize);
            slots_left -= 1;
            let Some((mut turn, mut picker)) = pickers.pop_first() else { return grants };
            let tasks = picker.take(share);
            tasks_left -= tasks.len();
            if picker.room > 0 {
                turn.slots += 1;
                pickers.insert(turn, picker);
            }
            token = LeaseToken(token.0 + 1);
            grants.push(Event::LeaseGranted { token, worker: slot.worker.clone(), slot: slot.slot, tasks });
        }
        grants
    }
}

/// Whose turn it is: the least comes first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    priority: Reverse<i32>,
    slots: u32,
    sweep: SweepId,
}

impl Turn {
    fn of(state: &SweepState) -> Self {
        Self { priority: Reverse(state.priority), slots: state.leases, sweep: state.id }
    }
}

/// Takes tasks out of a sweep's queues without changing them.
struct Picker<'a> {
    state: &'a SweepState,
    /// All ready tasks; those in `taken` are to be skipped.
    order: btree_set::Iter<'a, u32>,
    /// What is left of each group that was begun.
    groups: BTreeMap<Group, btree_set::Iter<'a, u32>>,
    taken: BTreeSet<u32>,
    /// How many more may be taken: never more than there are ready tasks.
    room: usize,
}

impl<'a> Picker<'a> {
    fn new(state: &'a SweepState) -> Self {
        Self {
            state,
            order: state.ready.iter(),
            groups: BTreeMap::new(),
            taken: BTreeSet::new(),
            room: state.room(),
        }
    }

    /// The first ready task and the next ones that can share its cohort, `most` at most and at least one.
    fn take(&mut self, most: usize) -> Vec<(TaskId, u32)> {
        let state = self.state;
        let Some(first) = self.order.by_ref().find(|index| !self.taken.remove(index)) else {
            return Vec::new();
        };
        let group @ (_, density) = state.group_of(*first);
        let queue = state.groups.get(&group).map(BTreeSet::iter).unwrap_or_default();
        // Both orders agree and what came before is taken: the group's next is `first` itself.
        let members = self.groups.entry(group).or_insert(queue);
        let mut tasks = Vec::new();
        for index in members.take(most.min(self.room).min(density as usize)) {
            if index != first {
                self.taken.insert(*index);
            }
            tasks.push((state.task_id(*index), state.task(*index).attempts + 1));
        }
        self.room -= tasks.len();
        tasks
    }
}
