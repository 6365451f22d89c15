//! Scenarios of pools; `simulation` has random ones.

use std::time::Duration;

use super::*;
use crate::{
    needs::{Needs, TrainerKind},
    time::Timestamp,
};

mod simulation;
mod slurm;

fn settings(name: &str, most: u32) -> PoolSettings {
    PoolSettings {
        name: PoolName::new(name).unwrap(),
        max_workers: most,
        min_workers: 0,
        idle_seconds: 300,
        time_limit_seconds: None,
        slots: 1,
        gpu: false,
        worker: WorkerSettings {
            program: "/opt/colearn/colearn-worker".to_owned(),
            coordinator: "http://login1:7117".to_owned(),
            data_dir: None,
            checkpoints: None,
            access: None,
            allow_programs: true,
            programs_only: false,
            labels: Default::default(),
            arguments: Vec::new(),
        },
        log_dir: "/home/me/logs".to_owned(),
        arguments: Vec::new(),
    }
}

fn programs() -> Needs {
    Needs { trainer: TrainerKind::Programs, ..Needs::default() }
}

fn waiting(tasks: u64) -> Vec<Waiting> {
    vec![Waiting { needs: programs(), tasks }]
}

/// Pools with a clock and a queue.
struct Env {
    pools: Pools,
    now: Timestamp,
    queue: Vec<SeenJob>,
}

impl Env {
    fn new(settings: impl IntoIterator<Item = PoolSettings>) -> Self {
        let pools = settings.into_iter().zip(0..).map(|(settings, at)| {
            settings.check().unwrap();
            (settings.name.clone(), Pool::new(settings, "a1b2c3".to_owned(), Timestamp(at)))
        });
        Self { pools: Pools(pools.collect()), now: Timestamp(1000), queue: Vec::new() }
    }

    fn one(most: u32) -> Self {
        Self::new([settings("gpu", most)])
    }

    fn pool(&mut self, name: &str) -> &mut Pool {
        self.pools.0.get_mut(&PoolName::new(name).unwrap()).unwrap()
    }

    fn pass(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
    }

    /// The numbers of the jobs that each pool submits; the batch system takes them.
    fn decide(&mut self, waiting: &[Waiting]) -> Vec<(String, u64)> {
        let mut submitted = Vec::new();
        for (name, action) in self.pools.decide(self.now, waiting) {
            if let Action::Submit { number } = action {
                submitted.push((name.to_string(), number));
                let pool = self.pools.0.get_mut(&name).unwrap();
                let (job, id) = (pool.job_name(number), format!("{}", 100 + self.queue.len()));
                pool.submitted(self.now, number, Ok(id.clone()));
                self.queue.push(SeenJob {
                    name: job,
                    id,
                    state: SeenState::Queued,
                    detail: "Priority".to_owned(),
                });
            }
        }
        submitted
    }

    /// What is cancelled.
    fn cancelled(&mut self, waiting: &[Waiting]) -> Vec<String> {
        let actions = self.pools.decide(self.now, waiting);
        let ids = actions.into_iter().filter_map(|(_, action)| match action {
            Action::Cancel { id, .. } => Some(id),
            _ => None,
        });
        ids.collect()
    }

    fn set(&mut self, number: usize, state: SeenState) {
        self.queue[number].state = state;
        self.look();
    }

    fn look(&mut self) {
        let queue = self.queue.clone();
        assert_eq!(self.pools.seen(self.now, self.now, &queue), []);
    }

    fn connect(&mut self, name: &str, number: u64, worked: bool) {
        let name = self.pool(name).worker_name(number);
        self.pools.workers(&[SeenWorker { name, worked, memory: Some(8), threads: Some(1) }]);
    }
}

fn of_gpu(numbers: &[u64]) -> Vec<(String, u64)> {
    numbers.iter().map(|number| ("gpu".to_owned(), *number)).collect()
}

#[test]
fn a_pool_submits_what_the_waiting_tasks_can_use_and_no_more_than_its_limit() {
    let mut env = Env::one(3);
    assert_eq!(env.decide(&waiting(0)), []);
    assert_eq!(env.decide(&waiting(2)), of_gpu(&[1, 2]));
    assert_eq!(env.decide(&waiting(2)), [], "they are on their way");
    assert_eq!(env.decide(&waiting(9)), of_gpu(&[3]));
    // One has a task; the tasks that still wait have two jobs in the queue.
    env.set(0, SeenState::Running);
    env.connect("gpu", 1, true);
    assert_eq!(env.decide(&waiting(9)), [], "the limit");
    env.set(0, SeenState::Ended(End::Completed));
    assert_eq!(env.decide(&waiting(2)), []);
    assert_eq!(env.decide(&waiting(3)), of_gpu(&[4]));
}

