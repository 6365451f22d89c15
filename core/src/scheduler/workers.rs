//! The workers that are present, and their slots.

use std::collections::BTreeSet;

use crate::{
    id::{LeaseToken, TaskId, WorkerId},
    time::Timestamp,
};

use super::{
    action::{Action, DropReason},
    data_sets::DataSets,
    event::{HeldLease, SlotOffer},
    machine::Scheduler,
    offers::KnownOffers,
    report_status::ReportStatus,
    worker::{About, Offer, Worker},
};

impl Scheduler {
    pub(super) fn connect(
        &mut self,
        now: Timestamp,
        worker: WorkerId,
        about: About,
        slots: Vec<SlotOffer>,
        held: Vec<HeldLease>,
    ) -> Vec<Action> {
        self.clear_offers(&worker);
        self.forget_offers(&worker);
        let known = self.workers.entry(worker.clone()).or_default();
        known.connected = true;
        known.about = about;
        known.last_seen = now;
        known.data_sets = DataSets::default();
        known.slots.clear();
        for SlotOffer { index, device, max_cohort, offers } in slots {
            let (kind, offers) = self.known_offers.add(offers);
            let offer = Offer { max_cohort: max_cohort.max(1), device, offers, kind };
            if let Some(twice) = known.slots.insert(index, offer) {
                self.known_offers.remove(twice.kind);
            }
        }
        known.offers = known.slots.values().map(|offer| offer.offers.clone()).collect();
        known.busy.clear();
        let mut missing = known.leases.clone();
        let mut actions = Vec::new();
        if let Some(now) = known.draining {
            // The worker may not have received it the first time.
            actions.push(Action::DrainWorker { worker: worker.clone(), now });
        }
        for HeldLease { token, tasks } in held {
            let kept = self.leases.get(&token).is_some_and(|lease| lease.worker == worker && !lease.lost);
            if kept && missing.remove(&token) {
                self.keep_lease(now, &worker, token, &tasks);
            }
            if kept && tasks.is_empty() {
                continue;
            }
            actions.extend(self.reconcile_lease(&worker, token, tasks));
        }
        for token in missing {
            self.expire_now(now, token);
        }
        actions
    }

    fn keep_lease(&mut self, now: Timestamp, worker: &WorkerId, token: LeaseToken, listed: &[TaskId]) {
        self.extend(now, token);
        let (Some(lease), Some(known)) = (self.leases.get(&token), self.workers.get_mut(worker)) else {
            return;
        };
        known.busy.insert(lease.slot, token);
        if listed.is_empty() {
            return;
        }
        let Some(state) = self.sweeps.get(&lease.sweep) else { return };
        let listed: BTreeSet<u32> = listed.iter().filter_map(|task| state.index_of(*task)).collect();
        for index in lease.members.keys() {
            if !listed.contains(index) {
                self.lost_members.insert((token, *index));
            }
        }
    }

    /// The answers to a connecting worker about a lease that it holds: earlier reports are acknowledged, and tasks
    /// that are no longer its own are to be dropped.
    fn reconcile_lease(&self, worker: &WorkerId, token: LeaseToken, tasks: Vec<TaskId>) -> Vec<Action> {
        let mut actions = Vec::new();
        let mut stale = Vec::new();
        let all = tasks.len();
        let mut reason = DropReason::Stale;
        for task in tasks {
            let finished = self.classify_report(token, task, true);
            let failed = self.classify_report(token, task, false);
            if finished == ReportStatus::Repeated || failed == ReportStatus::Repeated {
                actions.push(Action::Acknowledge { token, task });
            } else if let ReportStatus::Refused(why) = finished {
                reason = why;
                stale.push(task);
            }
        }
        if stale.len() == all {
            // Also if the worker named no task of a lease that does not exist.
            actions.push(Action::DropLease { worker: worker.clone(), token, tasks: Vec::new(), reason });
        } else if !stale.is_empty() {
            actions.push(Action::DropLease { worker: worker.clone(), token, tasks: stale, reason });
        }
        actions
    }

    pub(super) fn learn_data_sets(&mut self, worker: &WorkerId, data_sets: DataSets) -> Vec<Action> {
        if let Some(known) = self.workers.get_mut(worker) {
            known.data_sets = data_sets;
            self.review_data_fit();
        }
        Vec::new()
    }

