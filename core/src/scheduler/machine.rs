//! The state and the only transition function.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    id::{LeaseToken, SweepId, SweepName, WorkerId},
    time::Timestamp,
};

use super::{
    action::Action,
    event::Event,
    lease::Lease,
    misfit::Misfit,
    offers::KnownOffers,
    prepared::Prepared,
    record::{Pause, Record, Scope},
    report_status::ReportStatus,
    settled::SettledSweep,
    sweep_state::SweepState,
    task::Phase,
    worker::{About, FreeSlot, Worker},
};

/// Settings that the scheduler gets once, at its start. They are not journaled; another start may have others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedulerSettings {
    /// A worker that is silent for longer than this loses its leases.
    pub lease: Duration,
    /// Grant only tasks of this sweep; those of others stay pending. `None` for all sweeps.
    pub only: Option<SweepName>,
    /// How long after its end a sweep is settled, see [`Scheduler::settle_due`]; `None` for never.
    pub settle_after: Option<Duration>,
    /// There is one worker and never another one: its failed tasks cannot be tried elsewhere.
    pub one_worker: bool,
}

/// The scheduler. See the module's documentation.
#[derive(Clone, Debug)]
pub struct Scheduler {
    pub(super) settings: SchedulerSettings,
    pub(super) sweeps: BTreeMap<SweepId, SweepState>,
    pub(super) names: BTreeMap<SweepName, SweepId>,
    /// Sweeps with pending or running tasks, oldest first.
    pub(super) active: BTreeSet<SweepId>,
    /// Ended sweeps of which only the outcome is kept.
    pub(super) settled: BTreeMap<SweepId, SettledSweep>,
    /// Ended sweeps that are not settled yet, ordered by the time when they will be.
    pub(super) settling: BTreeSet<(Timestamp, SweepId)>,
    /// The greatest number of a sweep so far.
    pub(super) last_sweep: SweepId,
    pub(super) leases: BTreeMap<LeaseToken, Lease>,
    /// The greatest token so far.
    pub(super) last_token: LeaseToken,
    /// Leases by deadline.
    pub(super) deadlines: BTreeSet<(Timestamp, LeaseToken)>,
    /// Tasks that back off, ordered by the time when they are ready again.
    pub(super) waiting: BTreeSet<(Timestamp, SweepId, u32)>,
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    pub(super) free: BTreeSet<FreeSlot>,
    /// What the slots of the connected workers offer.
    pub(super) known_offers: KnownOffers,
    /// Members of active leases that their worker reconnected without.
    pub(super) lost_members: BTreeSet<(LeaseToken, u32)>,
    /// Number of running tasks with curves.
    pub(super) with_curves: usize,
    /// Active sweeps that do not fit the data set of any worker: none of their tasks is granted.
    pub(super) misfits: BTreeMap<SweepId, Misfit>,
    /// Sweeps whose tasks fail, see [`Scheduler::next_stop`].
    pub(super) stopping: BTreeSet<SweepId>,
    /// Time of the last event.
    pub(super) heard_at: Timestamp,
    /// Failure records of workers. Workers without failures have none.
    pub(super) records: BTreeMap<WorkerId, Record>,
    /// Pauses of workers that are not over, ordered by their end.
    pub(super) pauses: BTreeSet<(Timestamp, WorkerId, Scope)>,
    /// See [`Scheduler::prepare`].
    pub(super) prepared: Option<Box<Prepared>>,
    /// See [`Scheduler::take_discarded`].
    pub(super) discarded: Vec<SweepState>,
}

impl Scheduler {
    /// A scheduler with an empty state.
    #[must_use]
    pub fn new(settings: SchedulerSettings) -> Self {
        Self {
            settings,
            sweeps: BTreeMap::new(),
            names: BTreeMap::new(),
            active: BTreeSet::new(),
            settled: BTreeMap::new(),
            settling: BTreeSet::new(),
            last_sweep: SweepId(0),
            leases: BTreeMap::new(),
            last_token: LeaseToken(0),
            deadlines: BTreeSet::new(),
            waiting: BTreeSet::new(),
            workers: BTreeMap::new(),
            free: BTreeSet::new(),
            known_offers: KnownOffers::default(),
            lost_members: BTreeSet::new(),
            with_curves: 0,
            heard_at: Timestamp(0),
            misfits: BTreeMap::new(),
            stopping: BTreeSet::new(),
            records: BTreeMap::new(),
            pauses: BTreeSet::new(),
            prepared: None,
            discarded: Vec::new(),
        }
    }

