//! Pools of worker jobs in a real Slurm, which the tests start themselves.

mod cluster;

use std::{collections::BTreeSet, fs, path::Path, process::Output};

use serde_json::Value;

use self::cluster::{Cluster, Shown};
use crate::lab::{Lab, Running, largest_difference, text, worker};

/// A program that is a function of its arguments, keeps its state after every epoch, and goes on from it.
const TRAIN: &str = r#"#!/bin/sh
for argument; do
  case $argument in
    --x=*) x=${argument#*=} ;;
    --seed=*) seed=${argument#*=} ;;
  esac
done
state="$COLEARN_CHECKPOINT_DIR/state"
epoch=0 sum=0
[ -f "$state" ] && read -r epoch sum < "$state"
while [ "$epoch" -lt 40 ]; do
  sleep "${PAUSE:-0.05}"
  epoch=$((epoch + 1)) sum=$(((sum * 31 + x * seed + epoch) % 1000))
  echo "$epoch $sum" > "$state.new" && mv "$state.new" "$state"
  echo "{\"epoch\": $epoch, \"loss\": $sum}" >> "$COLEARN_METRICS"
done
echo "{\"result\": {\"score\": $sum}}" >> "$COLEARN_METRICS"
"#;

const SWEEP: &str = r#"name: small
program: {command: [sh, train.sh, "${args}"]}
parameters: {x: [1, 2, 3, 4]}
seeds: {count: 5}
report: {metrics: [score], baseline: {x: 1}}
retries: {initial_backoff: 100ms, max_attempts: 2}
"#;

struct Stage {
    lab: Lab,
    coordinator: Option<Running>,
    url: String,
    options: &'static [&'static str],
    cluster: Cluster,
}

impl Stage {
    fn new() -> Option<Self> {
        Self::with(&[])
    }

    /// A coordinator with further options.
    fn with(options: &'static [&'static str]) -> Option<Self> {
        let cluster = Cluster::start()?;
        let lab = Lab::new();
        lab.write("small.yaml", SWEEP);
        lab.write("train.sh", TRAIN);
        let mut stage = Self { lab, coordinator: None, url: String::new(), options, cluster };
        stage.start_coordinator("127.0.0.1:0");
        Some(stage)
    }

    fn start_coordinator(&mut self, listen: &str) {
        let arguments = ["coordinator", "--listen", listen, "--state", "state", "--lease", "10"];
        let pools = ["--allow-pools", "--pool-interval", "1s"];
        let mut command = self.lab.colearn_command(&[&arguments[..], &pools, self.options].concat());
        command.env("SLURM_CONF", self.cluster.conf());
        let (running, url) = self.lab.serve(command).unwrap_or_else(|| panic!("{}", self.lab.logs()));
        (self.coordinator, self.url) = (Some(running), url);
    }

    /// Kills the coordinator with `kill -9`, and starts the next one at the same address.
    fn replace_coordinator(&mut self) {
        self.coordinator.take().unwrap().kill();
        let address = self.url.trim_start_matches("http://").to_owned();
        self.start_coordinator(&address);
    }

    fn colearn(&self, arguments: &[&str]) -> Output {
        self.lab.colearn(&with(&self.url, arguments))
    }

    fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.colearn(arguments);
        assert!(output.status.success(), "{arguments:?}: {}\n{}", text(&output.stderr), self.lab.logs());
        text(&output.stdout)
    }

    /// Adds a pool `low` of workers that leave after five seconds without a task.
    fn add_pool(&self, most: &str) {
        let pool = ["alloc", "slurm", "--name", "low", "--max-workers", most, "--idle-timeout", "5s"];
        let worker = ["--programs-only", "--checkpoints", "shared", "--", "--partition=low"];
        self.succeed(&[&pool[..], &worker].concat());
    }

    fn pool(&self) -> Value {
        let listed: Value = serde_json::from_str(&self.succeed(&["alloc", "list", "--json"])).unwrap();
        listed["pools"][0].clone()
    }

    fn live(&self) -> Vec<Shown> {
        self.cluster.live("low")
    }

    fn wait_for(&self, what: &str, mut is_there: impl FnMut() -> bool) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
        while !is_there() {
            let late = std::time::Instant::now() >= deadline;
            assert!(
                !late,
                "waited too long for {what}\n{:?}\n{:#}\n{}\n{}\n{}",
                self.cluster.jobs(),
                self.pool(),
                text(&self.colearn(&["alloc", "logs", "low"]).stdout),
                self.lab.logs(),
                self.cluster.logs()
            );
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// Waits until Slurm has no job of the pool, and until the coordinator has seen that.
    fn wait_for_the_end_of_all_jobs(&self) {
        self.wait_for("the end of all jobs", || self.live().is_empty());
        self.wait_for("the coordinator to see it", || {
            self.pool()["jobs"].as_array().unwrap().iter().all(|job| job["state"] == "ended")
        });
    }

    fn done(&self) -> u64 {
        let status: Value = serde_json::from_str(&self.succeed(&["status", "small", "--json"])).unwrap();
        status["tasks"]["done"].as_u64().unwrap()
    }

    /// The results are those of an undisturbed run, and no attempt was lost.
    fn check_results(&self) {
        let results = |output: &[u8]| serde_json::from_slice::<Value>(output).unwrap();
        let here = self.succeed(&["results", "small", "--format", "json"]);
        let mut run =
            self.lab.colearn_command(&["run", "small.yaml", "--state", "undisturbed", "--format", "json"]);
        let undisturbed = run.env("PAUSE", "0").output().unwrap();
        assert!(undisturbed.status.success(), "{}", text(&undisturbed.stderr));
        let (here, undisturbed) = (results(here.as_bytes()), results(&undisturbed.stdout));
        assert_eq!(largest_difference(&here["configurations"], &undisturbed["configurations"]), 0.0);
        let status: Value = serde_json::from_str(&self.succeed(&["status", "small", "--json"])).unwrap();
        assert_eq!(status["retried"], 0, "{status:#}");
    }
}

