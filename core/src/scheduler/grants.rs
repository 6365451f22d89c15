//! Who gets what: the packing policy.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, btree_set},
};

use crate::id::{LeaseToken, SweepId, TaskId, WorkerId};

use super::{eligibility::Take, event::Event, machine::Scheduler, pauses::Scope, sweep_state::SweepState};

impl Scheduler {
    /// The leases that should be granted now, as events to apply; nothing is changed by asking.
    ///
    /// Each free slot goes to the sweep of the highest priority that has something to train; among equals to
    /// the one that has the fewest slots, then to the oldest. A slot gets as many tasks of one cohort as it
    /// takes, unless there are fewer tasks than free places: then they are spread, for two half-full slots are
    /// faster than a full one beside an idle one. A worker gets no task that it should not, see
    /// `Scheduler::may_train`.
    pub(super) fn next_grants(&self) -> Vec<Event> {
        let mut grants = Vec::new();
        let mut slots_left = self.free.len();
        if !self.records.is_empty() {
            slots_left -= self.free.iter().filter(|slot| self.takes(&slot.worker).is_none()).count();
        }
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
        let mut probing: BTreeSet<(&WorkerId, Scope)> = BTreeSet::new();
        // Ascending capacity: what a small slot can not take of its share goes to the larger ones after it.
        for slot in &self.free {
            if pickers.is_empty() {
                return grants;
            }
            let Some(takes) = self.takes(&slot.worker) else { continue };
            let share = tasks_left.div_ceil(slots_left).min(slot.max_cohort as usize);
            slots_left -= 1;
            let most = match takes {
                Take::Any => share,
                Take::One if probing.insert((&slot.worker, None)) => 1,
                Take::One => continue,
            };
            // Most often the first sweep has something for this worker.
            let taken = pickers.iter_mut().find_map(|(turn, picker)| {
                let tasks = picker.take(self, &slot.worker, most, &mut probing);
                (!tasks.is_empty()).then_some((*turn, tasks))
            });
            let Some((mut turn, tasks)) = taken else { continue };
            tasks_left -= tasks.len();
            if let Some(picker) = pickers.remove(&turn).filter(|picker| picker.room > 0) {
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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    /// The ready tasks that nobody has looked at yet.
    order: btree_set::Iter<'a, u32>,
    /// Those that were not for the workers that looked at them.
    left: BTreeSet<u32>,
    /// Those that were taken.
    taken: BTreeSet<u32>,
    /// How many more may be taken: never more than there are ready tasks.
    room: usize,
}

impl<'a> Picker<'a> {
    fn new(state: &'a SweepState) -> Self {
        let (order, room) = (state.ready.iter(), state.room());
        Self { state, order, left: BTreeSet::new(), taken: BTreeSet::new(), room }
    }

    /// The first ready task that this worker may train and the next ones that can share its cohort, `most` at most.
    /// None when there is nothing for this worker.
    fn take<'w>(
        &mut self,
        scheduler: &Scheduler,
        worker: &'w WorkerId,
        most: usize,
        probing: &mut BTreeSet<(&'w WorkerId, Scope)>,
    ) -> Vec<(TaskId, u32)> {
        let state = self.state;
        let takes = |index: u32| scheduler.takes_data_set(worker, &state.settings_of(index).dataset);
        let scope = |index: u32| (worker, Some(state.settings_of(index).dataset.clone()));
        let may = |index: u32, probing: &BTreeSet<(&WorkerId, Scope)>| {
            let takes = match takes(index) {
                Some(Take::Any) => true,
                Some(Take::One) => !probing.contains(&scope(index)),
                None => false,
            };
            takes && scheduler.may_train(worker, state, index)
        };
        let mut first = self.left.iter().copied().find(|index| may(*index, probing));
        while first.is_none()
            && let Some(index) = self.order.next()
        {
            if self.taken.contains(index) {
                continue;
            }
            if may(*index, probing) {
                first = Some(*index);
            } else {
                self.left.insert(*index);
            }
        }
        let Some(first) = first else { return Vec::new() };
        let mut most = most.min(self.room);
        if takes(first) == Some(Take::One) {
            probing.insert(scope(first));
            most = 1;
        }
        let group @ (_, max_cohort) = state.group_of(first);
        let after = state.groups.get(&group).into_iter().flat_map(|queue| queue.range(first + 1..)).copied();
        let others = after.filter(|index| !self.taken.contains(index) && may(*index, probing));
        let mut members = vec![first];
        members.extend(others.take(most.min(max_cohort as usize).saturating_sub(1)));
        for index in &members {
            self.left.remove(index);
            self.taken.insert(*index);
        }
        self.room -= members.len();
        members.into_iter().map(|index| (state.task_id(index), state.task(index).attempts + 1)).collect()
    }
}
