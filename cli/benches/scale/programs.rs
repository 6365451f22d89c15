//! The real programs in a temporary folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use colearn_access::{AccessFolder, Role, Way};
use colearn_proto::{
    MAX_MESSAGE_BYTES,
    v1::{self, get_results_response::Part, sweep_service_client::SweepServiceClient},
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process as async_process,
};
use tonic::transport::Channel;

use super::Outcome;

/// Number of seeds of every sweep.
pub(crate) const SEEDS: u32 = 5;

/// The text of a sweep with this number of tasks, which must be a multiple of [`SEEDS`].
pub(crate) fn sweep(name: &str, tasks: u32) -> String {
    let configurations = tasks / SEEDS;
    // Two parameters, because the length of one range is limited.
    let columns = (1..=1000).rev().find(|n| configurations.is_multiple_of(*n)).unwrap_or(1);
    let values = |count: u32, least: f64, most: f64| match count {
        1 => format!("[{least}]"),
        _ => format!("{{min: {least}, max: {most}, count: {count}}}"),
    };
    let rows = values(configurations / columns, 0.0001, 0.01);
    let columns = values(columns, 0.0, 0.9);
    format!(
        "name: {name}\nmax_tasks: 1000000\ndataset: demo\nprimary: language\n\
         model: {{kind: bi-eflstm, hidden: 16, layers: 1, dropout: 0.2}}\n\
         training: {{epochs: 6, batch_size: 32, learning_rate: 0.003}}\n\
         parameters:\n  training.learning_rate: {rows}\n  modality_dropout.audio: {columns}\n\
         seeds: {{count: {SEEDS}, base: 0}}\n"
    )
}

fn program(name: &str) -> Outcome<PathBuf> {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_colearn")).with_file_name(name);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!("{} is not built: run `cargo build --release -p colearn-worker` first", path.display())
        .into())
}

/// A `colearn coordinator` on a free port. It is killed on drop.
pub(crate) struct Coordinator {
    child: async_process::Child,
    pub(crate) url: String,
    /// Its state folder.
    state: PathBuf,
    /// Time from its start until it listened.
    pub(crate) started_in: Duration,
}

impl Coordinator {
    pub(crate) async fn start(state: &Path) -> Outcome<Self> {
        Self::start_with(state, &[]).await
    }