    pub(super) fn offer(&mut self, now: Timestamp, worker: &WorkerId, slots: &[u32]) -> Vec<Action> {
        self.clear_offers(worker);
        let takes_new = |known: &&Worker| known.connected && known.draining.is_none();
        if let Some(known) = self.workers.get(worker).filter(takes_new) {
            for slot in slots {
                if let Some(offer) = known.slots.get(slot)
                    && !known.busy.contains_key(slot)
                {
                    self.free.insert(offer.free(*slot, worker));
                }
            }
        }
        self.see_alive(now, worker)
    }

    pub(super) fn see_alive(&mut self, now: Timestamp, worker: &WorkerId) -> Vec<Action> {
        let leases = self.workers.get_mut(worker).and_then(|known| {
            known.last_seen = now;
            // Many messages arrive in one moment, and leases that were granted since have their full time.
            (known.renewed_at.replace(now) != Some(now)).then(|| known.leases.clone())
        });
        for token in leases.into_iter().flatten() {
            self.extend(now, token);
        }
        Vec::new()
    }

    pub(super) fn drain(&mut self, worker: WorkerId, now: bool) -> Vec<Action> {
        self.clear_offers(&worker);
        let Some(known) = self.workers.get_mut(&worker) else { return Vec::new() };
        let now = now || known.draining == Some(true);
        known.draining = Some(now);
        vec![Action::DrainWorker { worker, now }]
    }

    pub(super) fn undrain(&mut self, worker: WorkerId) -> Vec<Action> {
        // A worker that exits at once has returned its leases.
        let Some(known) = self.workers.get_mut(&worker).filter(|known| known.draining == Some(false)) else {
            return Vec::new();
        };
        known.draining = None;
        vec![Action::UndrainWorker { worker }]
    }

    pub(super) fn disconnect(&mut self, worker: &WorkerId) -> Vec<Action> {
        self.clear_offers(worker);
        self.forget_offers(worker);
        if let Some(known) = self.workers.get_mut(worker) {
            known.connected = false;
        }
        self.review_data_fit();
        self.forget_if_gone(worker);
        Vec::new()
    }

    /// Recovery: no worker is connected yet, and each has the full lease time to reconnect.
    pub(super) fn start_again(&mut self, now: Timestamp) -> Vec<Action> {
        self.free.clear();
        self.known_offers = KnownOffers::default();
        self.lost_members.clear();
        for worker in self.workers.values_mut() {
            worker.connected = false;
        }
        self.workers.retain(|_, worker| !worker.leases.is_empty());
        for worker in self.records.keys().cloned().collect::<Vec<_>>() {
            if !self.workers.contains_key(&worker) {
                self.forget_record(&worker);
            }
        }
        self.shorten_pauses(now);
        for lease in self.leases.values_mut() {
            lease.lost = false;
        }
        self.shorten_waits(now);
        self.renew_leases(now)
    }

    /// Gives every lease that is not lost its full time again.
    pub(super) fn renew_leases(&mut self, now: Timestamp) -> Vec<Action> {
        let tokens: Vec<LeaseToken> = self.leases.keys().copied().collect();
        for token in tokens {
            self.extend(now, token);
        }
        Vec::new()
    }

    /// Limits the wait of tasks to the longest backoff of their sweep, in case the host's clock was set back.
    fn shorten_waits(&mut self, now: Timestamp) {
        for (not_before, sweep, index) in std::mem::take(&mut self.waiting) {
            let Some(state) = self.sweeps.get_mut(&sweep) else { continue };
            let not_before = not_before.min(now.after(state.sweep.retries.max_backoff));
            state.task_mut(index).not_before = not_before;
            self.waiting.insert((not_before, sweep, index));
        }
    }

    pub(super) fn take_slot(&mut self, worker: &WorkerId, slot: u32) {
        if let Some(offer) = self.workers.get(worker).and_then(|known| known.slots.get(&slot)) {
            self.free.remove(&offer.free(slot, worker));
        }
    }

    fn clear_offers(&mut self, worker: &WorkerId) {
        if let Some(known) = self.workers.get(worker) {
            for (slot, offer) in &known.slots {
                self.free.remove(&offer.free(*slot, worker));
            }
        }
    }

    /// To be called before a worker's slots are replaced, or it is disconnected.
    fn forget_offers(&mut self, worker: &WorkerId) {
        if let Some(known) = self.workers.get(worker).filter(|known| known.connected) {
            for offer in known.slots.values() {
                self.known_offers.remove(offer.kind);
            }
        }
    }

    pub(super) fn forget_if_gone(&mut self, worker: &WorkerId) {
        if self.workers.get(worker).is_some_and(|known| !known.connected && known.leases.is_empty()) {
            self.workers.remove(worker);
            self.forget_record(worker);
        }
    }
}
