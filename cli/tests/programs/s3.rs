//! Checkpoints and kept files in a bucket of a real S3 server: see `make s3`.

mod server;

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;

use self::server::{Server, Traffic};
use crate::lab::{Lab, Running, SWEEP, largest_difference, text};

/// One task of many epochs with a checkpoint after each.
const LONG: &str = "\
name: small
dataset: demo
primary: language
model: {kind: bi-eflstm, hidden: 16, layers: 1, dropout: 0.2}
training: {epochs: 100, batch_size: 32, learning_rate: 0.003}
modality_dropout: {audio: 0.5, video: 0.5}
seeds: [3]
checkpoint: {every_epochs: 1}
retries: {initial_backoff: 0s}
";

const PLACE: &str = "s3://colearn/some/where";

struct Cluster {
    lab: Lab,
    server: Server,
    url: String,
    _coordinator: Running,
}

impl Cluster {
    /// A coordinator with a sweep, and a server; `None` if there is no server.
    fn new(sweep: &str) -> Option<Self> {
        Self::with(sweep, "")
    }

    /// The same for a sweep of a program, which is `train.sh`.
    fn with(sweep: &str, script: &str) -> Option<Self> {
        let server = Server::start()?;
        let lab = Lab::new();
        lab.write("train.sh", script);
        lab.write("small.yaml", sweep);
        let (coordinator, url) = lab.coordinator("127.0.0.1:0");
        let cluster = Self { lab, server, url, _coordinator: coordinator };
        cluster.says(&["submit", "small.yaml"]);
        Some(cluster)
    }

    fn says(&self, arguments: &[&str]) -> String {
        let output = self.lab.colearn(&[arguments, &["--coordinator", &self.url]].concat());
        assert!(
            output.status.success(),
            "colearn {arguments:?}: {}\n{}",
            text(&output.stderr),
            self.lab.logs()
        );
        text(&output.stdout)
    }

