//! The agent's command line: the options as typed, and after validation.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use clap::{Args, builder::BoolishValueParser};
use colearn_access::{AccessFile, AddressError, Role, Way};
use colearn_core::{
    needs::{MAX_LABEL_BYTES, MAX_LABELS, TrainerKind, is_label},
    time::parse_duration_or_seconds,
};
use colearn_trainer_protocol::checkpoint::{Store, StoreError};
use tracing::warn;

use super::{
    plan::{Device, Locations, Wanted},
    slot::Limits,
};

/// The agent's options as typed.
#[derive(Clone, Debug, Args)]
pub struct AgentArgs {
    /// Address of the coordinator, such as 127.0.0.1:7117 or login1:7117. Other machines are reached by TLS with an access
    /// file; http:// asks for plain text, which coordinators with --insecure speak
    #[arg(long, value_name = "URL", env = "COLEARN_COORDINATOR", required = true)]
    pub coordinator: Option<String>,
    /// Access file of this worker, which the coordinator made [default: colearn/worker.access in the user's configuration
    /// folder]. It is read again for each connection
    #[arg(long, value_name = "FILE", env = "COLEARN_ACCESS")]
    pub access: Option<PathBuf>,
    /// Folder of the data sets; data sets outside it are not opened
    #[arg(long, value_name = "DIR", env = "COLEARN_DATA_DIR", default_value = "data")]
    pub data_dir: PathBuf,
    /// Also open data sets outside the data folder, by any path or link. Use this only if everybody who can submit
    /// sweeps may read all files of this worker
    #[arg(long)]
    pub allow_data_outside: bool,
    /// Where to keep checkpoints: a folder, or s3://bucket/prefix. If all hosts share it, tasks can continue on another
    /// host
    #[arg(long, value_name = "LOCATION", env = "COLEARN_CHECKPOINTS", default_value = "checkpoints")]
    pub checkpoints: String,
    /// Number of cohorts to train at the same time: a number, or auto for one per GPU, or one per core without GPU
    #[arg(long, value_name = "N|auto", env = "COLEARN_SLOTS", default_value = "auto")]
    pub slots: String,
    /// Slots per GPU; default 1. Each slot has its own trainer; all of them share the GPU's memory
    #[arg(long, value_name = "N", env = "COLEARN_SLOTS_PER_GPU")]
    pub slots_per_gpu: Option<u32>,
    /// Intra-op threads of each slot; default: cores / slots
    #[arg(long, value_name = "N", env = "COLEARN_THREADS")]
    pub threads: Option<u32>,
    /// Memory of each slot, such as 8GB: tasks that need more do not come here; default: the memory that this worker may
    /// use / slots
    #[arg(long, value_name = "SIZE", env = "COLEARN_MEMORY")]
    pub memory: Option<ByteSize>,
    /// A label that tasks can ask for, such as big: letters, digits, `.`, `_` and `-`. Can be repeated; the variable
    /// takes several, separated by commas
    #[arg(long = "label", value_name = "WORD", env = "COLEARN_LABELS", value_delimiter = ',', value_parser = label)]
    pub labels: Vec<String>,
    /// Also run programs named in sweep files, as the user of this worker: whoever can submit sweeps can then run
    /// anything as this user
    #[arg(long, env = "COLEARN_ALLOW_PROGRAMS", value_parser = BoolishValueParser::new())]
    pub allow_programs: bool,
    /// Run only programs named in sweep files, as with --allow-programs. This needs neither colearn-trainer nor a data
    /// folder
    #[arg(long)]
    pub programs_only: bool,
    /// Device to train on
    #[arg(long, env = "COLEARN_DEVICE", value_enum, default_value_t = Device::Auto)]
    pub device: Device,
    /// Maximum number of tasks that a slot trains together as one stacked model; default: 1 on CPU, 16 on a GPU
    #[arg(long, value_name = "K", env = "COLEARN_MAX_COHORT")]
    pub max_cohort: Option<u32>,
    /// Name of this worker; default: the name in its access file, or that of the host. Random digits are added
    #[arg(long, env = "COLEARN_WORKER_NAME")]
    pub name: Option<String>,
    /// How long to try to reach the coordinator for the first time, such as 90s or 5m; 0 means forever
    #[arg(long, value_name = "TIME", env = "COLEARN_CONNECT_TIMEOUT", default_value = "60s", value_parser = parse_duration_or_seconds)]
    pub connect_timeout: Duration,
    /// How long a trainer may be silent while it trains before it is killed and its tasks fail; 0 means forever
    #[arg(long, value_name = "TIME", env = "COLEARN_TRAINER_TIMEOUT", default_value = "1800s", value_parser = parse_duration_or_seconds)]
    pub trainer_timeout: Duration,
    /// How long trainers may take to finish their epoch and write a checkpoint when the worker is stopped. A trainer
    /// that takes longer is killed, and its tasks continue from their last checkpoint
    #[arg(long, value_name = "TIME", env = "COLEARN_GRACE", default_value = "30s", value_parser = parse_duration_or_seconds)]
    pub grace: Duration,
    /// How long this worker may run, such as 90s, 30m, 2h or 1h30m. It stops before the time is up as after a signal,
    /// and takes no lease that it could not use
    #[arg(long, value_name = "TIME", env = "COLEARN_TIME_LIMIT", value_parser = parse_duration_or_seconds)]
    pub time_limit: Option<Duration>,
    /// Exit with code 0 after this long without a lease, such as 5m; results are delivered first. 0
    /// means never
    #[arg(long, value_name = "TIME", env = "COLEARN_IDLE_TIMEOUT", value_parser = parse_duration_or_seconds)]
    pub idle_timeout: Option<Duration>,
    /// Exit with this code instead of 0 when the worker was stopped by a signal or by --time-limit and returned tasks
    /// that are not finished, so that a batch job knows that it should be queued again
    #[arg(long, value_name = "CODE", env = "COLEARN_PARKED_EXIT_CODE", value_parser = clap::value_parser!(u8).range(6..=125))]
    pub parked_exit_code: Option<u8>,
    /// Stop as after a signal when standard input closes: for programs that start a worker
    #[arg(long)]
    pub until_stdin_closes: bool,
    /// Start trainers at once, but connect only when a line arrives on standard input
    #[arg(long, requires = "until_stdin_closes")]
    pub connect_when_told: bool,
    /// Kind of trainer: `no-op` measures how fast tasks are handed out
    #[arg(long, value_enum, default_value_t = Trainers::Process, hide = true)]
    pub trainer: Trainers,
}