#[test]
fn a_worker_with_several_slots_takes_several_tasks() {
    let mut env = Env::new([PoolSettings { slots: 4, ..settings("gpu", 9) }]);
    assert_eq!(env.decide(&waiting(9)), of_gpu(&[1, 2, 3]));
}

#[test]
fn pools_share_the_tasks_that_both_could_take() {
    let gpu = PoolSettings { gpu: true, ..settings("gpu", 9) };
    let mut env = Env::new([gpu, settings("cpu", 2)]);
    let needs_gpu = Waiting { needs: Needs { gpu: true, ..programs() }, tasks: 1 };
    let submitted = env.decide(&[waiting(3), vec![needs_gpu]].concat());
    let cpu = |number| ("cpu".to_owned(), number);
    assert_eq!(submitted, [vec![cpu(1), cpu(2)], of_gpu(&[1, 2])].concat());
}

#[test]
fn tasks_that_no_worker_of_a_pool_can_take_start_none() {
    let mut env = Env::one(3);
    let of = |needs| vec![Waiting { needs, tasks: 5 }];
    assert_eq!(env.decide(&of(Needs { gpu: true, ..programs() })), []);
    assert_eq!(env.decide(&of(Needs { labels: ["big".to_owned()].into(), ..programs() })), []);
    let large = of(Needs { memory: 16, ..programs() });
    assert_eq!(env.decide(&large).len(), 3, "how much memory its workers have is not known yet");
    env.set(0, SeenState::Running);
    env.connect("gpu", 1, false);
    env.set(0, SeenState::Ended(End::Completed));
    assert_eq!(env.decide(&large), [], "they have 8 bytes");
}

#[test]
fn queued_jobs_that_nothing_needs_are_cancelled_after_a_while() {
    let mut env = Env::one(3);
    env.decide(&waiting(3));
    env.set(0, SeenState::Running);
    assert_eq!(env.cancelled(&waiting(0)), Vec::<String>::new());
    env.pass(29);
    assert_eq!(env.cancelled(&waiting(0)), Vec::<String>::new());
    env.pass(1);
    // The one that runs ends by itself.
    assert_eq!(env.cancelled(&waiting(0)), ["101", "102"]);
    assert_eq!(env.cancelled(&waiting(2)), ["102"], "one of them is needed again");
}

#[test]
fn workers_that_are_kept_are_submitted_without_tasks_and_stay() {
    let mut env = Env::new([PoolSettings { min_workers: 1, ..settings("gpu", 3) }]);
    assert_eq!(env.decide(&waiting(0)), of_gpu(&[1]));
    assert_eq!(env.decide(&waiting(2)), of_gpu(&[2]), "the first takes one of them");
    env.pass(3600);
    assert_eq!(env.cancelled(&waiting(0)), Vec::<String>::new());
    env.pass(30);
    assert_eq!(env.cancelled(&waiting(0)), ["101"]);
    assert!(env.pool("gpu").jobs[&1].kept && !env.pool("gpu").jobs[&2].kept);
}

#[test]
fn a_job_that_is_queued_again_counts_for_waiting_tasks() {
    let mut env = Env::one(3);
    env.decide(&waiting(1));
    env.set(0, SeenState::Running);
    env.connect("gpu", 1, true);
    env.set(0, SeenState::Queued);
    assert_eq!(env.decide(&waiting(1)), [], "its own task waits for it");
    assert_eq!(env.decide(&waiting(2)), of_gpu(&[2]));
}

#[test]
fn the_last_job_that_started_is_known() {
    let mut env = Env::one(4);
    assert_eq!(env.pool("gpu").last_started(), None);
    env.decide(&waiting(4));
    assert_eq!(env.pool("gpu").last_started(), None, "all wait in the queue");
    env.set(0, SeenState::Running);
    env.set(1, SeenState::Running);
    env.set(2, SeenState::Ended(End::Cancelled));
    assert_eq!(env.pool("gpu").last_started(), Some(2));
    env.set(1, SeenState::Ended(End::Failed("ended with exit code 4".to_owned())));
    assert_eq!(env.pool("gpu").last_started(), Some(2));
}