    /// A worker on a host of its own: with the others it shares the bucket and copies of the data set.
    fn worker(&self, name: &str, more: &[(&str, &str)]) -> Running {
        let host = self.lab.path().join(format!("host-{name}"));
        fs::create_dir(&host).unwrap();
        let log = fs::File::create(self.lab.path().join(format!("{name}.log"))).unwrap();
        let data = self.lab.path().join("data");
        let mut command = self.lab.worker_command(&["--coordinator", &self.url, "--name", name]);
        command
            .args(["--slots", "1", "--threads", "1", "--device", "cpu", "--checkpoints", PLACE])
            .args(["--allow-programs", "--data-dir"])
            .arg(data)
            .current_dir(&host)
            .env("TMPDIR", &host)
            .env("RUST_LOG", "info,colearn_worker=debug")
            .envs(self.server.environment("all"))
            .envs(more.iter().copied());
        Running(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
    }

    fn tasks(&self) -> Vec<Value> {
        let tasks = self.lab.json(&["tasks", "small", "--json", "--coordinator", &self.url]);
        tasks["tasks"].as_array().unwrap().clone()
    }

    fn epoch(&self) -> u64 {
        self.tasks()[0]["epoch"].as_u64().unwrap_or(0)
    }

    fn wait_for_epoch(&self, epoch: u64) {
        self.lab.wait_for("some epochs", || self.epoch() >= epoch);
    }

    fn wait_for_log(&self, worker: &str, words: &str) {
        self.lab.wait_for(words, || self.log(worker).contains(words));
    }

    fn log(&self, worker: &str) -> String {
        fs::read_to_string(self.lab.path().join(format!("{worker}.log"))).unwrap_or_default()
    }

    /// The table of the sweep, and that of a run with a folder on this host.
    fn tables(&self) -> [Value; 2] {
        let run = ["run", "small.yaml", "--state", "undisturbed", "--slots", "1", "--threads", "1"];
        let output = self.lab.colearn(&[&run[..], &["--format", "json", "--device", "cpu"]].concat());
        assert!(output.status.success(), "{}\n{}", text(&output.stderr), self.lab.logs());
        let undisturbed: Value = serde_json::from_slice(&output.stdout).unwrap();
        let table = self.lab.json(&["results", "small", "--format", "json", "--coordinator", &self.url]);
        [table, undisturbed].map(|table| table["configurations"].clone())
    }
}

#[test]
fn a_killed_task_goes_on_from_the_bucket_on_another_host_and_leaves_nothing_there() {
    let Some(mut cluster) = Cluster::new(LONG) else { return };
    let first = cluster.worker("one", &[]);
    cluster.wait_for_epoch(5);
    first.kill();
    let objects = cluster.server.objects();
    assert!((1..=3).contains(&objects.len()), "the newest two, and one that is to be removed: {objects:?}");
    assert!(objects.keys().all(|key| key.starts_with("some/where/0000000000000001/")), "{objects:?}");

    let _second = cluster.worker("two", &[]);
    cluster.says(&["watch", "small"]);
    assert!(cluster.log("two").contains("continues after epoch"), "{}", cluster.lab.logs());
    let [table, undisturbed] = cluster.tables();
    assert_eq!(largest_difference(&table, &undisturbed), 0.0);
    cluster.lab.wait_for("the end of all checkpoints", || cluster.server.objects().is_empty());
}

#[test]
fn a_server_that_is_gone_stops_no_training_and_when_it_is_back_nothing_is_lost() {
    let Some(mut cluster) = Cluster::new(&LONG.replace("epochs: 100", "epochs: 250")) else { return };
    // A second for each request, so that the test need not wait for half a minute.
    let impatient = [("AWS_TIMEOUT", "1s")];
    let first = cluster.worker("one", &impatient);
    cluster.wait_for_epoch(2);
    for traffic in [Traffic::Closed, Traffic::Silent] {
        cluster.server.network.set(traffic);
        let gone = cluster.epoch();
        cluster.wait_for_epoch(gone + 4);
        let log = cluster.log("one");
        assert!(log.contains("failed to save checkpoint s3://colearn/some/where/0000000000000001/"), "{log}");
        assert!(log.contains("cannot be reached ("), "{log}");
        let back = cluster.epoch();
        cluster.server.network.set(Traffic::Passes);
        cluster.lab.wait_for("a newer checkpoint", || cluster.server.newest() > back);
    }
    assert!(cluster.log("one").contains("it was not tried"), "{}", cluster.log("one"));
    first.kill();
    let newest = cluster.server.newest();

    // The next host starts while the server is gone, and its trainer waits for it.
    cluster.server.network.set(Traffic::Closed);
    let _second = cluster.worker("two", &impatient);
    cluster.wait_for_log("two", "without it, interrupted tasks start over");
    cluster.wait_for_log("two", "waiting for it up to 60 s");
    cluster.server.network.set(Traffic::Passes);
    cluster.wait_for_log("two", &format!("continues after epoch {newest}"));
    cluster.says(&["watch", "small"]);
    let [table, undisturbed] = cluster.tables();
    assert_eq!(largest_difference(&table, &undisturbed), 0.0);
}

#[test]
fn a_slow_server_delays_and_loses_nothing() {
    let Some(mut cluster) = Cluster::new(&LONG.replace("epochs: 100", "epochs: 12")) else { return };
    cluster.server.network.set(Traffic::Delayed(Duration::from_millis(150)));
    let first = cluster.worker("one", &[]);
    cluster.wait_for_epoch(2);
    first.terminate();
    assert_eq!(first.code(), 0, "{}", cluster.lab.logs());
    assert!(cluster.server.newest() >= 2);
    let _second = cluster.worker("two", &[]);
    cluster.says(&["watch", "small"]);
    assert!(cluster.log("two").contains("continues after epoch"), "{}", cluster.lab.logs());
    assert_eq!(cluster.tasks()[0]["attempts"], 1, "to be stopped costs no attempt");
    let [table, undisturbed] = cluster.tables();
    assert_eq!(largest_difference(&table, &undisturbed), 0.0);
}

/// A listing has a thousand objects a page, and a removal as many a request.
#[test]
fn thousands_of_files_of_a_program_move_to_another_host_and_are_removed() {
    const FILES: usize = 2100;
    let sweep = format!(
        r#"name: small
program:
  command: [sh, train.sh]
  result: 'found=(?P<found>[0-9]+)'
settings: {{files: {FILES}}}
seeds: [0]
report: {{metrics: [found]}}
retries: {{initial_backoff: 0s}}
"#
    );
    let script = format!(
        r#"cd "$COLEARN_CHECKPOINT_DIR" || exit 1
found=$(ls | wc -l)
if [ "$found" -ge {FILES} ]; then echo found=$found; exit 0; fi
i=0; while [ $i -lt {FILES} ]; do echo content $i > file-$i; i=$((i + 1)); done
exit 75
"#
    );
    let Some(mut cluster) = Cluster::with(&sweep, &script) else { return };
    let first = cluster.worker("one", &[]);
    cluster.lab.wait_for("all files in the bucket", || cluster.server.objects().len() > FILES);
    cluster.lab.wait_for("the task to be parked", || cluster.tasks()[0]["attempts"] != 0);
    first.kill();
    let _second = cluster.worker("two", &[]);
    cluster.says(&["watch", "small"]);
    let [table, _] = cluster.tables();
    assert_eq!(table[0]["metrics"]["found"]["mean"], FILES as f64, "{table}");
    cluster.lab.wait_for("the removal of all files", || cluster.server.objects().is_empty());
}

#[test]
fn kept_files_in_a_bucket_are_exported_checked_and_removed() {
    let Some(mut server) = Server::start() else { return };
    let lab = Lab::new();
    let keep = "keep: [predictions, weights]\n";
    lab.write("small.yaml", &(SWEEP.replace("epochs: 6", "epochs: 1") + keep));
    let environment = server.environment("all");
    let colearn = |arguments: &[&str]| {
        let output = lab.colearn_in(&[arguments, &["--state", "state"]].concat(), &environment);
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let run = ["run", "small.yaml", "--slots", "1", "--device", "cpu", "--checkpoints", PLACE];
    let (ran, _, log) = colearn(&run);
    assert!(ran, "{log}\n{}", lab.logs());
    let objects = server.objects();
    assert_eq!(objects.len(), 12, "two files of each of six tasks: {objects:?}");
    assert!(objects.keys().all(|key| key.starts_with("some/where/kept-")), "{objects:?}");

    let (listed, list, _) = colearn(&["export", "small", "--list"]);
    assert!(listed && list.contains("in s3://colearn/some/where/kept-"), "{list}");
    let (exported, output, log) = colearn(&["export", "small"]);
    assert!(exported && output.contains("12 files in exports/small (12 fetched"), "{output}{log}");

    server.damage(objects.keys().next().unwrap());
    let (exported, _, log) = colearn(&["export", "small", "--out", "again"]);
    assert!(!exported && log.contains("was altered: it has the digest"), "{log}");

    // Elsewhere: without credentials nothing is removed, and with them everything is.
    let removal = ["rm", "small", "--yes", "--state", "state"];
    let without = lab.colearn_in(&removal, &server.endpoint());
    assert!(!without.status.success());
    let log = text(&without.stderr);
    assert!(log.contains("there are no credentials; set AWS_ACCESS_KEY_ID"), "{log}");
    assert_eq!(server.objects().len(), 12);
    let (removed, output, log) = colearn(&["rm", "small", "--yes"]);
    assert!(removed && output.contains("6 results and 12 kept files"), "{output}{log}");
    assert_eq!(server.objects().len(), 0);
}

#[test]
fn what_a_server_refuses_is_told_with_place_cause_and_remedy_and_without_secrets() {
    let Some(server) = Server::start() else { return };
    let lab = Lab::new();
    let mut told = String::new();

    // Only the writing is refused: the sweep has all its results.
    let sweep = SWEEP.replace("epochs: 6", "epochs: 3").replace("seeds: [0, 1]", "seeds: [0]");
    lab.write("small.yaml", &(sweep + "keep: [predictions]\ncheckpoint: {every_epochs: 1}\n"));
    let run = ["run", "small.yaml", "--state", "state", "--slots", "1", "--device", "cpu"];
    let arguments = [&run[..], &["--checkpoints", PLACE]].concat();
    let output = lab.colearn_in(&arguments, &server.environment("reader"));
    told += &(text(&output.stdout) + &text(&output.stderr) + &lab.logs());
    assert!(output.status.success(), "{told}");
    for words in [
        "could not keep all files, for example: predictions.csv: the server refuses it (AccessDenied",
        "failed to save checkpoint s3://colearn/some/where/0000000000000001/",
        "allow these credentials s3:GetObject, s3:PutObject",
    ] {
        assert!(told.contains(words), "{words} is not in {told}");
    }

    // Everything is refused, or nothing is there: the worker says so at its start.
    let right = server.environment("all");
    let with = |name: &'static str, value: &str| {
        let mut environment = right.clone();
        environment.retain(|(known, _)| *known != name);
        environment.push((name, value.to_owned()));
        environment
    };
    let elsewhere = "s3://colearn-elsewhere";
    for (place, environment, words) in [
        (
            elsewhere,
            right.clone(),
            "`s3://colearn-elsewhere` cannot be used: there is no such bucket (NoSuchBucket)",
        ),
        (
            PLACE,
            with("AWS_SECRET_ACCESS_KEY", "wrong"),
            "not accept the credentials (SignatureDoesNotMatch); set AWS_",
        ),
        (
            PLACE,
            with("AWS_ACCESS_KEY_ID", "AKIAWRONG"),
            "not accept the credentials (InvalidAccessKeyId); set AWS_",
        ),
        (PLACE, server.endpoint(), "there are no credentials; set AWS_ACCESS_KEY_ID"),
        (
            PLACE,
            with("AWS_ALLOW_HTTP", "false"),
            "without encryption; if this is intended, set AWS_ALLOW_HTTP=true",
        ),
        ("s3://", right.clone(), "it names no bucket; give s3://bucket/prefix"),
    ] {
        let began = Instant::now();
        let mut command =
            lab.worker_command(&["--coordinator", "http://127.0.0.1:1", "--checkpoints", place]);
        let output = command.envs(environment).output().unwrap();
        let log = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{log}");
        assert!(log.contains(words), "{words} is not in {log}");
        assert!(log.contains("name another with --checkpoints"), "{log}");
        assert!(began.elapsed() < Duration::from_secs(60), "{log}");
        told += &log;
    }
    for secret in server.secrets() {
        assert!(!told.contains(&secret), "a secret is in {told}");
    }
}