/// Whether tasks are worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Trainers {
    /// A child process for each slot.
    Process,
    /// No training: every task is answered at once with an artificial result.
    NoOp,
}

/// The agent's options after validation.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// The coordinator, and how to reach it.
    pub coordinator: Way,
    /// An existing data folder, unless only programs are run, and a location for checkpoints that could be opened.
    pub locations: Locations,
    /// The requested slots.
    pub wanted: Wanted,
    /// Name of the worker; `None` means the name of its host.
    pub name: Option<String>,
    /// Time limits.
    pub limits: Limits,
    /// Whether the worker stops when standard input closes.
    pub until_stdin_closes: bool,
    /// Whether it connects only when a line has arrived there.
    pub connect_when_told: bool,
    /// Whether tasks are worked on.
    pub trainer: Trainers,
}

/// An invalid option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// The coordinator's address is not of the right form, or needs an access file.
    #[error("--coordinator: {0}")]
    Coordinator(#[from] AddressError),
    /// The access file cannot be used.
    #[error("{0}")]
    Access(String),
    /// The data folder does not exist.
    #[error(
        "--data-dir `{0}` is not a folder: create it, or name the folder of the data sets; a worker that only runs programs needs none: --programs-only"
    )]
    DataDir(PathBuf),
    /// The place for checkpoints cannot be used.
    #[error("{0}; name another with --checkpoints")]
    Checkpoints(String),
    /// The number of slots is not a number.
    #[error("--slots `{0}` is neither a number of 1 or more nor `auto`")]
    Slots(String),
    /// There are too many labels.
    #[error("{0} labels were given; a worker can have {MAX_LABELS}")]
    Labels(usize),
    /// The time limit leaves no time to train.
    #[error(
        "--time-limit leaves no time to train: it must be longer than --grace ({} s) and {} s to deliver results",
        .grace.as_secs(), .shutdown_timeout.as_secs()
    )]
    TimeLimit {
        /// Time for trainers to write checkpoints.
        grace: Duration,
        /// Time to deliver reports.
        shutdown_timeout: Duration,
    },
}

