//! Which jobs to submit and to cancel, for all pools together.

use std::{collections::BTreeMap, time::Duration};

use super::{
    job::{Job, JobState, SeenJob, SeenWorker},
    pool::{Action, Pool},
    settings::PoolName,
};
use crate::{needs::Needs, time::Timestamp};

/// A queued job that no task needs is cancelled after this time: tasks come and go.
const SURPLUS_FOR: Duration = Duration::from_secs(30);
/// How long the worker of a removed pool may take to return its tasks before its job is cancelled.
const DRAIN_FOR: Duration = Duration::from_secs(90);
/// Maximum number of jobs that are submitted for a pool at a time.
const AT_ONCE: u32 = 8;

/// Tasks that could start now, and wait for a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// What they need.
    pub needs: Needs,
    /// Their number.
    pub tasks: u64,
}

/// The pools of a coordinator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pools(pub BTreeMap<PoolName, Pool>);

impl Pools {
    /// Passes on what the batch system showed to a query that began at `began`.
    pub fn seen(&mut self, now: Timestamp, began: Timestamp, seen: &[SeenJob]) -> Vec<(PoolName, Action)> {
        let each = |(name, pool): (&PoolName, &mut Pool)| {
            let strays = pool.seen(now, began, seen);
            let name = name.clone();
            strays.into_iter().map(move |stray| (name.clone(), stray)).collect::<Vec<_>>()
        };
        self.0.iter_mut().flat_map(each).collect()
    }

    /// Passes on the workers that are connected.
    pub fn workers(&mut self, workers: &[SeenWorker]) {
        self.0.values_mut().for_each(|pool| pool.workers(workers));
    }

    /// Whether any pool has jobs, or would submit some for these tasks: then the state of the queue matters.
    #[must_use]
    pub fn need_sight(&self, waiting: &[Waiting]) -> bool {
        let any = |pool: &Pool| waiting.iter().any(|waiting| waiting.tasks > 0 && pool.fits(&waiting.needs));
        let submits = |pool: &Pool| pool.settings.min_workers > 0 || any(pool);
        self.0.values().any(|pool| !pool.jobs.is_empty() || (pool.pause.is_none() && submits(pool)))
    }

    /// What to do now. Removed pools without jobs are gone afterwards. Call it only if the queue was seen a short time
    /// ago.
    ///
    /// Each waiting task is given to one job: first to jobs whose workers have had no task yet, then to new ones. Pools
    /// without GPUs come first, so that those with GPUs are left for tasks that need them; then the older ones.
    pub fn decide(&mut self, now: Timestamp, waiting: &[Waiting]) -> Vec<(PoolName, Action)> {
        self.0.retain(|_, pool| !pool.removing || !pool.jobs.is_empty());
        let mut left: Vec<Waiting> = waiting.to_vec();
        let mut order: Vec<&mut Pool> = self.0.values_mut().collect();
        order.sort_by_key(|pool| (pool.settings.gpu, pool.created_at));
        for pool in &mut order {
            pool.wanted = waiting.iter().any(|waiting| waiting.tasks > 0 && pool.fits(&waiting.needs));
            pool.cover(now, &mut left);
        }
        let mut actions = Vec::new();
        for pool in order {
            let name = pool.settings.name.clone();
            let some = if pool.removing { pool.end_all(now) } else { pool.adjust(now, &mut left) };
            actions.extend(some.into_iter().map(|action| (name.clone(), action)));
        }
        actions
    }
}

impl Pool {
    /// Whether its workers meet these needs, as far as it is known.
    #[must_use]
    pub fn fits(&self, needs: &Needs) -> bool {
        let (memory, threads) = self.offered;
        self.settings.may_meet(needs)
            && memory.is_none_or(|memory| needs.memory <= memory)
            && threads.is_none_or(|threads| needs.threads <= threads)
    }

    /// Takes as many tasks as a worker has slots. Returns whether there was any.
    fn take(&self, left: &mut [Waiting]) -> bool {
        let mut room = u64::from(self.settings.slots);
        for waiting in left.iter_mut().filter(|waiting| self.fits(&waiting.needs)) {
            let taken = room.min(waiting.tasks);
            waiting.tasks -= taken;
            room -= taken;
        }
        room < u64::from(self.settings.slots)
    }

    /// Gives waiting tasks to the jobs that were submitted for them. Those that started come first.
    fn cover(&mut self, now: Timestamp, left: &mut [Waiting]) {
        let mut promised: Vec<u64> =
            self.jobs.values().filter(|job| job.is_promised()).map(|job| job.number).collect();
        let rank = |job: &Job| (job.state != JobState::Running, !job.kept, job.number);
        promised.sort_by_key(|number| self.jobs.get(number).map(rank));
        for number in promised {
            let needed = self.take(left);
            let Some(job) = self.jobs.get_mut(&number) else { continue };
            match needed || job.kept {
                true => job.surplus_since = None,
                false => job.surplus_since = job.surplus_since.or(Some(now)),
            }
        }
    }

    /// Submits jobs for the tasks that are left, and cancels queued jobs that are not needed.
    fn adjust(&mut self, now: Timestamp, left: &mut [Waiting]) -> Vec<Action> {
        let mut actions = Vec::new();
        for job in self.jobs.values().filter(|job| job.state == JobState::Queued) {
            let long = job.surplus_since.is_some_and(|since| now.since(since) >= SURPLUS_FOR);
            if let Some(id) = job.id.clone().filter(|_| long) {
                actions.push(Action::Cancel { id, only_queued: true });
            }
        }
        let may_submit = self.pause.is_none() && self.not_before.is_none_or(|until| until <= now);
        let room = |pool: &Self| (pool.jobs.len() as u64) < u64::from(pool.settings.max_workers);
        let mut submitted = 0;
        while may_submit && submitted < AT_ONCE && room(self) {
            let kept = self.jobs.values().filter(|job| job.kept).count() as u64;
            let kept = kept < u64::from(self.settings.min_workers);
            let needed = self.take(left);
            if !needed && !kept {
                break;
            }
            self.last += 1;
            self.jobs.insert(self.last, Job::new(self.last, now, kept));
            actions.push(Action::Submit { number: self.last });
            submitted += 1;
        }
        actions
    }

    /// Ends the jobs of a removed pool: a worker first returns its tasks.
    fn end_all(&mut self, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        let numbers: Vec<u64> = self.jobs.keys().copied().collect();
        for number in numbers {
            let worker = self.worker_name(number);
            let Some(job) = self.jobs.get_mut(&number) else { continue };
            // A job without an id may still turn up in the queue.
            let Some(id) = job.id.clone() else { continue };
            let drains = job.state == JobState::Running && job.arrived;
            let since = *job.draining.get_or_insert(now);
            if drains && now.since(since) < DRAIN_FOR {
                actions.push(Action::Drain { worker });
            } else {
                actions.push(Action::Cancel { id, only_queued: false });
            }
        }
        actions
    }
}