    /// Applies an event and returns the resulting actions.
    ///
    /// A durable event that is not news (see [`Scheduler::changes_state`]) changes nothing, but may still be
    /// answered: a repeated report is acknowledged, a stale one refused. Afterwards apply the events of
    /// [`Scheduler::proposals`] until there are none.
    pub fn apply(&mut self, now: Timestamp, event: Event) -> Vec<Action> {
        self.wake(now);
        if event.is_durable() && !self.changes_state(&event) {
            return self.answer_duplicate(&event);
        }
        self.perform(now, event)
    }

    /// Applies an event that is known to change the state, see [`Scheduler::changes_state`].
    pub fn apply_news(&mut self, now: Timestamp, event: Event) -> Vec<Action> {
        self.wake(now);
        self.perform(now, event)
    }

    /// Applies an entry of the journal. Returns whether it changed the state; if not, the journal contradicts itself,
    /// unless the entry belongs to no sweep.
    pub fn replay(&mut self, at: Timestamp, event: Event) -> bool {
        let news = self.changes_state(&event);
        if news {
            // The actions were performed before, or will be requested again.
            drop(self.apply_news(at, event));
            drop(self.take_discarded());
        }
        news
    }

    fn perform(&mut self, now: Timestamp, event: Event) -> Vec<Action> {
        match event {
            Event::SweepSubmitted { id, sweep } => self.submit(now, id, sweep),
            Event::LeaseGranted { token, worker, slot, tasks } => self.grant(now, token, worker, slot, tasks),
            Event::TaskFinished { token, task, data_digest } => self.finish(now, token, task, data_digest),
            Event::AttemptFailed { token, task, failure, unconfirmed } => {
                self.fail_attempt(now, token, task, &failure, unconfirmed)
            }
            Event::LeaseExpired { token, progressed } => self.expire(now, token, &progressed),
            Event::LeaseReleased { token } => self.release(token),
            Event::SweepCancelled { sweep } => self.cancel(now, sweep),
            Event::TasksCancelled { sweep, tasks } => self.cancel_tasks(now, sweep, &tasks),
            Event::RestCancelled { sweep, reason } => self.cancel_rest(now, sweep, reason),
            Event::SweepRefused { sweep, failure } => self.refuse(now, sweep, &failure),
            Event::TasksRetried { sweep, scope } => self.retry(sweep, &scope),
            Event::SweepExtended { id, sweep } => self.extend_sweep(id, sweep),
            Event::SweepPaused { sweep, paused } => self.pause(sweep, paused),
            Event::SweepPrioritized { sweep, priority } => self.prioritize(sweep, priority),
            Event::DataReplaced { sweep } => self.replace_data(sweep),
            Event::SweepRemoved { sweep } => self.remove(sweep),
            Event::WorkerSetAside { worker, data_set, program, pauses, pause_millis, failures, failure } => {
                let until = now.after(Duration::from_millis(pause_millis));
                self.set_aside(worker, data_set, Pause::new(now, until, program, pauses, failures, failure))
            }
            Event::WorkerRestored { worker, data_set, cause } => self.restore(&worker, data_set, cause),
            Event::CoordinatorStarted => self.start_again(now),
            Event::WorkerConnected { worker, host, version, warnings, slots, held } => {
                self.connect(now, worker, About { host, version, warnings }, slots, held)
            }
            Event::DataSetsKnown { worker, data_sets } => self.learn_data_sets(&worker, data_sets),
            Event::SlotsFree { worker, slots } => self.offer(now, &worker, &slots),
            Event::Heartbeat { worker } => self.see_alive(now, &worker),
            Event::DrainRequested { worker, now: at_once } => self.drain(worker, at_once),
            Event::UndrainRequested { worker } => self.undrain(worker),
            Event::WorkerDisconnected { worker } => self.disconnect(&worker),
            Event::EpochReported { token, task, record } => self.report_epoch(now, token, task, &record),
            Event::CoordinatorWoke => self.renew_leases(now),
            Event::Tick => Vec::new(),
        }
    }

