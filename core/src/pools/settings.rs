//! The settings of a pool.

use std::{collections::BTreeSet, fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use super::slurm;
use crate::{
    needs::{MAX_LABELS, Needs, TrainerKind, is_label},
    text::is_unprintable,
};

/// The name of a pool; unique within a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PoolName(String);

/// The text is not the name of a pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the name of a pool: use 1 to 32 lower-case letters, digits or `_`, beginning with a letter"
)]
pub struct PoolNameError(String);

impl PoolName {
    /// Checks and wraps a name. It is part of names of jobs and workers, in which `-` separates parts.
    ///
    /// # Errors
    /// If the name is empty, longer than 32 bytes, or has other characters than lower-case letters, digits and `_`.
    pub fn new(text: impl Into<String>) -> Result<Self, PoolNameError> {
        let text = text.into();
        let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if starts_well && text.len() <= 32 && text.bytes().all(allowed) {
            Ok(Self(text))
        } else {
            Err(PoolNameError(text))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PoolName {
    type Err = PoolNameError;
    fn from_str(text: &str) -> Result<Self, PoolNameError> {
        Self::new(text)
    }
}

impl TryFrom<String> for PoolName {
    type Error = PoolNameError;
    fn try_from(text: String) -> Result<Self, PoolNameError> {
        Self::new(text)
    }
}

impl From<PoolName> for String {
    fn from(name: PoolName) -> Self {
        name.0
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The settings of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSettings {
    /// Its name.
    pub name: PoolName,
    /// Maximum number of jobs that have not ended.
    pub max_workers: u32,
    /// Number of workers that are kept when nothing waits.
    pub min_workers: u32,
    /// How long a worker waits for a task before it leaves, in seconds.
    pub idle_seconds: u64,
    /// Time limit of a job, in seconds; `None` for that of the partition.
    pub time_limit_seconds: Option<u64>,
    /// Slots of each worker.
    pub slots: u32,
    /// Whether each worker has a GPU.
    pub gpu: bool,
    /// How the workers are started.
    pub worker: WorkerSettings,
    /// Folder of the jobs' logs.
    pub log_dir: String,
    /// Further arguments for the command that submits.
    pub arguments: Vec<String>,
}

/// How the workers of a pool are started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSettings {
    /// Path of `colearn-worker` on the nodes.
    pub program: String,
    /// Address of the coordinator, as the nodes reach it.
    pub coordinator: String,
    /// Folder of the data sets; `None` for the worker's default.
    pub data_dir: Option<String>,
    /// Location of checkpoints; `None` for the worker's default.
    pub checkpoints: Option<String>,
    /// The access file of the workers; `None` if they find theirs by themselves.
    pub access: Option<String>,
    /// Whether the workers also run programs of users.
    pub allow_programs: bool,
    /// Whether they run only programs.
    pub programs_only: bool,
    /// Their labels.
    pub labels: BTreeSet<String>,
    /// Further arguments.
    pub arguments: Vec<String>,
}

/// A setting is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A number is out of bounds.
    #[error("{what} is {value}; it must be from {least} to {most}")]
    Bounds {
        /// The option.
        what: &'static str,
        /// Its value.
        value: u64,
        /// The least value.
        least: u64,
        /// The greatest value.
        most: u64,
    },
    /// The time limit leaves no time to work.
    #[error("--time-limit is {0} s; it must be at least {least} s: a minute of it is left for the start of the job, and 35 s for workers to park", least = PoolSettings::LEAST_TIME)]
    TimeLimit(u64),
    /// A path cannot be used.
    #[error("{what} `{path}` must be an absolute path without control characters")]
    Path {
        /// The option.
        what: &'static str,
        /// The path.
        path: String,
    },
    /// An argument is set by the pool itself.
    #[error("`{0}` is set by the pool itself; {1}")]
    Reserved(String, &'static str),
    /// An argument is no option.
    #[error("`{0}` is no option of sbatch: options come after `--`, such as `-- --partition=gpu --gpus=1`")]
    NoOption(String),
    /// A text has control characters or is too long.
    #[error("{what} has control characters, or more than {MAX_TEXT} bytes")]
    Text {
        /// The option.
        what: &'static str,
    },
    /// A label is malformed, or there are too many.
    #[error("the workers have more than {MAX_LABELS} labels, or one that is not a word")]
    Labels,
}

/// Maximum length of a text in the settings, in bytes.
const MAX_TEXT: usize = 4096;
/// Maximum number of further arguments of either kind.
const MAX_ARGUMENTS: usize = 64;

impl PoolSettings {
    /// The maximum of `max_workers`.
    pub const MOST_WORKERS: u32 = 1000;
    /// The least time limit, in seconds.
    pub const LEAST_TIME: u64 = 120;

    /// How long a worker waits for a task before it leaves.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_seconds)
    }

    /// The kinds of trainers that its workers run.
    #[must_use]
    pub fn trainers(&self) -> BTreeSet<TrainerKind> {
        match (self.worker.programs_only, self.worker.allow_programs) {
            (true, _) => [TrainerKind::Programs].into(),
            (false, true) => [TrainerKind::Networks, TrainerKind::Programs].into(),
            (false, false) => [TrainerKind::Networks].into(),
        }
    }

    /// Whether a worker of the pool meets these needs, as far as its settings say.
    pub(super) fn may_meet(&self, needs: &Needs) -> bool {
        (self.gpu || !needs.gpu)
            && self.trainers().contains(&needs.trainer)
            && needs.labels.is_subset(&self.worker.labels)
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn check(&self) -> Result<(), SettingsError> {
        let bounds = |what, value: u64, least, most| {
            let fits = (least..=most).contains(&value);
            if fits { Ok(()) } else { Err(SettingsError::Bounds { what, value, least, most }) }
        };
        bounds("--max-workers", self.max_workers.into(), 1, Self::MOST_WORKERS.into())?;
        bounds("--min-workers", self.min_workers.into(), 0, self.max_workers.into())?;
        bounds("--slots", self.slots.into(), 1, 1024)?;
        bounds("--idle-timeout, in seconds,", self.idle_seconds, 5, 7 * 24 * 3600)?;
        if let Some(seconds) = self.time_limit_seconds
            && seconds < Self::LEAST_TIME
        {
            return Err(SettingsError::TimeLimit(seconds));
        }
        let worker = &self.worker;
        let s3 = |path: &&String| !path.starts_with("s3://");
        let paths = [
            ("--worker-program", Some(&worker.program)),
            ("--data-dir", worker.data_dir.as_ref()),
            ("--checkpoints", worker.checkpoints.as_ref().filter(s3)),
            ("--worker-access", worker.access.as_ref()),
            ("--log-dir", Some(&self.log_dir)),
        ];
        for (what, path) in paths.into_iter().filter_map(|(what, path)| Some((what, path?))) {
            if !path.starts_with('/') || !is_plain(path) {
                return Err(SettingsError::Path { what, path: path.clone() });
            }
        }
        let texts = [("--connect-to", &worker.coordinator)];
        let arguments = worker.arguments.iter().map(|text| ("--worker-arg", text));
        let arguments = arguments.chain(self.arguments.iter().map(|text| ("an option of sbatch", text)));
        let checkpoints = worker.checkpoints.iter().map(|text| ("--checkpoints", text));
        for (what, text) in texts.into_iter().chain(arguments).chain(checkpoints) {
            if !is_plain(text) {
                return Err(SettingsError::Text { what });
            }
        }
        bounds("the number of arguments", self.arguments.len() as u64, 0, MAX_ARGUMENTS as u64)?;
        bounds("the number of --worker-arg", worker.arguments.len() as u64, 0, MAX_ARGUMENTS as u64)?;
        if worker.labels.len() > MAX_LABELS || !worker.labels.iter().all(|label| is_label(label)) {
            return Err(SettingsError::Labels);
        }
        slurm::check_arguments(&self.arguments)
    }
}

fn is_plain(text: &str) -> bool {
    text.len() <= MAX_TEXT && !text.chars().any(is_unprintable)
}
