//! One pool: its jobs, and what changes them.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    job::{End, EndedJob, Job, JobState, SeenJob, SeenState, SeenWorker},
    settings::PoolSettings,
};
use crate::time::Timestamp;

/// Number of failures in a row after which a pool pauses.
pub const MAX_FAILURES: u32 = 3;
/// How long a submission may take to have its effect, also one whose caller died. The caller ends the command earlier.
pub const SUBMISSION_TAKES: Duration = Duration::from_secs(120);
/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Number of ended jobs that a pool remembers.
const REMEMBERED: usize = 20;
/// Number of times that a job must be missing from the queue before it counts as ended.
const MISSES: u32 = 2;

/// A pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// Its settings.
    pub settings: PoolSettings,
    /// Letters and digits that no other pool has, also none of the same name.
    pub mark: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Why it submits no jobs, if it is paused.
    pub pause: Option<Pause>,
    /// Whether a person removed it: it goes when its last job has ended.
    pub removing: bool,
    /// The jobs that have not ended, by number.
    pub jobs: BTreeMap<u64, Job>,
    /// The last jobs that have ended, the newest first.
    pub ended: VecDeque<EndedJob>,
    /// The number of the last job.
    pub last: u64,
    /// Failures since the last job whose worker had a task.
    pub failures: u32,
    /// When it may submit again after a failure.
    pub not_before: Option<Timestamp>,
    /// The last failure, or trouble of the batch system, for people.
    pub trouble: Option<String>,
    /// The most memory and threads that a slot of its workers has offered.
    pub(super) offered: (Option<u64>, Option<u32>),
    /// Whether tasks waited that its workers could have taken, when it was last decided.
    #[serde(skip)]
    pub(super) wanted: bool,
}

/// Why a pool is paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    /// A person paused it.
    Person,
    /// Its jobs failed in a row; the last failure.
    Failing(String),
}

/// What is to be done in the batch system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Submit the job of this number; [`Pool::submitted`] follows.
    Submit {
        /// Number of the job.
        number: u64,
    },
    /// Cancel a job.
    Cancel {
        /// Its id.
        id: String,
        /// Only if it has not started.
        only_queued: bool,
    },
    /// Ask the worker of a job to return its tasks and to exit.
    Drain {
        /// Name of the worker without the random digits.
        worker: String,
    },
}

/// Why a job could not be submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// The batch system refused it.
    Refused(String),
    /// The batch system has no answer now, and has not taken the job.
    Unavailable(String),
    /// It may have taken the job.
    Unclear(String),
}

impl Pool {
    /// A new pool. `mark` is random, of lower-case letters and digits.
    #[must_use]
    pub fn new(settings: PoolSettings, mark: String, now: Timestamp) -> Self {
        Self {
            settings,
            mark,
            created_at: now,
            pause: None,
            removing: false,
            jobs: BTreeMap::new(),
            ended: VecDeque::new(),
            last: 0,
            failures: 0,
            not_before: None,
            trouble: None,
            offered: (None, None),
            wanted: false,
        }
    }

    /// The name of the worker of a job, without the random digits that it adds itself.
    #[must_use]
    pub fn worker_name(&self, number: u64) -> String {
        format!("{}-{}-{number}", self.settings.name, self.mark)
    }

    /// The name of a job in the batch system.
    #[must_use]
    pub fn job_name(&self, number: u64) -> String {
        format!("colearn-{}", self.worker_name(number))
    }

    /// The number of the job whose worker has this name.
    fn number_of(&self, worker: &str) -> Option<u64> {
        let number = worker.strip_prefix(self.settings.name.as_str())?.strip_prefix('-')?;
        number.strip_prefix(&self.mark)?.strip_prefix('-')?.parse().ok()
    }

    /// The number of the last job that has started, as far as that is remembered.
    #[must_use]
    pub fn last_started(&self) -> Option<u64> {
        let running = self.jobs.values().filter(|job| job.state == JobState::Running).map(|job| job.number);
        let ran = |job: &&EndedJob| {
            job.worked || matches!(job.end, End::Completed | End::Failed(_) | End::Preempted)
        };
        running.chain(self.ended.iter().filter(ran).map(|job| job.number)).max()
    }

    /// Whether tasks waited that its workers could have taken, when it was last decided.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// After the caller has started again: submissions that had begun may still have their effect.
    pub fn started_again(&mut self, now: Timestamp) {
        for job in self.jobs.values_mut().filter(|job| job.state == JobState::Submitting) {
            job.submitted_at = now;
        }
    }

    /// A person pauses the pool, or lets it go on.
    pub fn set_paused(&mut self, paused: bool) {
        self.pause = paused.then_some(Pause::Person);
        if !paused {
            (self.failures, self.not_before, self.trouble) = (0, None, None);
        }
    }

    /// A person removes the pool.
    pub fn remove(&mut self) {
        self.removing = true;
    }

