//! The end of a history: from some moment on nothing is lost any more, and everything that somebody can run ends.

use std::{collections::BTreeMap, time::Duration};

use super::{super::env, Ailment, World, worker};
use crate::{
    failure::RetryPolicy,
    id::{SweepId, TaskId},
    scheduler::{Event, SweepStatus, SweepView, TaskState, WhyWaiting},
    sweep::Sweep,
};

impl World {
    /// From now on nothing fails except training itself.
    pub(super) fn calm_down(&mut self) {
        self.crash();
        // Workers that were asked to exit have exited. One of the others may be a bad host.
        self.data_copied = true;
        for at in 0..self.workers.len() {
            self.workers[at] = self.newborn();
            if at > 0 {
                self.workers[at].ailment = Ailment::None;
            }
            // Usually one of the good hosts can run everything.
            if at == 1 && self.chance.percent(80) {
                self.workers[at].slots.iter_mut().for_each(|(_, offers)| *offers = worker::all_offers());
            }
        }
        for sweep in [1, 2, 3].map(SweepId) {
            self.arrive("nobody", Event::SweepPaused { sweep, paused: false });
        }
        for _ in 0..2000 {
            self.env.now = self.env.now.after(Duration::from_secs(5));
            self.arrive("nobody", Event::Tick);
            for at in 0..self.workers.len() {
                let name = self.workers[at].name.clone();
                if !self.workers[at].connected {
                    let hello = self.workers[at].hello();
                    self.arrive(&name, hello);
                    let data_sets = self.workers[at].data_sets(&mut self.chance, self.data_copied);
                    self.arrive(&name, data_sets);
                }
                let mut messages = Vec::new();
                self.workers[at].train(&mut self.chance, &mut messages);
                messages.extend(self.workers[at].reports());
                messages.push(Event::Heartbeat { worker: env::worker(&name) });
                for message in messages {
                    self.arrive(&name, message);
                }
                self.deliver_all();
                let offer = self.workers[at].offer();
                self.arrive(&name, offer);
                self.deliver_all();
            }
            let active = |view: SweepView<'_>| view.status() == SweepStatus::Active;
            if !self.env.scheduler.sweeps().any(|view| active(view) && self.can_run(view.sweep())) {
                return;
            }
        }
        panic!(
            "the sweeps do not end: {:?}",
            self.env.scheduler.sweeps().map(|v| v.counts()).collect::<Vec<_>>()
        );
    }

    /// Whether a good host has a slot for a sweep.
    fn can_run(&self, sweep: &Sweep) -> bool {
        let good = self.workers.iter().filter(|worker| worker.ailment == Ailment::None);
        let mut slots = good.flat_map(|worker| &worker.slots);
        slots.any(|(_, offers)| sweep.needs.are_met_by(offers))
    }

    fn deliver_all(&mut self) {
        for (to, action) in std::mem::take(&mut self.downstream) {
            self.deliver(&to, action);
        }
    }

    pub(super) fn check_end(&mut self) {
        for sweep in self.env.scheduler.all_settled().map(|settled| settled.id).collect::<Vec<_>>() {
            let outcome = self.env.scheduler.settled(sweep).cloned().unwrap();
            self.env.revive(sweep);
            let view = self.env.scheduler.sweep(sweep).unwrap();
            assert_eq!((outcome.counts, outcome.status), (view.counts(), view.status()));
            assert_eq!(outcome.stopped.as_deref(), view.stopped());
        }
        let mut journaled: BTreeMap<TaskId, usize> = BTreeMap::new();
        for (_, event) in &self.env.journal {
            if let Event::TaskFinished { task, .. } = event {
                *journaled.entry(*task).or_default() += 1;
            }
        }
        assert_eq!(journaled, self.recorded, "a result is recorded iff the journal says so");
        for view in self.env.scheduler.sweeps() {
            let sweep = view.sweep();
            let mut slots = self.workers.iter().flat_map(|worker| &worker.slots);
            let able = slots.any(|(_, offers)| sweep.needs.are_met_by(offers));
            let waits = self.env.scheduler.why_waiting(view.id());
            // Whoever is set aside takes a test later.
            let waits = waits.filter(|why| !matches!(why, WhyWaiting::SetAside { .. }));
            assert_eq!(waits.is_some(), !able && view.counts().pending > 0, "{waits:?} of {:?}", sweep.needs);
            self.stranded += u64::from(waits.is_some());
            if view.status() == SweepStatus::Active {
                assert!(!self.can_run(sweep), "{} has not ended, and could", view.id());
                continue;
            }
            let mut done = 0;
            for configuration in &view.sweep().configurations {
                for seed in &view.sweep().seeds {
                    let task = TaskId { sweep: view.id(), configuration: configuration.id, seed: *seed };
                    match self.env.scheduler.state_of(task).unwrap() {
                        TaskState::Done => {
                            assert_eq!(self.recorded.get(&task), Some(&1), "{task} is done exactly once");
                            done += 1;
                        }
                        TaskState::Failed { .. } | TaskState::Cancelled => {
                            assert_eq!(self.recorded.get(&task), None, "{task} has no result");
                            assert!(!self.acknowledged.contains(&task), "{task} was acknowledged");
                        }
                        other => panic!("{task} has not ended: {other:?}"),
                    }
                }
            }
            assert_eq!(done, view.counts().done);
            for (_, failed) in view.failures() {
                let worth = failed.failure.reason.policy() == RetryPolicy::Fail;
                assert!(worth || failed.attempt >= 3, "{} was given up too early: {failed:?}", failed.task);
            }
        }
    }
}