#[test]
fn a_pool_whose_jobs_fail_in_a_row_pauses_with_the_reason() {
    let mut env = Env::one(1);
    for number in 0..3 {
        assert_eq!(env.decide(&waiting(5)).len(), 1);
        env.set(number, SeenState::Running);
        env.set(number, SeenState::Ended(End::Failed("ended with exit code 4".to_owned())));
        assert_eq!(env.decide(&waiting(5)), [], "it waits after a failure");
        env.pass(3600);
    }
    let why = "job 3 ended with exit code 4, and its worker had no task".to_owned();
    assert_eq!(env.pool("gpu").pause, Some(Pause::Failing(why)));
    assert_eq!(env.decide(&waiting(5)), []);
    env.pool("gpu").set_paused(false);
    assert_eq!(env.decide(&waiting(5)).len(), 1);
    assert_eq!(env.pool("gpu").failures, 0);
}

#[test]
fn what_happens_after_a_task_is_no_failure_of_the_pool() {
    let mut env = Env::one(1);
    for number in 0..9 {
        assert_eq!(env.decide(&waiting(5)).len(), 1);
        env.set(number, SeenState::Running);
        env.connect("gpu", number as u64 + 1, true);
        env.set(number, SeenState::Ended(End::Failed("ran out of memory".to_owned())));
    }
    assert_eq!(env.pool("gpu").pause, None);
}

#[test]
fn workers_that_come_and_get_none_of_the_waiting_tasks_are_failures() {
    let mut env = Env::one(1);
    for number in 0..3 {
        assert_eq!(env.decide(&waiting(5)).len(), 1);
        env.set(number, SeenState::Running);
        env.connect("gpu", number as u64 + 1, false);
        env.set(number, SeenState::Ended(End::Completed));
        env.pass(3600);
    }
    let Some(Pause::Failing(why)) = env.pool("gpu").pause.clone() else { panic!() };
    assert_eq!(why, "the worker of job 3 connected and got no task, although tasks wait");
}

#[test]
fn workers_that_leave_because_nothing_waits_are_no_failures() {
    let mut env = Env::one(1);
    for number in 0..5 {
        assert_eq!(env.decide(&waiting(1)).len(), 1);
        env.set(number, SeenState::Running);
        env.connect("gpu", number as u64 + 1, false);
        assert_eq!(env.decide(&waiting(0)), [], "another worker was faster");
        env.set(number, SeenState::Ended(End::Completed));
    }
    assert_eq!((env.pool("gpu").failures, env.pool("gpu").pause.clone()), (0, None));
}

#[test]
fn a_refused_submission_pauses_the_pool_only_if_it_has_no_other_job() {
    let mut env = Env::one(5);
    env.decide(&waiting(1));
    let refuse = |env: &mut Env| {
        let (name, action) = env.pools.decide(env.now, &waiting(5)).remove(0);
        let Action::Submit { number } = action else { panic!() };
        let pool = env.pools.0.get_mut(&name).unwrap();
        let others: Vec<u64> = pool.jobs.keys().copied().filter(|job| *job > number).collect();
        for number in [vec![number], others].concat() {
            let why = SubmitError::Refused("QOSMaxSubmitJobPerUserLimit".to_owned());
            pool.submitted(env.now, number, Err(why));
        }
        env.pass(3600);
    };
    (0..9).for_each(|_| refuse(&mut env));
    assert_eq!(env.pool("gpu").pause, None);
    assert!(env.pool("gpu").trouble.as_ref().unwrap().contains("QOSMaxSubmit"));
    env.set(0, SeenState::Ended(End::Cancelled));
    (0..3).for_each(|_| refuse(&mut env));
    assert!(matches!(env.pool("gpu").pause, Some(Pause::Failing(_))));
}

