//! The packing policy: which worker gets which tasks.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, btree_set},
    iter::Peekable,
};

use crate::id::{LeaseToken, SweepId, TaskId, WorkerId};

use super::{
    eligibility::Take, event::Event, machine::Scheduler, offers::Fits, record::Scope, sweep_state::SweepState,
};

impl Scheduler {
    /// The leases to grant now, as events to apply; this query changes nothing.
    ///
    /// Each free slot goes to the sweep with the highest priority that has ready tasks whose needs the slot meets;
    /// among equals to the one with the fewest slots, then to the oldest. A slot gets as many tasks of one cohort as
    /// it can take. If there are fewer tasks than free places, the tasks are spread over slots, because two half-full
    /// slots are faster than a full one and an idle one. Slots that meet the needs of few sweeps come first, see
    /// [`Fits::order`]. A worker gets only tasks that it may train, see `Scheduler::may_attempt`.
    pub(super) fn next_grants(&self) -> Vec<Event> {
        let mut grants = Vec::new();
        if self.free.is_empty() {
            return grants;
        }
        let only = self.settings.only.as_ref();
        let states = self
            .active
            .iter()
            .filter_map(|id| self.sweeps.get(id))
            .filter(|state| only.is_none_or(|name| state.sweep.name == *name))
            .filter(|state| !self.misfits.contains_key(&state.id));
        let mut fits = Fits::new(&self.known_offers);
        let mut pickers: BTreeMap<Turn, Picker<'_>> = states
            .map(|state| (Turn::of(state), Picker::new(state, fits.row(&state.sweep.needs))))
            .filter(|(_, picker)| picker.room > 0)
            .collect();
        // Slots whose worker has nothing to train get no share of the tasks.
        let mut useful = Vec::new();
        for slot in &self.free {
            if let Some(takes) = self.takes(&slot.worker)
                && pickers.values_mut().any(|picker| {
                    fits.meets(picker.needs, slot.kind) && picker.has_some_for(self, &slot.worker)
                })
            {
                useful.push((slot, takes));
            }
        }
        let order = fits.order();
        // Slots that offer the same are in order already.
        if order.windows(2).any(|pair| pair[0] != pair[1]) {
            useful.sort_by_key(|(slot, _)| order[slot.kind]);
        }
        let mut shares = Shares::new(&fits);
        pickers.values().for_each(|picker| shares.add_tasks(picker.needs, picker.room));
        useful.iter().for_each(|(slot, _)| shares.add_slot(slot.kind));
        let mut token = self.last_token;
        let mut probing: BTreeSet<(&WorkerId, Scope)> = BTreeSet::new();
        // In order of capacity: the part of a share that a small slot cannot take goes to larger slots later.
        for (slot, takes) in useful {
            if pickers.is_empty() {
                return grants;
            }
            shares.next_slot(slot.kind);
            if takes == Take::One && !probing.insert((&slot.worker, None)) {
                continue;
            }
            // Usually the first sweep has tasks for this worker.
            let mut take = |avoided: Option<&BTreeSet<(SweepId, u64)>>| {
                pickers.iter_mut().find_map(|(turn, picker)| {
                    let fit = fits.meets(picker.needs, slot.kind);
                    let most = match takes {
                        _ if !fit => return None,
                        Take::Any => shares.of(picker.needs).min(slot.max_cohort as usize),
                        Take::One => 1,
                    };
                    let tasks = picker.take(self, &slot.worker, most, avoided, &mut probing);
                    (!tasks.is_empty()).then_some((*turn, picker.needs, tasks))
                })
            };
            // A task that failed here, or whose seed did, would test itself and not the worker.
            let tested = self.records.get(&slot.worker).filter(|_| takes == Take::One);
            let taken = tested.and_then(|record| take(Some(&record.struck_seeds()))).or_else(|| take(None));
            let Some((mut turn, needs, tasks)) = taken else { continue };
            shares.took(needs, tasks.len());
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

/// Spreads the tasks of equal needs over the slots that meet these needs.
struct Shares<'f, 'a> {
    fits: &'f Fits<'a>,
    /// For each row of `fits`: the tasks that are left, and the slots that are left.
    left: Vec<(usize, usize)>,
}

impl<'f, 'a> Shares<'f, 'a> {
    fn new(fits: &'f Fits<'a>) -> Self {
        Self { fits, left: vec![(0, 0); fits.rows()] }
    }

    fn add_tasks(&mut self, row: usize, tasks: usize) {
        self.left[row].0 += tasks;
    }

    fn add_slot(&mut self, kind: usize) {
        for (row, (_, slots)) in self.left.iter_mut().enumerate() {
            *slots += usize::from(self.fits.meets(row, kind));
        }
    }

    /// From now on the share of the next slot is asked for, which has offers of this number.
    fn next_slot(&mut self, kind: usize) {
        for (row, (_, slots)) in self.left.iter_mut().enumerate() {
            *slots -= usize::from(self.fits.meets(row, kind));
        }
    }

    /// The share of the tasks with the needs of a row.
    fn of(&self, row: usize) -> usize {
        let (tasks, slots_after) = self.left[row];
        tasks.div_ceil(slots_after + 1)
    }

    fn took(&mut self, row: usize, tasks: usize) {
        self.left[row].0 -= tasks;
    }
}

/// The position of a sweep in the order of turns; the smallest comes first.
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

/// Takes tasks from a sweep's queues without changing the queues.
struct Picker<'a> {
    state: &'a SweepState,
    /// The row of its needs in [`Fits`].
    needs: usize,
    /// One for each data set of the sweep.
    queues: Vec<Queue<'a>>,
    /// The taken tasks.
    taken: BTreeSet<u32>,
    /// How many more tasks may be taken; never more than there are ready tasks.
    room: usize,
}

/// The ready tasks of one data set.
struct Queue<'a> {
    /// The tasks that were not examined yet.
    order: Peekable<btree_set::Iter<'a, u32>>,
    /// Examined tasks that the workers so far may not train.
    left: BTreeSet<u32>,
    /// The answer of `Scheduler::may_be_somewhere`, when it was needed.
    somewhere: Option<bool>,
}

impl<'a> Picker<'a> {
    fn new(state: &'a SweepState, needs: usize) -> Self {
        let queue = |tasks: &'a BTreeSet<u32>| Queue {
            order: tasks.iter().peekable(),
            left: BTreeSet::new(),
            somewhere: None,
        };
        let (queues, room) = (state.ready.iter().map(queue).collect(), state.room());
        Self { state, needs, queues, taken: BTreeSet::new(), room }
    }

