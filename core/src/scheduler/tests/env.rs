//! A scheduler with virtual time, a journal, and workers that a test controls.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    failure::{Failure, FailureReason},
    id::{ConfigurationId, LeaseToken, SweepId, SweepName, TaskId, WorkerId},
    needs::{Needs, Offers, TrainerKind},
    result::EpochRecord,
    scheduler::{
        Action, Event, HeldLease, PauseView, Scheduler, SchedulerSettings, SettledSweep, SlotOffer,
        Submission, TaskState,
        eligibility::Take,
        sweep_state::SweepState,
        task::{Phase, Task},
    },
    settings::{
        BiEflstmSettings, ModalityDraw, ModelSettings, NetworkSettings, ProgramSettings, Shuffle,
        TaskSettings, TrainingSettings,
    },
    sweep::{CheckpointSettings, Configuration, Order, ReportSettings, RetrySettings, Sweep},
    time::Timestamp,
};

pub(super) const LEASE: Duration = Duration::from_secs(30);
pub(super) const EPOCHS: u32 = 10;

/// A sweep of `configurations` configurations, numbered from 1, all of one cohort key.
pub(super) fn sweep(name: &str, configurations: u64, seeds: u64) -> Sweep {
    let settings = NetworkSettings {
        dataset: "waves".to_owned(),
        primary: "inertial".to_owned(),
        unimodal: false,
        model: ModelSettings::BiEflstm(BiEflstmSettings { hidden: 8, layers: 1, dropout: 0.5 }),
        training: TrainingSettings {
            epochs: EPOCHS,
            batch_size: 4,
            learning_rate: 0.001,
            shuffle: Shuffle::Once,
            drop_last: false,
            modality_draw: ModalityDraw::Shared,
            ..TrainingSettings::default()
        },
        modality_dropout: BTreeMap::new(),
        evaluate: Vec::new(),
    };
    Sweep {
        name: SweepName::new(name).unwrap(),
        parameters: Vec::new(),
        configurations: (1..=configurations)
            .map(|id| Configuration {
                id: ConfigurationId(id),
                settings: TaskSettings::Network(settings.clone()).into(),
                values: Arc::default(),
                baseline: false,
                compared_with: None,
                cohort_key: 1,
            })
            .collect(),
        seeds: (0..seeds).collect(),
        report: ReportSettings {
            metrics: vec!["accuracy".to_owned()],
            confidence: 0.95,
            reference: None,
            better: Default::default(),
            replicates: Vec::new(),
            margin: BTreeMap::new(),
            adjustment: crate::sweep::Adjustment::default(),
            matched: false,
            choose_by: None,
        },
        retries: RetrySettings {
            max_attempts: 3,
            initial_backoff: Duration::from_secs(4),
            max_backoff: Duration::from_secs(60),
        },
        checkpoint: CheckpointSettings::default(),
        keep: Default::default(),
        schedule: Default::default(),
        needs: Default::default(),
    }
}

/// A sweep of a program, with these needs besides a slot that runs programs.
pub(super) fn program(name: &str, configurations: u64, seeds: u64, needs: Needs) -> Sweep {
    let mut program = sweep(name, configurations, seeds);
    for configuration in &mut program.configurations {
        let settings = TaskSettings::Program(ProgramSettings {
            command: vec!["python3".to_owned(), "train.py".to_owned()],
            directory: format!("/home/me/{name}"),
            metrics: vec!["accuracy".to_owned()],
            ..ProgramSettings::default()
        });
        configuration.settings = settings.into();
        configuration.cohort_key = configuration.id.0;
    }
    program.needs = Needs { trainer: TrainerKind::Programs, ..needs };
    program
}

/// The offers of a slot that runs programs and nothing else.
pub(super) fn programs_only() -> Offers {
    Offers { trainers: [TrainerKind::Programs].into(), ..Offers::default() }
}