    /// Whether a durable event would change the state. Only such events are journaled; a stale or repeated report is
    /// not.
    #[must_use]
    pub fn changes_state(&self, event: &Event) -> bool {
        match event {
            Event::SweepSubmitted { id, sweep } => self.submission_changes_state(*id, sweep),
            Event::LeaseGranted { token, tasks, .. } => self.grant_changes_state(*token, tasks),
            Event::TaskFinished { token, task, .. } => {
                matches!(self.classify_report(*token, *task, true), ReportStatus::Accepted { .. })
            }
            Event::AttemptFailed { token, task, .. } => {
                matches!(self.classify_report(*token, *task, false), ReportStatus::Accepted { .. })
            }
            Event::LeaseExpired { token, .. } | Event::LeaseReleased { token } => {
                self.leases.contains_key(token)
            }
            Event::SweepCancelled { sweep } | Event::SweepRefused { sweep, .. } => {
                self.active.contains(sweep)
            }
            Event::TasksCancelled { sweep, tasks } => {
                self.selected_counts(*sweep, tasks).is_ok_and(|of| of.pending + of.running > 0)
            }
            Event::RestCancelled { sweep, .. } => self.rest_changes_state(*sweep),
            Event::TasksRetried { sweep, scope } => {
                self.retryable(*sweep, scope).is_ok_and(|tasks| !tasks.is_empty())
            }
            Event::SweepExtended { id, sweep } => self.extension_changes_state(*id, sweep),
            Event::SweepPaused { sweep, paused } => {
                self.sweeps.get(sweep).is_some_and(|state| !state.has_ended() && state.paused != *paused)
            }
            Event::SweepPrioritized { sweep, priority } => {
                self.sweeps.get(sweep).is_some_and(|state| state.priority != *priority)
            }
            Event::DataReplaced { sweep } => self.replacement_changes_state(*sweep),
            Event::SweepRemoved { sweep } => self.removal_changes_state(*sweep),
            Event::WorkerSetAside { worker, data_set, pauses, .. } => {
                self.pause_of(worker, data_set).is_none_or(|pause| pause.pauses < *pauses)
            }
            Event::WorkerRestored { worker, data_set, .. } => self.pause_of(worker, data_set).is_some(),
            Event::CoordinatorStarted => true,
            Event::WorkerConnected { .. }
            | Event::DataSetsKnown { .. }
            | Event::SlotsFree { .. }
            | Event::Heartbeat { .. }
            | Event::DrainRequested { .. }
            | Event::UndrainRequested { .. }
            | Event::WorkerDisconnected { .. }
            | Event::EpochReported { .. }
            | Event::CoordinatorWoke
            | Event::Tick => false,
        }
    }

    /// The next time when something is due without an event: a lease expires, a backoff or a pause ends, or a sweep
    /// is to be settled. Apply [`Event::Tick`] then.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let lease = self.deadlines.first().map(|(deadline, _)| *deadline);
        let task = self.waiting.first().map(|(not_before, ..)| *not_before);
        let settle = self.settling.first().map(|(at, _)| *at);
        let pause = self.pauses.first().map(|(until, ..)| *until);
        let refusal = self.refusal_deadline();
        lease.into_iter().chain(task).chain(settle).chain(pause).chain(refusal).min()
    }

    /// Makes tasks ready whose backoff is over, and ends pauses of workers that are over.
    fn wake(&mut self, now: Timestamp) {
        self.heard_at = now;
        self.end_pauses(now);
        while let Some((not_before, sweep, index)) = self.waiting.first().copied() {
            if not_before > now {
                break;
            }
            self.waiting.pop_first();
            if let Some(state) = self.sweeps.get_mut(&sweep) {
                state.move_to(index, Phase::Ready);
            }
        }
    }
}
