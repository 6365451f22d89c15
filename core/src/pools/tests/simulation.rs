//! Random histories of a pool, a batch system and a coordinator that is killed at any moment.

use std::collections::BTreeMap;

use proptest::{prelude::*, test_runner::TestCaseError};

use super::*;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// Time passes, the queue is looked at (or not), it is decided, and what was decided is done.
    Turn { seconds: u64, sight: bool, fates: Vec<Fate>, killed_after: Option<usize> },
    /// Tasks are submitted.
    Tasks(u64),
    /// The batch system starts a queued job.
    Start(usize),
    /// A running job is preempted and waits again.
    Preempt(usize),
    /// A job ends.
    End(usize, bool),
    /// A person cancels a job.
    Cancel(usize),
}

/// What becomes of a submission.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Taken,
    Refused,
    Unavailable,
    /// There was no answer; the job is taken after this many seconds, or never.
    Unclear(Option<u64>),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => Just(Fate::Taken),
        1 => Just(Fate::Refused),
        1 => Just(Fate::Unavailable),
        2 => proptest::option::of(0..60_u64).prop_map(Fate::Unclear),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let turn = (
        1..40_u64,
        proptest::bool::weighted(0.8),
        proptest::collection::vec(fate(), 8),
        proptest::option::weighted(0.3, 0..3_usize),
    );
    prop_oneof![
        6 => turn.prop_map(|(seconds, sight, fates, killed_after)| Step::Turn { seconds, sight, fates, killed_after }),
        1 => (1..9_u64).prop_map(Step::Tasks),
        2 => any::<usize>().prop_map(Step::Start),
        1 => any::<usize>().prop_map(Step::Preempt),
        2 => any::<(usize, bool)>().prop_map(|(job, well)| Step::End(job, well)),
        1 => any::<usize>().prop_map(Step::Cancel),
    ]
}

/// A job in the batch system.
#[derive(Clone, Debug)]
struct RealJob {
    name: String,
    state: SeenState,
    worked: bool,
    /// Whether the batch system still shows its end.
    shown: bool,
}

struct World {
    pools: Pools,
    /// What the coordinator has stored.
    stored: String,
    now: Timestamp,
    tasks: u64,
    most: u32,
    jobs: BTreeMap<u64, RealJob>,
    /// Submissions that take their effect later, with the moment.
    late: Vec<(Timestamp, String)>,
    last_id: u64,
}

impl World {
    fn new(most: u32, slots: u32) -> Self {
        let settings = PoolSettings { slots, ..settings("gpu", most) };
        let pool = Pool::new(settings, "a1b2c3".to_owned(), Timestamp(0));
        let mut world = Self {
            pools: Pools([(pool.settings.name.clone(), pool)].into()),
            stored: String::new(),
            now: Timestamp(1_000_000),
            tasks: 0,
            most,
            jobs: BTreeMap::new(),
            late: Vec::new(),
            last_id: 0,
        };
        world.store();
        world
    }

    fn store(&mut self) {
        self.stored = serde_json::to_string(&self.pools.0.values().collect::<Vec<_>>()).unwrap();
    }

    fn restart(&mut self) {
        let pools: Vec<Pool> = serde_json::from_str(&self.stored).unwrap();
        let pools = pools.into_iter().map(|mut pool| {
            pool.started_again(self.now);
            (pool.settings.name.clone(), pool)
        });
        self.pools = Pools(pools.collect());
    }

    fn pool(&mut self) -> Option<&mut Pool> {
        self.pools.0.values_mut().next()
    }

    fn is_live(job: &RealJob) -> bool {
        !matches!(job.state, SeenState::Ended(_))
    }

    fn live(&self) -> usize {
        self.jobs.values().filter(|job| Self::is_live(job)).count()
    }