/// The offers of a slot that trains networks and runs programs.
pub(super) fn everything() -> Offers {
    Offers { trainers: [TrainerKind::Networks, TrainerKind::Programs].into(), ..Offers::default() }
}

pub(super) fn settings() -> SchedulerSettings {
    SchedulerSettings { lease: LEASE, only: None, settle_after: None, one_worker: false }
}

/// Slots with these maximum cohort sizes, which train networks.
pub(super) fn slots(max_cohorts: &[u32]) -> Vec<SlotOffer> {
    slots_offering(max_cohorts.iter().map(|max_cohort| (*max_cohort, Offers::default())))
}

/// Slots with these maximum cohort sizes and offers.
pub(super) fn slots_offering(slots: impl IntoIterator<Item = (u32, Offers)>) -> Vec<SlotOffer> {
    let slot = |(index, (max_cohort, offers)): (u32, (u32, Offers))| SlotOffer {
        index,
        device: "cpu x1".to_owned(),
        max_cohort,
        offers,
    };
    (0..).zip(slots).map(slot).collect()
}

pub(super) fn worker(name: &str) -> WorkerId {
    WorkerId::new(name).unwrap()
}

/// A worker reports an epoch of a network.
pub(super) fn epoch_reported(token: LeaseToken, task: TaskId, epoch: u32) -> Event {
    let record = EpochRecord::of_network(epoch, 1.0 / f64::from(epoch), 2.0, 0.5);
    Event::EpochReported { token, task, record }
}

/// A task of the first sweep.
pub(super) fn task(configuration: u64, seed: u64) -> TaskId {
    TaskId { sweep: SweepId(1), configuration: ConfigurationId(configuration), seed }
}

/// A lease as its worker received it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Granted {
    pub(super) token: LeaseToken,
    pub(super) worker: WorkerId,
    pub(super) slot: u32,
    pub(super) tasks: Vec<(TaskId, u32)>,
}

impl Granted {
    pub(super) fn names(&self) -> Vec<(u64, u64)> {
        self.tasks.iter().map(|(task, _)| (task.configuration.0, task.seed)).collect()
    }
}

pub(super) struct TestEnv {
    pub(super) now: Timestamp,
    pub(super) scheduler: Scheduler,
    pub(super) journal: Vec<(Timestamp, Event)>,
    /// The sweep of each journal entry.
    owners: Vec<Option<SweepId>>,
    /// The settled sweeps, as a store would keep them.
    settled: BTreeMap<SweepId, SettledSweep>,
    settings: SchedulerSettings,
    /// All actions since the last call of `answers`.
    pub(super) actions: Vec<Action>,
}

impl TestEnv {
    pub(super) fn new() -> Self {
        Self::with_settings(settings())
    }

    pub(super) fn with_settings(settings: SchedulerSettings) -> Self {
        Self {
            now: Timestamp(1_000_000),
            scheduler: Scheduler::new(settings.clone()),
            journal: Vec::new(),
            owners: Vec::new(),
            settled: BTreeMap::new(),
            settings,
            actions: Vec::new(),
        }
    }

    /// An environment with one sweep of one cohort key.
    pub(super) fn with_sweep(configurations: u64, seeds: u64) -> Self {
        let mut env = Self::new();
        env.submit(sweep("first", configurations, seeds));
        env
    }

    fn apply_one(&mut self, event: Event) {
        if event.is_durable() && self.scheduler.changes_state(&event) {
            self.owners.push(self.scheduler.sweep_of(&event));
            self.journal.push((self.now, event.clone()));
        }
        if let Event::SweepRemoved { sweep } = &event
            && self.scheduler.changes_state(&event)
        {
            self.settled.remove(sweep);
            let of_others: Vec<bool> = self.owners.iter().map(|owner| owner != &Some(*sweep)).collect();
            let mut kept = of_others.iter();
            self.journal.retain(|_| *kept.next().unwrap());
            self.owners.retain(|owner| owner != &Some(*sweep));
        }
        let actions = self.scheduler.apply(self.now, event);
        self.actions.extend(actions);
        self.scheduler.check_invariants();
    }