#[test]
fn a_submission_without_an_answer_is_found_by_its_name() {
    let mut env = Env::one(1);
    let [(_, Action::Submit { number })] = &env.pools.decide(env.now, &waiting(5))[..] else { panic!() };
    let number = *number;
    let now = env.now;
    env.pool("gpu").submitted(now, number, Err(SubmitError::Unclear("Socket timed out".to_owned())));
    env.look();
    env.pass(119);
    env.look();
    assert_eq!(env.decide(&waiting(5)), [], "it may still turn up");
    let name = env.pool("gpu").job_name(number);
    env.queue.push(SeenJob { name, id: "7".to_owned(), state: SeenState::Queued, detail: String::new() });
    env.look();
    assert_eq!(env.pool("gpu").jobs[&number].id.as_deref(), Some("7"));
    env.pass(3600);
    assert_eq!(env.decide(&waiting(5)), []);
}

#[test]
fn a_submission_that_never_happened_is_given_up_after_two_minutes() {
    let mut env = Env::one(1);
    assert_eq!(env.pools.decide(env.now, &waiting(5)).len(), 1);
    // The coordinator ends here, before it has called sbatch.
    let now = env.now.after(Duration::from_secs(600));
    env.now = now;
    env.pool("gpu").started_again(now);
    env.pass(119);
    env.look();
    assert_eq!(env.decide(&waiting(5)), []);
    env.pass(1);
    env.look();
    assert_eq!(env.decide(&waiting(5)), of_gpu(&[2]));
    assert_eq!(env.pool("gpu").failures, 0);
}

#[test]
fn a_job_is_over_only_when_it_is_missing_twice() {
    let mut env = Env::one(1);
    env.decide(&waiting(5));
    env.look();
    let queue = std::mem::take(&mut env.queue);
    env.look();
    assert_eq!(env.pool("gpu").jobs.len(), 1);
    env.queue = queue;
    env.look();
    env.queue.clear();
    env.look();
    env.look();
    assert_eq!(env.pool("gpu").jobs.len(), 0);
    assert_eq!(env.pool("gpu").ended[0].end, End::Unknown);
}

#[test]
fn a_removed_pool_ends_its_jobs_and_is_gone_with_the_last() {
    let mut env = Env::one(3);
    env.decide(&waiting(3));
    env.set(0, SeenState::Running);
    env.connect("gpu", 1, true);
    env.pool("gpu").remove();
    let worker = env.pool("gpu").worker_name(1);
    let gpu = PoolName::new("gpu").unwrap();
    let cancel = |id: &str| (gpu.clone(), Action::Cancel { id: id.to_owned(), only_queued: false });
    let drain = (gpu.clone(), Action::Drain { worker });
    assert_eq!(env.pools.decide(env.now, &waiting(3)), [drain, cancel("101"), cancel("102")]);
    env.pass(90);
    assert_eq!(env.pools.decide(env.now, &waiting(3)), [cancel("100"), cancel("101"), cancel("102")]);
    for job in 0..3 {
        env.set(job, SeenState::Ended(End::Cancelled));
    }
    assert_eq!(env.pools.decide(env.now, &waiting(3)), []);
    assert_eq!(env.pools, Pools::default());
}

#[test]
fn a_second_job_of_the_same_name_is_cancelled() {
    let mut env = Env::one(3);
    env.decide(&waiting(1));
    let mut twin = env.queue[0].clone();
    twin.id = "999".to_owned();
    let queue = [env.queue.clone(), vec![twin]].concat();
    let strays = env.pools.seen(env.now, env.now, &queue);
    assert_eq!(strays[0].1, Action::Cancel { id: "999".to_owned(), only_queued: false });
    assert_eq!(strays.len(), 1);
}

#[test]
fn settings_out_of_bounds_are_refused_with_the_option() {
    let error = |change: fn(&mut PoolSettings)| {
        let mut settings = settings("gpu", 3);
        change(&mut settings);
        settings.check().unwrap_err().to_string()
    };
    assert!(error(|it| it.max_workers = 0).contains("--max-workers is 0; it must be from 1 to 1000"));
    assert!(error(|it| it.min_workers = 4).contains("--min-workers is 4; it must be from 0 to 3"));
    assert!(error(|it| it.time_limit_seconds = Some(60)).contains("at least 120 s"));
    assert!(error(|it| it.log_dir = "logs".to_owned()).contains("--log-dir `logs` must be an absolute path"));
    assert!(error(|it| it.worker.arguments = vec!["a\nb".to_owned()]).contains("--worker-arg"));
    for bad in ["", "GPU", "1x", "a-b", &"x".repeat(33)] {
        assert!(PoolName::new(bad).is_err(), "{bad}");
    }
}