impl AgentArgs {
    /// Checks the options.
    ///
    /// # Errors
    /// If the URL is malformed, the data folder is missing, the checkpoint location cannot be used, the number of
    /// slots is not a number, or the time limit is too short.
    pub fn validate(self) -> Result<AgentOptions, OptionsError> {
        let coordinator = Way::to(&self.coordinator.unwrap_or_default(), self.access.as_deref(), Role::Work)?;
        let name = name_of(&coordinator, self.name)?;
        let trainers: BTreeSet<TrainerKind> = match (self.allow_programs, self.programs_only) {
            (_, true) => [TrainerKind::Programs].into(),
            (true, false) => [TrainerKind::Networks, TrainerKind::Programs].into(),
            (false, false) => [TrainerKind::Networks].into(),
        };
        let labels: BTreeSet<String> = self.labels.into_iter().collect();
        if labels.len() > MAX_LABELS {
            return Err(OptionsError::Labels(labels.len()));
        }
        if trainers.contains(&TrainerKind::Networks) && !self.data_dir.is_dir() {
            return Err(OptionsError::DataDir(self.data_dir));
        }
        let slots = match self.slots.as_str() {
            "auto" => None,
            text => match text.parse::<u32>() {
                Ok(slots) if slots > 0 => Some(slots),
                _ => return Err(OptionsError::Slots(self.slots)),
            },
        };
        let unusable = |error: StoreError| OptionsError::Checkpoints(error.to_string());
        match Store::open(&self.checkpoints).map_err(unusable)?.check() {
            // It may come back before a task needs it.
            Err(error) if error.is_unreachable() => {
                warn!("{error}; without it, interrupted tasks start over");
            }
            checked => checked.map_err(unusable)?,
        }
        let grace = self.grace;
        let shutdown_timeout = Limits::default().shutdown_timeout;
        if self.time_limit.is_some_and(|limit| limit <= grace.saturating_add(shutdown_timeout)) {
            return Err(OptionsError::TimeLimit { grace, shutdown_timeout });
        }
        let unless_zero = |time: Duration| (!time.is_zero()).then_some(time);
        Ok(AgentOptions {
            coordinator,
            locations: Locations {
                data_dir: self.data_dir,
                allow_data_outside: self.allow_data_outside,
                checkpoints: self.checkpoints,
            },
            wanted: Wanted {
                device: self.device,
                slots,
                slots_per_gpu: self.slots_per_gpu,
                threads: self.threads,
                max_cohort: self.max_cohort,
                memory: self.memory.map(|size| size.as_u64()),
                labels,
                trainers,
            },
            name,
            limits: Limits {
                trainer_timeout: unless_zero(self.trainer_timeout),
                connect_timeout: unless_zero(self.connect_timeout),
                grace,
                time_limit: self.time_limit,
                without_lease: self.idle_timeout.and_then(unless_zero),
                ..Limits::default()
            },
            until_stdin_closes: self.until_stdin_closes,
            connect_when_told: self.connect_when_told,
            trainer: self.trainer,
        })
    }
}

/// A label as typed.
fn label(text: &str) -> Result<String, String> {
    let not = || format!("a label is a word of at most {MAX_LABEL_BYTES} letters, digits, `.`, `_` or `-`");
    if is_label(text) { Ok(text.to_owned()) } else { Err(not()) }
}