    /// Handles an event as the engine does.
    pub(super) fn apply(&mut self, event: Event) {
        self.apply_one(event);
        loop {
            let proposals = self.scheduler.proposals(self.now, true);
            if proposals.is_empty() {
                break;
            }
            for event in proposals {
                self.check_turn(&event);
                self.apply_one(event);
            }
        }
        let settled = self.scheduler.settle_due(self.now);
        self.settled.extend(settled.into_iter().map(|settled| (settled.id, settled)));
        self.scheduler.check_invariants();
    }

    /// Revives a settled sweep as the coordinator does before an operation.
    pub(super) fn revive(&mut self, sweep: SweepId) {
        let own = self.journal.iter().zip(&self.owners).filter(|(_, owner)| **owner == Some(sweep));
        let alone = Scheduler::of_one_sweep(own.map(|(entry, _)| entry.clone()));
        alone.check_invariants();
        if self.scheduler.revive(self.now, sweep, alone) {
            self.settled.remove(&sweep);
        }
        self.scheduler.check_invariants();
    }

    /// The answers since the last call.
    pub(super) fn answers(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    pub(super) fn submit(&mut self, sweep: Sweep) -> SweepId {
        let id = match self.scheduler.submission(&sweep).unwrap() {
            Submission::New(id) | Submission::Known { id, .. } => id,
        };
        self.apply(Event::SweepSubmitted { id, sweep: Arc::new(sweep) });
        id
    }

    pub(super) fn connect(&mut self, name: &str, max_cohorts: &[u32], held: &[&Granted]) {
        self.connect_slots(name, slots(max_cohorts), held);
    }

    pub(super) fn connect_slots(&mut self, name: &str, slots: Vec<SlotOffer>, held: &[&Granted]) {
        self.apply(Event::WorkerConnected {
            worker: worker(name),
            host: "host".to_owned(),
            version: "1".to_owned(),
            warnings: vec![],
            slots,
            held: held
                .iter()
                .map(|lease| HeldLease {
                    token: lease.token,
                    tasks: lease.tasks.iter().map(|(task, _)| *task).collect(),
                })
                .collect(),
        });
    }

    pub(super) fn offer(&mut self, name: &str, slots: &[u32]) -> Vec<Granted> {
        self.apply(Event::SlotsFree { worker: worker(name), slots: slots.to_vec() });
        self.granted()
    }

    /// A new worker that offers all of its slots.
    pub(super) fn worker(&mut self, name: &str, max_cohorts: &[u32]) -> Vec<Granted> {
        self.connect(name, max_cohorts, &[]);
        let slots: Vec<u32> = (0..max_cohorts.len() as u32).collect();
        self.offer(name, &slots)
    }

    /// A new worker that offers all of its slots, which take one task each.
    pub(super) fn worker_offering(&mut self, name: &str, offers: &[Offers]) -> Vec<Granted> {
        self.connect_slots(name, slots_offering(offers.iter().map(|offers| (1, offers.clone()))), &[]);
        let slots: Vec<u32> = (0..offers.len() as u32).collect();
        self.offer(name, &slots)
    }

    pub(super) fn granted(&mut self) -> Vec<Granted> {
        let granted = self.actions.iter().filter_map(|action| match action.clone() {
            Action::GrantLease { token, worker, slot, tasks } => Some(Granted { token, worker, slot, tasks }),
            _ => None,
        });
        let granted = granted.collect();
        self.actions.retain(|action| !matches!(action, Action::GrantLease { .. }));
        granted
    }

    pub(super) fn finish(&mut self, lease: &Granted, task: TaskId) {
        self.apply(Event::TaskFinished { token: lease.token, task, data_digest: String::new() });
    }

    pub(super) fn finish_all(&mut self, lease: &Granted) {
        for (task, _) in &lease.tasks {
            self.finish(lease, *task);
        }
    }

    pub(super) fn fail(&mut self, lease: &Granted, task: TaskId, reason: FailureReason) {
        let failure = Failure::new(reason, "told so by the test");
        self.apply(self.scheduler.failed_attempt(lease.token, task, failure));
    }

    pub(super) fn heartbeat(&mut self, name: &str) {
        self.apply(Event::Heartbeat { worker: worker(name) });
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.apply(Event::Tick);
    }

    pub(super) fn state(&self, task: TaskId) -> TaskState {
        self.scheduler.state_of(task).unwrap()
    }

    pub(super) fn is_pending(&self, task: TaskId) -> bool {
        matches!(self.state(task), TaskState::Pending { .. })
    }

    /// The coordinator crashes and restarts from its journal, which must give the same state.
    pub(super) fn crash(&mut self) {
        self.start_again_at(self.now);
    }

    /// Like [`Self::crash`], with a clock that was set in between.
    pub(super) fn start_again_at(&mut self, then: Timestamp) {
        let mut again = Scheduler::recovering(self.settings.clone(), self.settled.values().cloned());
        for ((at, event), owner) in self.journal.iter().zip(&self.owners) {
            if owner.is_some_and(|owner| self.settled.contains_key(&owner)) {
                continue;
            }
            // The form in which a store holds it.
            let text = serde_json::to_string(event).unwrap();
            again.apply(*at, serde_json::from_str(&text).unwrap());
            again.check_invariants();
        }
        again.recovered(self.scheduler.last_sweep, self.scheduler.last_token);
        // The end of a backoff depends on when the scheduler is queried.
        let mut looked = again.clone();
        for at in [self.journal.iter().map(|(at, _)| *at).max().unwrap_or_default(), self.now] {
            looked.apply(at, Event::Tick);
            self.scheduler.apply(at, Event::Tick);
        }
        assert_same(&self.scheduler, &looked);
        self.scheduler = again;
        self.now = then;
        self.actions.clear();
        self.apply(Event::CoordinatorStarted);
    }

    /// Asserts that a lease goes to a slot that meets its needs, and to the sweep whose turn it is: one with the highest priority that has room, among
    /// these one with the fewest slots; and that it gets the first ready tasks.
    fn check_turn(&self, event: &Event) {
        let Event::LeaseGranted { worker, slot, tasks, .. } = event else { return };
        let id = tasks[0].0.sweep;
        let scheduler = &self.scheduler;
        let offers = &scheduler.workers[worker].slots[slot].offers;
        let needs = &scheduler.sweeps[&id].sweep.needs;
        assert_eq!(needs.missing_in(offers), [], "slot {slot} of {worker} does not meet the needs of {id}");
        assert!(scheduler.takes(worker).is_some(), "{worker} is set aside");
        if scheduler.takes(worker) == Some(Take::One) {
            // It is tested with a task that has not failed there, if there is one, whatever the order is.
            return;
        }
        // Whether the sweep has tasks for this worker.
        let may = |state: &SweepState, index: u32| {
            let data_set = state.data_set_of(index);
            scheduler.takes_data_set(worker, state.data_of(index).0).is_some()
                && (scheduler.may_have_data(worker, state, data_set)
                    || !scheduler.may_be_somewhere(state, data_set))
                && scheduler.may_attempt(worker, state, index)
        };
        let has_room = |state: &&SweepState| {
            let most = state.sweep.schedule.max_concurrent_tasks.unwrap_or(u32::MAX);
            !state.paused
                && scheduler.misfit(state.id).is_none()
                && state.sweep.needs.are_met_by(offers)
                && state.counts.running < most
                && state.ready.iter().flatten().any(|index| may(state, *index))
        };
        let granted = &self.scheduler.sweeps[&id];
        assert!(has_room(&granted), "{id} has no room");
        for other in self.scheduler.sweeps.values().filter(has_room) {
            let ahead =
                (-i64::from(other.priority), other.leases) < (-i64::from(granted.priority), granted.leases);
            assert!(
                !ahead || self.settings.only.is_some(),
                "{id} is granted a slot, and it is the turn of {}",
                other.id
            );
        }
        let most = granted.sweep.schedule.max_concurrent_tasks.unwrap_or(u32::MAX);
        assert!(granted.counts.running + tasks.len() as u32 <= most, "{id} runs too many tasks");
        for (task, _) in tasks {
            let charged = granted.index_of(*task).map_or(0, |index| granted.task(index).charged());
            assert!(charged < granted.sweep.retries.max_attempts, "{task} has no attempt left");
        }
        let place = |task: TaskId| {
            let configuration = granted.sweep.configurations.iter().position(|c| c.id == task.configuration);
            let seed = granted.sweep.seeds.iter().position(|seed| *seed == task.seed);
            match granted.sweep.schedule.order {
                Order::BySeed => (seed, configuration),
                Order::ByConfiguration => (configuration, seed),
            }
        };
        let ready = granted.ready.iter().flatten().filter(|index| may(granted, **index));
        let first = ready.map(|index| granted.task_id(*index)).min_by_key(|task| place(*task));
        assert_eq!(first, Some(tasks[0].0), "the first task that is ready goes first");
    }
}

/// The tasks, without details of backoffs that are over: a sweep that was settled and revived in between may have
/// other details.
fn of_importance(state: &SweepState) -> Vec<Task> {
    let waits = |task: &Task| if task.phase == Phase::Waiting { task.not_before } else { Timestamp(0) };
    state.tasks.iter().map(|task| Task { not_before: waits(task), ..task.clone() }).collect()
}

/// Asserts that everything that must survive a crash is equal: all except connections, deadlines and epochs of
/// running tasks.
pub(super) fn assert_same(a: &Scheduler, b: &Scheduler) {
    assert_eq!((a.last_sweep, a.last_token), (b.last_sweep, b.last_token));
    assert_eq!(a.settled, b.settled);
    assert_eq!((&a.names, &a.active, &a.waiting), (&b.names, &b.active, &b.waiting));
    assert_eq!(a.sweeps.len(), b.sweeps.len());
    for (a, b) in a.sweeps.values().zip(b.sweeps.values()) {
        assert_eq!(
            (a.id, &a.sweep, a.submitted_at, a.paused, a.priority, a.ended_at, a.leases),
            (b.id, &b.sweep, b.submitted_at, b.paused, b.priority, b.ended_at, b.leases)
        );
        assert_eq!(of_importance(a), of_importance(b));
        assert_eq!((a.counts, &a.configuration_counts), (b.counts, &b.configuration_counts));
        assert_eq!((&a.ready, &a.groups), (&b.ready, &b.groups));
        assert_eq!((a.retried, &a.failures), (b.retried, &b.failures));
        assert_eq!(a.recent_failures, b.recent_failures);
        assert_eq!((&a.failed_on, &a.data_digests), (&b.failed_on, &b.data_digests));
        assert_eq!(a.data_replaced_after, b.data_replaced_after);
        assert_eq!(a.configurations_failed_on, b.configurations_failed_on);
        assert_eq!((a.epochs_total, &a.stop), (b.epochs_total, &b.stop));
    }
    assert_eq!(pauses(a), pauses(b));
    assert_eq!(a.leases.len(), b.leases.len());
    for ((token, a), (other, b)) in a.leases.iter().zip(&b.leases) {
        assert_eq!((token, &a.worker, a.slot, a.sweep, a.size), (other, &b.worker, b.slot, b.sweep, b.size));
        assert!(a.members.keys().eq(b.members.keys()));
    }
}

/// The workers that are set aside, without whether their pause is over, which depends on the time of the query.
fn pauses(scheduler: &Scheduler) -> Vec<(&WorkerId, Vec<PauseView>)> {
    let workers = scheduler.records.iter().filter(|(_, record)| !record.pauses.is_empty());
    workers.map(|(worker, _)| (worker, scheduler.set_aside_for(worker))).collect()
}