fn with<'a>(url: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    // Before the options of sbatch.
    let at = arguments.iter().position(|word| *word == "--").unwrap_or(arguments.len());
    let (before, after) = arguments.split_at(at);
    [before, &["--coordinator", url], after].concat()
}

#[test]
fn a_sweep_without_workers_grows_to_the_limit_and_ends_with_the_right_table_and_no_job() {
    let Some(stage) = Stage::new() else { return };
    stage.add_pool("3");
    assert_eq!(stage.live(), [], "nothing waits");
    stage.succeed(&["submit", "small.yaml"]);
    stage.wait_for("three workers", || {
        let running = stage.live().iter().filter(|job| job.state == "RUNNING").count();
        assert!(stage.live().len() <= 3, "{:?}", stage.live());
        running == 3
            && stage.pool()["jobs"].as_array().unwrap().iter().filter(|job| job["worked"] == true).count()
                == 3
    });

    // Four of six processors: one of three jobs has to go. It parks its task, and waits in the queue again.
    let urgent = stage.cluster.submit(&["--partition=high", "--ntasks=4", "--wrap=sleep 2"]);
    stage.wait_for("a preempted job in the queue", || stage.live().iter().any(|job| job.restarts == 1));
    let preempted = stage.live().into_iter().find(|job| job.restarts == 1).unwrap();
    stage.wait_for("the urgent job's end", || {
        stage.cluster.jobs().iter().any(|job| job.id == urgent && job.state == "COMPLETED")
    });

    // A person cancels another one. It also parks its task, and does not come back.
    let cancelled = stage.live().into_iter().find(|job| job.restarts == 0 && job.state == "RUNNING").unwrap();
    stage.cluster.command("scancel", &[&cancelled.id]);
    stage.wait_for("the cancelled job's end", || {
        stage.cluster.jobs().iter().any(|job| job.id == cancelled.id && job.state == "CANCELLED")
    });

    stage.wait_for("the end of the sweep", || {
        assert!(stage.live().len() <= 3, "{:?}", stage.live());
        stage.done() == 20
    });
    stage.wait_for_the_end_of_all_jobs();
    let jobs = stage.cluster.jobs();
    let state = |id: &str| jobs.iter().find(|job| job.id == id).unwrap().state.clone();
    assert_eq!(state(&cancelled.id), "CANCELLED");
    assert_eq!(state(&preempted.id), "COMPLETED", "it came back, and left when nothing waited");
    stage.check_results();
    assert_eq!((&stage.pool()["state"], &stage.pool()["failures"]), (&"active".into(), &0.into()));

    let log = stage.succeed(&["alloc", "logs", "low", "1"]);
    assert!(log.contains("connected to the coordinator"), "{log}");
    assert_eq!(stage.succeed(&["alloc", "rm", "low"]), "low: removed\n");
    assert_eq!(stage.succeed(&["alloc", "list"]), "");
}