    /// The id of one of the live jobs in this state.
    fn pick(&self, index: usize, running: Option<bool>) -> Option<u64> {
        let fits = |job: &RealJob| match running {
            Some(true) => job.state == SeenState::Running,
            Some(false) => job.state == SeenState::Queued,
            None => Self::is_live(job),
        };
        let ids: Vec<u64> = self.jobs.iter().filter(|(_, job)| fits(job)).map(|(id, _)| *id).collect();
        ids.get(index.checked_rem(ids.len())?).copied()
    }

    fn take(&mut self, name: String) -> String {
        self.last_id += 1;
        let job = RealJob { name, state: SeenState::Queued, worked: false, shown: true };
        self.jobs.insert(self.last_id, job);
        self.last_id.to_string()
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
        let due: Vec<_> = self.late.extract_if(.., |(at, _)| *at <= self.now).collect();
        for (_, name) in due {
            self.take(name);
        }
    }

    fn look(&mut self) -> Vec<Action> {
        let shown = self.jobs.iter().filter(|(_, job)| job.shown);
        let seen: Vec<SeenJob> = shown
            .map(|(id, job)| SeenJob {
                name: job.name.clone(),
                id: id.to_string(),
                state: job.state.clone(),
                detail: String::new(),
            })
            .collect();
        self.pools.seen(self.now, self.now, &seen).into_iter().map(|(_, action)| action).collect()
    }

    fn tell_workers(&mut self) {
        let running = self.jobs.values().filter(|job| job.state == SeenState::Running);
        let workers: Vec<SeenWorker> = running
            .map(|job| SeenWorker {
                name: job.name.strip_prefix("colearn-").unwrap().to_owned(),
                worked: job.worked,
                memory: None,
                threads: None,
            })
            .collect();
        self.pools.workers(&workers);
    }

    fn turn(
        &mut self,
        seconds: u64,
        sight: bool,
        fates: &[Fate],
        killed_after: Option<usize>,
    ) -> TestCaseResult {
        self.pass(seconds);
        self.tell_workers();
        if !sight {
            return Ok(());
        }
        let mut actions = self.look();
        let waiting = waiting(self.tasks);
        actions.extend(self.pools.decide(self.now, &waiting).into_iter().map(|(_, action)| action));
        self.check_need(&actions)?;
        self.store();
        let mut fates = fates.iter().copied();
        for (index, action) in actions.into_iter().enumerate() {
            let killed = killed_after == Some(index);
            match action {
                Action::Submit { number } => {
                    let fate = fates.next().unwrap_or(Fate::Taken);
                    self.submit(number, fate, killed);
                }
                Action::Cancel { id, only_queued } => self.cancel(id.parse().unwrap(), only_queued),
                Action::Drain { .. } => {}
            }
            if killed {
                self.restart();
                return self.check();
            }
            self.store();
        }
        self.check()
    }

    fn submit(&mut self, number: u64, fate: Fate, killed: bool) {
        let Some(name) = self.pool().map(|pool| pool.job_name(number)) else { return };
        let outcome = match fate {
            Fate::Taken => Ok(self.take(name)),
            Fate::Refused => Err(SubmitError::Refused("no".to_owned())),
            Fate::Unavailable => Err(SubmitError::Unavailable("away".to_owned())),
            Fate::Unclear(None) => Err(SubmitError::Unclear("no answer".to_owned())),
            Fate::Unclear(Some(seconds)) => {
                self.late.push((self.now.after(Duration::from_secs(seconds)), name));
                Err(SubmitError::Unclear("no answer".to_owned()))
            }
        };
        let now = self.now;
        // A coordinator that is killed never learns the outcome.
        if !killed && let Some(pool) = self.pool() {
            pool.submitted(now, number, outcome);
        }
    }

    fn cancel(&mut self, id: u64, only_queued: bool) {
        if let Some(job) = self.jobs.get_mut(&id)
            && (job.state == SeenState::Queued || !only_queued)
            && Self::is_live(job)
        {
            job.state = SeenState::Ended(End::Cancelled);
        }
    }