    /// The outcome of a submission: the id of the job, or an error.
    pub fn submitted(&mut self, now: Timestamp, number: u64, outcome: Result<String, SubmitError>) {
        let alone = self.jobs.len() <= 1;
        let Some(job) = self.jobs.get_mut(&number) else { return };
        match outcome {
            Ok(id) => {
                job.id = Some(id);
                // It may have been seen already.
                if job.state == JobState::Submitting {
                    job.state = JobState::Queued;
                }
            }
            Err(SubmitError::Unclear(why)) => {
                self.trouble = Some(format!("it is not known whether job {number} was submitted: {why}"));
            }
            Err(SubmitError::Unavailable(why)) => {
                self.jobs.remove(&number);
                self.wait(now, self.failures.max(1));
                self.trouble = Some(why);
            }
            Err(SubmitError::Refused(why)) => {
                self.jobs.remove(&number);
                let why = format!("a job was refused: {why}");
                if alone {
                    self.failed(now, why);
                } else {
                    // Often a limit of jobs for each person: the others go on.
                    self.wait(now, MAX_FAILURES);
                    self.trouble = Some(why);
                }
            }
        }
    }

    /// The jobs that the batch system showed to a query that began at `began`. Returns what is to be cancelled: a
    /// second job under the name of another.
    pub fn seen(&mut self, now: Timestamp, began: Timestamp, seen: &[SeenJob]) -> Vec<Action> {
        let mut strays = Vec::new();
        let mut found: BTreeMap<u64, &SeenJob> = BTreeMap::new();
        for shown in seen {
            let Some(number) = shown.name.strip_prefix("colearn-").and_then(|name| self.number_of(name))
            else {
                continue;
            };
            let live = !matches!(shown.state, SeenState::Ended(_));
            let known = self.jobs.get(&number);
            match known.and_then(|job| job.id.as_ref()) {
                Some(id) if *id == shown.id => {
                    found.insert(number, shown);
                }
                Some(_) if live => {
                    strays.push(Action::Cancel { id: shown.id.clone(), only_queued: false });
                }
                Some(_) => {}
                // Not known yet, or given up, or queued again by hand after its end.
                None if live || known.is_some() => {
                    self.adopt(number, shown);
                    found.insert(number, shown);
                }
                None => {}
            }
        }
        let numbers: Vec<u64> = self.jobs.keys().copied().collect();
        for number in numbers {
            let Some(job) = self.jobs.get_mut(&number) else { continue };
            let end = match found.get(&number).map(|shown| (&shown.state, &shown.detail)) {
                Some((SeenState::Queued, detail)) => {
                    (job.watched, job.missed) = (true, 0);
                    job.queued(detail);
                    None
                }
                Some((SeenState::Running, _)) => {
                    (job.watched, job.missed) = (true, 0);
                    job.running();
                    None
                }
                Some((SeenState::Ended(end), _)) => Some(end.clone()),
                None => job.missing(began),
            };
            if let Some(end) = end {
                self.ended(now, number, end);
            }
        }
        strays
    }

    fn adopt(&mut self, number: u64, shown: &SeenJob) {
        let job = self.jobs.entry(number).or_insert_with(|| Job::new(number, Timestamp(0), false));
        job.id = Some(shown.id.clone());
        if job.state == JobState::Submitting {
            job.state = JobState::Queued;
        }
        self.last = self.last.max(number);
    }

    /// The workers that are connected.
    pub fn workers(&mut self, workers: &[SeenWorker]) {
        for worker in workers {
            let Some(number) = self.number_of(&worker.name) else { continue };
            self.offered.0 = self.offered.0.max(worker.memory);
            self.offered.1 = self.offered.1.max(worker.threads);
            let Some(job) = self.jobs.get_mut(&number) else { continue };
            // Before the queue shows it.
            job.running();
            job.arrived = true;
            job.worked |= worker.worked;
            if worker.worked {
                (self.failures, self.not_before) = (0, None);
            }
        }
    }

    fn ended(&mut self, now: Timestamp, number: u64, end: End) {
        let Some(job) = self.jobs.remove(&number) else { return };
        let why = match &end {
            // Whatever happened after a task is not a fault of the pool.
            _ if job.worked || self.removing => None,
            End::Failed(how) => Some(format!("job {number} {how}, and its worker had no task")),
            End::Completed if !job.arrived => {
                Some(format!("job {number} ended before its worker had connected"))
            }
            // It came, and got none of the tasks that wait: the next one would not either.
            End::Completed if self.wanted => {
                Some(format!("the worker of job {number} connected and got no task, although tasks wait"))
            }
            End::Unknown if !job.arrived && job.watched => {
                Some(format!("job {number} vanished from the queue before its worker had connected"))
            }
            End::Completed | End::Unknown | End::Cancelled | End::Preempted | End::NeverSubmitted => None,
        };
        let worked = job.worked;
        self.ended.push_front(EndedJob { number, id: job.id, at: now, end, worked });
        self.ended.truncate(REMEMBERED);
        if let Some(why) = why {
            self.failed(now, why);
        }
    }

    fn failed(&mut self, now: Timestamp, why: String) {
        self.failures += 1;
        if self.failures >= MAX_FAILURES && self.pause.is_none() {
            self.pause = Some(Pause::Failing(why.clone()));
        }
        self.wait(now, self.failures);
        self.trouble = Some(why);
    }

    fn wait(&mut self, now: Timestamp, failures: u32) {
        let pause = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(LONGEST_PAUSE);
        self.not_before = Some(now.after(pause));
    }
}

impl Job {
    /// It was not seen by a query that began at `began`. Returns how it ended, if that is certain.
    fn missing(&mut self, began: Timestamp) -> Option<End> {
        if self.state == JobState::Submitting {
            let over = began.since(self.submitted_at) >= SUBMISSION_TAKES;
            return over.then_some(End::NeverSubmitted);
        }
        self.missed += 1;
        (self.missed >= MISSES).then_some(End::Unknown)
    }
}