#[test]
fn the_workers_of_a_secured_coordinator_are_let_in_without_configuration() {
    let Some(stage) = Stage::with(&["--secure"]) else { return };
    assert!(stage.url.starts_with("https://"), "{}", stage.url);
    // In the home folder, which nodes share, unlike a state folder on a local disk.
    let access = stage.lab.path().join("config/colearn/worker.access").display().to_string();
    let script = stage.succeed(&["alloc", "slurm", "--name", "dry", "--max-workers", "1", "--dry-run"]);
    assert!(script.contains(&format!("--access {access}")), "{script}");
    // A new authority also writes that file anew.
    let before = fs::read(&access).unwrap();
    for arguments in [&["rotate"][..], &["rotate", "--finish"]] {
        let output = stage.lab.colearn(&[&["access"], arguments, &["--state", "state"]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    assert_ne!(fs::read(&access).unwrap(), before);
    // The coordinator follows within a second.
    stage.wait_for("the new authority", || stage.colearn(&["list"]).status.success());
    stage.add_pool("2");
    stage.succeed(&["submit", "small.yaml"]);
    stage.wait_for("the end of the sweep", || stage.done() == 20);
    stage.wait_for_the_end_of_all_jobs();
    stage.check_results();
    let workers = stage.succeed(&["alloc", "logs", "low", "1"]);
    assert!(workers.contains("connected to the coordinator"), "{workers}");
}

#[test]
fn a_coordinator_that_is_killed_neither_loses_nor_doubles_jobs() {
    let Some(mut stage) = Stage::new() else { return };
    stage.add_pool("2");
    stage.succeed(&["submit", "small.yaml"]);
    for round in 0..5 {
        // At once, before and after the first submissions, and later in between.
        std::thread::sleep(std::time::Duration::from_millis(400 * round));
        stage.replace_coordinator();
        let names: Vec<String> = stage.live().into_iter().map(|job| job.name).collect();
        assert!(names.len() <= 2 && names.iter().collect::<BTreeSet<_>>().len() == names.len(), "{names:?}");
    }
    stage.wait_for("the end of the sweep", || {
        assert!(stage.live().len() <= 2, "{:?}", stage.live());
        stage.done() == 20
    });
    stage.wait_for_the_end_of_all_jobs();
    stage.check_results();
    let known: BTreeSet<String> =
        stage.pool()["jobs"].as_array().unwrap().iter().map(|job| job["name"].to_string()).collect();
    for job in stage.cluster.jobs().iter().filter(|job| job.name.starts_with("colearn-")) {
        assert!(known.contains(&format!("\"{}\"", job.name)), "{job:?} is none of {known:?}");
    }
}

#[test]
fn what_slurm_refuses_is_no_pool_and_a_removed_pool_parks_its_tasks() {
    let Some(stage) = Stage::new() else { return };
    let pool = ["alloc", "slurm", "--max-workers", "1", "--programs-only", "--checkpoints", "shared"];
    let refused = stage.colearn(&[&pool[..], &["--", "--partition=none"]].concat());
    assert_eq!(refused.status.code(), Some(1));
    let why = text(&refused.stderr);
    assert!(why.contains("Slurm refuses a job of this pool") && why.contains("invalid partition"), "{why}");
    let reserved = stage.colearn(&[&pool[..], &["--", "--array=1-9"]].concat());
    assert!(text(&reserved.stderr).contains("use --max-workers"), "{}", text(&reserved.stderr));

    let tried =
        stage.colearn(&[&pool[..], &["--time-limit", "1h", "--dry-run", "--", "--partition=low"]].concat());
    let (script, said) = (text(&tried.stdout), text(&tried.stderr));
    assert!(script.starts_with("#!/bin/sh\n#SBATCH --job-name=colearn-slurm-"), "{script}{said}");
    assert!(script.contains("#SBATCH --time=60\n") && script.contains("--time-limit 3540s"), "{script}");
    assert!(said.contains("sbatch --parsable --partition=low") && said.contains("to start at"), "{said}");
    assert_eq!(stage.succeed(&["alloc", "list"]), "", "nothing was added");

    stage.add_pool("2");
    let again = stage.colearn(&["alloc", "slurm", "--name", "low", "--max-workers", "1"]);
    assert!(text(&again.stderr).contains("there is a pool `low`"), "{}", text(&again.stderr));
    let unknown = stage.colearn(&["alloc", "pause", "lwo"]);
    assert_eq!(unknown.status.code(), Some(8));
    assert!(text(&unknown.stderr).contains("the pools are low"), "{}", text(&unknown.stderr));

    stage.succeed(&["alloc", "pause", "low"]);
    stage.succeed(&["submit", "small.yaml"]);
    stage.wait_for("waiting tasks to be seen", || stage.pool()["wanted"] == true);
    assert_eq!(stage.live(), [], "it is paused");
    stage.succeed(&["alloc", "resume", "low"]);
    stage.wait_for("two workers with tasks", || {
        let pool = stage.pool();
        pool["jobs"].as_array().unwrap().iter().filter(|job| job["worked"] == true).count() == 2
    });
    let removed = stage.succeed(&["alloc", "rm", "low"]);
    assert!(removed.starts_with("low: 2 jobs are being ended"), "{removed}");
    stage.wait_for("the end of all jobs", || stage.live().is_empty());
    stage.wait_for("the end of the pool", || stage.succeed(&["alloc", "list"]).is_empty());
    let jobs = stage.cluster.jobs();
    let states: Vec<&str> =
        jobs.iter().filter(|job| job.name.contains("-low-")).map(|job| job.state.as_str()).collect();
    assert_eq!(states, ["COMPLETED", "COMPLETED"], "their workers exited");
    let status: Value = serde_json::from_str(&stage.succeed(&["status", "small", "--json"])).unwrap();
    assert_eq!((&status["retried"], &status["tasks"]["running"]), (&0.into(), &0.into()), "{status:#}");
}

#[test]
fn a_worker_that_does_not_start_is_told_with_its_log() {
    let Some(stage) = Stage::new() else { return };
    let pool = ["alloc", "slurm", "--name", "low", "--max-workers", "1", "--programs-only"];
    let worker = ["--worker-program", "/nowhere/colearn-worker", "--", "--partition=low"];
    stage.succeed(&[&pool[..], &worker].concat());
    stage.succeed(&["submit", "small.yaml"]);
    stage.wait_for("a failure", || stage.pool()["failures"] == 1);
    let trouble = stage.pool()["trouble"].as_str().unwrap().to_owned();
    assert_eq!(trouble, "job 1 ended with exit code 2, and its worker had no task");
    let log = stage.succeed(&["alloc", "logs", "low"]);
    assert!(log.contains("/nowhere/colearn-worker: No such file or directory"), "{log}");
    assert!(stage.pool()["not_before"].is_string(), "it waits before it tries again");
    assert_eq!(stage.live(), []);
}

/// `deploy/slurm/colearn-worker.sbatch`, with the paths and resources of this test.
#[test]
fn the_shipped_batch_script_parks_and_comes_back() {
    let Some(stage) = Stage::new() else { return };
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/slurm/colearn-worker.sbatch");
    let mut script = fs::read_to_string(shipped).unwrap();
    let checkpoints = stage.lab.path().join("shared").display().to_string();
    for (shipped, here) in [
        ("/opt/colearn/colearn-worker", worker().to_str().unwrap()),
        ("login1:7117", &stage.url),
        ("--data-dir /scratch/colearn/data", "--programs-only"),
        ("/scratch/colearn/checkpoints", &checkpoints),
        ("--idle-timeout 30m", "--idle-timeout 5s"),
        ("#SBATCH --gpus=1\n", "#SBATCH --partition=low\n"),
        ("#SBATCH --cpus-per-task=4\n", "#SBATCH --cpus-per-task=2\n"),
        ("--output=", &format!("--output={}/", stage.lab.path().display())),
    ] {
        assert_eq!(script.matches(shipped).count(), 1, "{shipped}");
        script = script.replace(shipped, here);
    }
    stage.lab.write("worker.sbatch", &script);
    let file = stage.lab.path().join("worker.sbatch").display().to_string();
    stage.succeed(&["submit", "small.yaml"]);
    let array = stage.cluster.command("sbatch", &["--parsable", "--array=1-2", &file]).trim().to_owned();
    let jobs = || {
        let mut jobs = stage.cluster.jobs();
        jobs.retain(|job| job.name == "colearn-worker");
        jobs
    };
    stage.wait_for("some results", || stage.done() > 0);
    stage.cluster.submit(&["--partition=high", "--ntasks=6", "--wrap=sleep 1"]);
    stage.wait_for("both jobs to come back", || jobs().iter().filter(|job| job.restarts == 1).count() == 2);
    stage.wait_for("the end of the sweep", || stage.done() == 20);
    stage.wait_for("the end of all jobs", || {
        jobs().len() == 2 && jobs().iter().all(|job| job.state == "COMPLETED")
    });
    let log = fs::read_to_string(stage.lab.path().join(format!("colearn-worker-{array}-1.log"))).unwrap();
    assert_eq!(log.matches("connected to the coordinator").count(), 2, "the log is appended to\n{log}");
    stage.check_results();
}

#[test]
fn a_coordinator_manages_pools_only_if_it_was_told_to() {
    let lab = Lab::new();
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let refused = lab.colearn(&["alloc", "slurm", "--max-workers", "1", "--coordinator", &url]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("colearn coordinator --allow-pools"), "{}", text(&refused.stderr));
}