    /// Whether there are tasks of a data set that may be used on this worker. All of them may turn out to be for others.
    fn has_some_for(&mut self, scheduler: &Scheduler, worker: &WorkerId) -> bool {
        (0..self.queues.len()).any(|data_set| {
            !self.state.ready[data_set].is_empty() && self.takes(scheduler, worker, data_set).is_some()
        })
    }

    /// Whether a worker may train tasks of a data set, and if so, whether only one to prove itself with.
    fn takes(&mut self, scheduler: &Scheduler, worker: &WorkerId, data_set: usize) -> Option<Take> {
        let (state, queue) = (self.state, &mut self.queues[data_set]);
        let lacks = !scheduler.may_have_data(worker, state, data_set)
            && *queue.somewhere.get_or_insert_with(|| scheduler.may_be_somewhere(state, data_set));
        if lacks { None } else { scheduler.takes_data_set(worker, &state.data_sets[data_set]) }
    }

    /// The first ready task that this worker may train, and further ones that can share its cohort, at most `most` in
    /// total; none if there is no task for this worker. With
    /// `avoided`, tasks of these seeds and those that failed there before are left out.
    fn take<'w>(
        &mut self,
        scheduler: &Scheduler,
        worker: &'w WorkerId,
        most: usize,
        avoided: Option<&BTreeSet<(SweepId, u64)>>,
        probing: &mut BTreeSet<(&'w WorkerId, Scope)>,
    ) -> Vec<(TaskId, u32)> {
        let state = self.state;
        let scope = |data_set: usize| (worker, Some(state.data_sets[data_set].clone()));
        let failed_here =
            |index| state.failed_on.get(&index).is_some_and(|workers| workers.contains_key(worker));
        let may = |index: u32| {
            let avoid = avoided.is_some_and(|seeds| {
                failed_here(index) || seeds.contains(&(state.id, state.task_id(index).seed))
            });
            !avoid && scheduler.may_attempt(worker, state, index)
        };
        let mut found: Option<(u32, usize, Take)> = None;
        for data_set in 0..self.queues.len() {
            let Some(takes) = self.takes(scheduler, worker, data_set) else { continue };
            if takes == Take::One && probing.contains(&scope(data_set)) {
                continue;
            }
            let before = found.map_or(u32::MAX, |(first, ..)| first);
            if let Some(first) = self.queues[data_set].first(before, &self.taken, may) {
                found = Some((first, data_set, takes));
            }
        }
        let Some((first, data_set, takes)) = found else { return Vec::new() };
        let mut most = most.min(self.room);
        if takes == Take::One {
            probing.insert(scope(data_set));
            most = 1;
        }
        let group @ (_, max_cohort) = state.group_of(first);
        let after = state.groups.get(&group).into_iter().flat_map(|queue| queue.range(first + 1..)).copied();
        let others = after.filter(|index| {
            !self.taken.contains(index) && state.data_set_of(*index) == data_set && may(*index)
        });
        let mut members = vec![first];
        members.extend(others.take(most.min(max_cohort as usize).saturating_sub(1)));
        for index in &members {
            self.queues[data_set].left.remove(index);
            self.taken.insert(*index);
        }
        self.room -= members.len();
        members.into_iter().map(|index| (state.task_id(index), state.task(index).attempts + 1)).collect()
    }
}

impl Queue<'_> {
    /// The first task before a place that was not taken and may be trained.
    fn first(&mut self, before: u32, taken: &BTreeSet<u32>, may: impl Fn(u32) -> bool) -> Option<u32> {
        if let Some(first) = self.left.range(..before).copied().find(|index| may(*index)) {
            return Some(first);
        }
        while let Some(index) = self.order.next_if(|index| **index < before) {
            if taken.contains(index) {
                continue;
            }
            self.left.insert(*index);
            if may(*index) {
                return Some(*index);
            }
        }
        None
    }
}