    /// No job is submitted that the waiting tasks cannot use.
    fn check_need(&mut self, actions: &[Action]) -> TestCaseResult {
        let submitted =
            actions.iter().filter(|action| matches!(action, Action::Submit { .. })).count() as u64;
        let tasks = self.tasks;
        let Some(pool) = self.pool() else { return Ok(()) };
        let unused = pool.jobs.values().filter(|job| !job.worked).count() as u64;
        let slots = u64::from(pool.settings.slots);
        if submitted > 0 {
            prop_assert!((unused - 1) * slots < tasks, "{unused} jobs without a task for {tasks} tasks");
        }
        Ok(())
    }

    /// There are never more jobs than the limit, and none that the pool does not know of.
    fn check(&mut self) -> TestCaseResult {
        let (live, late, most) = (self.live(), self.late.len(), self.most as usize);
        prop_assert!(live + late <= most, "{live} jobs and {late} on their way; the limit is {most}");
        let names: Vec<String> =
            self.jobs.values().filter(|job| Self::is_live(job)).map(|job| job.name.clone()).collect();
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        prop_assert_eq!(distinct.len(), names.len(), "two jobs have one name");
        Ok(())
    }

    fn step(&mut self, step: &Step) -> TestCaseResult {
        match step {
            Step::Turn { seconds, sight, fates, killed_after } => {
                return self.turn(*seconds, *sight, fates, *killed_after);
            }
            Step::Tasks(tasks) => self.tasks += tasks,
            Step::Start(index) => {
                if let Some(job) = self.pick(*index, Some(false)).and_then(|id| self.jobs.get_mut(&id)) {
                    job.state = SeenState::Running;
                    job.worked = self.tasks > 0;
                    self.tasks = self.tasks.saturating_sub(1);
                }
            }
            Step::Preempt(index) => {
                if let Some(job) = self.pick(*index, Some(true)).and_then(|id| self.jobs.get_mut(&id)) {
                    self.tasks += u64::from(job.worked);
                    (job.state, job.worked) = (SeenState::Queued, false);
                }
            }
            Step::End(index, well) => {
                if let Some(job) = self.pick(*index, Some(true)).and_then(|id| self.jobs.get_mut(&id)) {
                    let end = if *well { End::Completed } else { End::Failed("exit code 1".to_owned()) };
                    self.tasks += u64::from(job.worked && !well);
                    job.state = SeenState::Ended(end);
                    job.shown = *well;
                }
            }
            Step::Cancel(index) => {
                if let Some(id) = self.pick(*index, None) {
                    self.cancel(id, false);
                }
            }
        }
        Ok(())
    }

    /// After everything the tasks are taken, and no job is left; or the pool has paused, and no job is left.
    fn settle(&mut self) -> TestCaseResult {
        for _ in 0..100 {
            self.turn(30, true, &[], None)?;
            while let Some(id) = self.pick(0, Some(false)).filter(|_| self.tasks > 0) {
                let job = self.jobs.get_mut(&id).ok_or_else(|| TestCaseError::fail("gone"))?;
                (job.state, job.worked) = (SeenState::Running, true);
                self.tasks -= 1;
            }
            self.tell_workers();
            let over = |job: &&mut RealJob| job.state == SeenState::Running;
            self.jobs.values_mut().filter(over).for_each(|job| job.state = SeenState::Ended(End::Completed));
        }
        let paused = self.pool().is_some_and(|pool| pool.pause.is_some());
        prop_assert!(self.tasks == 0 || paused, "{} tasks wait", self.tasks);
        prop_assert_eq!(self.live(), 0);
        let known = self.pool().map_or(0, |pool| pool.jobs.len());
        prop_assert_eq!(known, 0, "it waits for jobs that there are not");
        Ok(())
    }
}

type TestCaseResult = Result<(), TestCaseError>;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_job_is_lost_or_doubled_whenever_the_coordinator_ends(
        most in 1..5_u32,
        slots in 1..3_u32,
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut world = World::new(most, slots);
        for step in &steps {
            world.step(step)?;
        }
        world.settle()?;
    }
}