/// The name of a worker: the one in its access file, if that has one.
fn name_of(coordinator: &Way, typed: Option<String>) -> Result<Option<String>, OptionsError> {
    let Some(path) = coordinator.access() else { return Ok(typed) };
    let file = AccessFile::read(path).map_err(|error| OptionsError::Access(error.to_string()))?;
    let grant = &file.identity().grant;
    if grant.role() != Role::Work {
        return Err(OptionsError::Access(format!(
            "{} is the access file of {grant}: a worker needs one with the role `work`",
            path.display()
        )));
    }
    match (grant.name(), typed) {
        (Some(own), Some(typed)) if own != typed => Err(OptionsError::Access(format!(
            "{} is the access file of worker `{own}`, and --name is `{typed}`: leave out --name",
            path.display()
        ))),
        (Some(own), _) => Ok(Some(own.to_owned())),
        (None, typed) => Ok(typed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        agent: AgentArgs,
    }

    fn validated(flags: &[&str]) -> Result<AgentOptions, String> {
        let checkpoints = tempfile::tempdir().unwrap();
        let place = checkpoints.path().to_str().unwrap();
        let typed = ["worker", "--coordinator", "127.0.0.1:1", "--checkpoints", place];
        let typed = typed.iter().chain(flags.iter());
        let cli: Cli = clap::Parser::try_parse_from(typed).map_err(|error| error.to_string())?;
        cli.agent.validate().map_err(|error| error.to_string())
    }

    #[test]
    fn data_outside_the_folder_is_allowed_by_a_flag_alone() {
        for (flags, allowed) in
            [(&["--data-dir", "."][..], false), (&["--data-dir", ".", "--allow-data-outside"], true)]
        {
            assert_eq!(validated(flags).unwrap().locations.allow_data_outside, allowed);
        }
    }

    #[test]
    fn programs_of_users_run_only_where_they_are_allowed() {
        use TrainerKind::{Networks, Programs};
        let trainers = |flags: &[&str]| validated(flags).map(|options| options.wanted.trainers);
        assert_eq!(trainers(&["--data-dir", "."]), Ok([Networks].into()));
        assert_eq!(trainers(&["--data-dir", ".", "--allow-programs"]), Ok([Networks, Programs].into()));
        // Programs open their data by themselves.
        assert_eq!(trainers(&["--data-dir", "/nowhere", "--programs-only"]), Ok([Programs].into()));
        assert!(trainers(&["--data-dir", "/nowhere", "--allow-programs"]).is_err());
    }

    #[test]
    fn labels_and_sizes_are_read() {
        let typed = ["--data-dir", ".", "--label", "big", "--label", "rack-7,near", "--memory", "1.5GB"];
        let wanted = validated(&typed).unwrap().wanted;
        assert_eq!(wanted.labels, ["big", "near", "rack-7"].map(str::to_owned).into());
        assert_eq!(wanted.memory, Some(1_500_000_000));
        for (bad, part) in [
            (["--label", "two words"], "a label is a word of at most 64 letters"),
            (["--label", "a,,b"], "--label <WORD>"),
            (["--memory", "much"], "--memory <SIZE>"),
        ] {
            let error = validated(&[&["--data-dir", "."][..], &bad].concat()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let many: Vec<String> = (0..65).map(|number| number.to_string()).collect();
        let error = validated(&["--data-dir", ".", "--label", &many.join(",")]).unwrap_err();
        assert_eq!(error, "65 labels were given; a worker can have 64");
    }

    #[test]
    fn a_worker_takes_the_name_and_needs_the_role_of_its_access_file() {
        use colearn_access::{AccessFolder, Grant, Moment};

        let folder = tempfile::tempdir().unwrap();
        let access = AccessFolder::of(folder.path());
        let now = Moment::now();
        access.open(now).unwrap();
        let gpu1 = Grant::new(Role::Work, "gpu1").unwrap();
        access.issue(&gpu1, now..now.after(colearn_access::DAY), None).unwrap();
        let name = |file: &str, flags: &[&str]| {
            let file = access.file(file).display().to_string();
            let typed = [&["--data-dir", ".", "--access", &file][..], flags].concat();
            validated(&typed).map(|options| options.name)
        };
        assert_eq!(name("gpu1", &[]), Ok(Some("gpu1".to_owned())));
        assert_eq!(name("gpu1", &["--name", "gpu1"]), Ok(Some("gpu1".to_owned())));
        assert_eq!(name("worker", &[]), Ok(None));
        assert_eq!(name("worker", &["--name", "node7"]), Ok(Some("node7".to_owned())));
        for (file, flags, why) in [
            ("gpu1", &["--name", "gpu2"][..], "is the access file of worker `gpu1`"),
            ("people", &[], "a worker needs one with the role `work`"),
            ("nobody", &[], "there is no access file"),
        ] {
            let error = name(file, flags).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