    /// A coordinator with further options, such as `--secure` for TLS.
    pub(crate) async fn start_with(state: &Path, options: &[&str]) -> Outcome<Self> {
        let began = Instant::now();
        let mut child = async_process::Command::new(program("colearn")?)
            .args(["coordinator", "--listen", "127.0.0.1:0", "--state"])
            .arg(state)
            .args(options)
            .env("RUST_LOG", "warn")
            // Access files are put there.
            .env("XDG_CONFIG_HOME", state.join("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().ok_or("its output was asked for")?;
        let line =
            BufReader::new(stdout).lines().next_line().await?.ok_or("the coordinator ended at its start")?;
        let url = line.split_whitespace().find(|word| word.contains("://"));
        let url = url.ok_or_else(|| format!("no address in `{line}`"))?.to_owned();
        Ok(Self { child, url, state: state.to_owned(), started_in: began.elapsed() })
    }

    pub(crate) async fn channel(&self) -> Outcome<Channel> {
        let file = self.access("people");
        let way = Way::to(&self.url, file.as_deref(), Role::Operate)?;
        Ok(colearn_access::connect(way, |endpoint| endpoint).await?)
    }

    /// The access file of this name, if it speaks TLS.
    fn access(&self, name: &str) -> Option<PathBuf> {
        self.url.starts_with("https").then(|| AccessFolder::of(&self.state).file(name))
    }

    pub(crate) async fn client(&self) -> Outcome<SweepServiceClient<Channel>> {
        Ok(SweepServiceClient::new(self.channel().await?).max_decoding_message_size(MAX_MESSAGE_BYTES))
    }

    pub(crate) async fn submit(&self, name: &str, tasks: u32) -> Outcome {
        self.submit_file(name, sweep(name, tasks), tasks).await
    }

    /// Submits a sweep file, which must have this number of tasks.
    pub(crate) async fn submit_file(&self, name: &str, source: String, tasks: u32) -> Outcome {
        let request = v1::SubmitSweepRequest { source, origin: format!("{name}.yaml"), ..Default::default() };
        let sweep = self.client().await?.submit_sweep(request).await?.into_inner().sweep;
        let total = sweep.and_then(|sweep| sweep.tasks).map(|tasks| tasks.total);
        if total == Some(tasks.into()) { Ok(()) } else { Err(format!("{total:?} tasks, not {tasks}").into()) }
    }

    /// Waits until a sweep has ended; every task must be done.
    pub(crate) async fn wait(&self, name: &str) -> Outcome {
        let request = v1::WatchSweepRequest { name: name.to_owned() };
        let mut updates = self.client().await?.watch_sweep(request).await?.into_inner();
        let mut last = None;
        while let Some(update) = updates.message().await? {
            last = update.sweep;
        }
        match last.map(|sweep| sweep.state()) {
            Some(v1::SweepState::Complete) => Ok(()),
            other => Err(format!("sweep {name} ended as {other:?}").into()),
        }
    }

    /// Milliseconds from the first recorded result to the last, and the number of results.
    pub(crate) async fn span(&self, name: &str) -> Outcome<(f64, usize)> {
        let request =
            v1::GetResultsRequest { name: name.to_owned(), without_history: false, ..Default::default() };
        let mut stream = self.client().await?.get_results(request).await?.into_inner();
        let mut moments = Vec::new();
        while let Some(response) = stream.message().await? {
            if let Some(Part::Result(result)) = response.part {
                moments.push(result.recorded_at);
            }
        }
        let (first, last) = (moments.iter().min(), moments.iter().max());
        let (first, last) = first.zip(last).ok_or("there are no results")?;
        Ok(((last - first) as f64, moments.len()))
    }

    /// Its peak memory, in MiB.
    pub(crate) fn peak_memory(&self) -> Outcome<f64> {
        self.status_of("VmHWM:")
    }

    /// Its current memory, in MiB.
    pub(crate) fn memory(&self) -> Outcome<f64> {
        self.status_of("VmRSS:")
    }

    fn status_of(&self, key: &str) -> Outcome<f64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(key)).ok_or("no such line")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }

    /// Processor time used so far, without system time, in milliseconds, with a resolution of ten.
    pub(crate) fn processor_time(&self) -> Outcome<f64> {
        let stat = self.proc("stat")?;
        // The fields follow the program's name, which may hold any characters. The 12th is the time in hundredths of
        // a second.
        let (_, fields) = stat.rsplit_once(')').ok_or("no such field")?;
        let ticks: f64 = fields.split_whitespace().nth(11).ok_or("no such field")?.parse()?;
        Ok(ticks * 10.0)
    }

    /// KiB written to the disk so far.
    pub(crate) fn written(&self) -> Outcome<f64> {
        let io = self.proc("io")?;
        let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:")).ok_or("no such line")?;
        Ok(line.trim().parse::<f64>()? / 1024.0)
    }

    fn proc(&self, file: &str) -> Outcome<String> {
        let id = self.child.id().ok_or("the coordinator has ended")?;
        Ok(fs::read_to_string(format!("/proc/{id}/{file}"))?)
    }
}

/// A `colearn-worker` whose trainers answer at once. It is killed on drop.
pub(crate) struct Worker(Child);

impl Worker {
    pub(crate) fn start(coordinator: &Coordinator, folder: &Path, slots: u32) -> Outcome<Self> {
        Self::start_with(coordinator, folder, slots, &["--trainer", "no-op", "--max-cohort", "1"])
    }

    /// A worker that runs programs of users.
    pub(crate) fn start_for_programs(coordinator: &Coordinator, folder: &Path, slots: u32) -> Outcome<Self> {
        Self::start_with(coordinator, folder, slots, &["--programs-only", "--device", "cpu"])
    }

    fn start_with(coordinator: &Coordinator, folder: &Path, slots: u32, options: &[&str]) -> Outcome<Self> {
        let mut command = Command::new(program("colearn-worker")?);
        command.args(["--coordinator", &coordinator.url, "--slots"]).arg(slots.to_string()).args(options);
        if let Some(file) = coordinator.access("worker") {
            command.arg("--access").arg(file);
        }
        command.arg("--data-dir").arg(folder).arg("--checkpoints").arg(folder);
        command.env("RUST_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Self(command.spawn()?))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The process may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
