//! Slurm's side of a pool: the batch script, and what its commands print. Tried with Slurm 22.05.

use std::fmt::Write as _;

use super::{
    job::{End, SeenJob, SeenState},
    pool::Pool,
    settings::SettingsError,
};

/// The exit code of a worker that returned unfinished tasks; the script then lets its job be queued again.
pub const PARKED: u8 = 75;
/// The signal in the status of a job that Slurm could not start because the file of its output cannot be made; it is the
/// lower part of Slurm's error 4021.
const NO_LOG: u32 = 53;
/// Part of a job's time limit that its worker leaves for the start of the job, in seconds.
const START: u64 = 60;

/// The arguments of `squeue` that list all jobs of this user as [`parse_queue`] reads them.
pub const QUEUE: [&str; 5] =
    ["--me", "--states=all", "--noheader", "--array", "--Format=JobID:|,Name:|,State:|,exit_code:|,Reason:|"];

/// Options that a pool sets itself, and what to do instead.
const RESERVED: &[(&[&str], &str)] = &[
    (&["--time", "-t"], "use --time-limit before `--`, which also tells the workers"),
    (&["--job-name", "-J"], "the pool finds its jobs by their names"),
    (
        &["--output", "-o", "--error", "-e", "--open-mode"],
        "the logs are in --log-dir: see `colearn alloc logs`",
    ),
    (&["--nodes", "-N", "--ntasks", "-n", "--ntasks-per-node"], "each job is one worker on one node"),
    (&["--array", "-a"], "use --max-workers before `--`"),
    (&["--requeue", "--no-requeue", "--signal"], "the script needs them to park tasks"),
    (
        &["--wrap", "--parsable", "--test-only", "--wait", "-W", "--chdir", "-D", "--quiet", "-Q"],
        "leave it out",
    ),
    (&["--help", "--usage", "--version", "-h", "-V"], "leave it out"),
];

/// Checks further arguments for `sbatch`.
///
/// # Errors
/// If one is set by the pool itself, or is a word that follows no option.
pub(super) fn check_arguments(arguments: &[String]) -> Result<(), SettingsError> {
    let mut takes_value = false;
    for argument in arguments {
        let name = argument.split('=').next().unwrap_or_default();
        // `-t5` is `-t 5`.
        let short =
            (argument.starts_with('-') && !argument.starts_with("--")).then(|| argument.get(..2)).flatten();
        let same = |known: &&str| *known == name || Some(*known) == short;
        if let Some((_, instead)) = RESERVED.iter().find(|(names, _)| names.iter().any(same)) {
            return Err(SettingsError::Reserved(argument.clone(), instead));
        }
        let is_option = argument.len() > 1 && argument.starts_with('-') && argument != "--";
        if !is_option && !takes_value {
            return Err(SettingsError::NoOption(argument.clone()));
        }
        takes_value = is_option && !argument.contains('=') && (short.is_none() || argument.len() == 2);
    }
    Ok(())
}

/// Whether arguments for `sbatch` ask for a GPU.
#[must_use]
pub fn asks_for_gpu(arguments: &[String]) -> bool {
    let mut gres_follows = false;
    arguments.iter().any(|argument| {
        let gres =
            std::mem::replace(&mut gres_follows, argument == "--gres") || argument.starts_with("--gres=");
        let options = ["--gpus", "-G", "--tres-per-task=gres/gpu", "--tres-per-node=gres/gpu"];
        options.iter().any(|option| argument.starts_with(option)) || (gres && argument.contains("gpu"))
    })
}

/// The arguments of `sbatch` for every job of a pool; the script is its standard input.
#[must_use]
pub fn arguments(pool: &Pool) -> Vec<String> {
    ["--parsable".to_owned()].into_iter().chain(pool.settings.arguments.iter().cloned()).collect()
}

/// The batch script of a job.
#[must_use]
pub fn script(pool: &Pool, number: u64, kept: bool) -> String {
    let settings = &pool.settings;
    let folder = settings.log_dir.replace('%', "%%").replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = format!(
        "#!/bin/sh\n\
         #SBATCH --job-name={}\n\
         #SBATCH --output=\"{folder}/{number}.log\"\n\
         #SBATCH --open-mode=append\n\
         #SBATCH --nodes=1\n\
         #SBATCH --ntasks=1\n\
         #SBATCH --requeue\n\
         #SBATCH --signal=TERM@60\n",
        pool.job_name(number)
    );
    if let Some(seconds) = settings.time_limit_seconds {
        let _ = writeln!(text, "#SBATCH --time={}", seconds.div_ceil(60));
    }
    let _ = write!(
        text,
        "\n\
         # A worker of colearn's pool `{}`. Slurm sends SIGTERM to the steps of a job that is preempted or cancelled, and\n\
         # a minute before its time is up. The worker then returns its tasks, and exits with {PARKED} if there were any.\n\
         trap : TERM\n\
         # srun does not take this over from sbatch by itself.\n\
         if [ -n \"$SLURM_CPUS_PER_TASK\" ]; then export SRUN_CPUS_PER_TASK=\"$SLURM_CPUS_PER_TASK\"; fi\n\
         srun --ntasks=1 \\\n    {}\n\
         code=$?\n\
         # The job waits in the queue again, unless somebody has cancelled it.\n\
         if [ \"$code\" -eq {PARKED} ] && [ \"$(squeue --noheader --jobs=\"$SLURM_JOB_ID\" --format=%T)\" = RUNNING ]; then\n    \
         scontrol requeue \"$SLURM_JOB_ID\"\n\
         fi\n\
         exit \"$code\"\n",
        settings.name,
        worker(pool, number, kept).join(" \\\n    ")
    );
    text
}

/// The parts of the command line of the worker of a job, each for a line of the script.
fn worker(pool: &Pool, number: u64, kept: bool) -> Vec<String> {
    let settings = &pool.settings;
    let worker = &settings.worker;
    let mut parts = vec![quoted(&worker.program)];
    let mut option = |name: &str, value: String| parts.push(format!("{name} {}", quoted(&value)));
    option("--coordinator", worker.coordinator.clone());
    option("--name", pool.worker_name(number));
    option("--slots", settings.slots.to_string());
    option("--parked-exit-code", PARKED.to_string());
    if !kept {
        option("--idle-timeout", format!("{}s", settings.idle_seconds));
    }
    if let Some(seconds) = settings.time_limit_seconds {
        option("--time-limit", format!("{}s", seconds.saturating_sub(START)));
    }
    for (name, value) in [
        ("--data-dir", &worker.data_dir),
        ("--checkpoints", &worker.checkpoints),
        ("--access", &worker.access),
    ] {
        value.iter().for_each(|value| option(name, value.clone()));
    }
    worker.labels.iter().for_each(|label| option("--label", label.clone()));
    for (name, given) in
        [("--allow-programs", worker.allow_programs), ("--programs-only", worker.programs_only)]
    {
        if given {
            parts.push(name.to_owned());
        }
    }
    parts.extend(worker.arguments.iter().map(|argument| quoted(argument)));
    parts
}

/// A word of a shell command.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The id that `sbatch --parsable` printed: `17`, or `17;cluster`.
#[must_use]
pub fn parse_submission(printed: &str) -> Option<String> {
    let id = printed.lines().last()?.split(';').next()?.trim();
    (!id.is_empty() && id.bytes().all(|b| b.is_ascii_digit())).then(|| id.to_owned())
}

/// The jobs that `squeue` printed when it was called with [`QUEUE`]. Lines of another form are left out.
#[must_use]
pub fn parse_queue(printed: &str) -> Vec<SeenJob> {
    printed.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<SeenJob> {
    let mut fields = line.split('|').map(str::trim);
    let [id, name, state, code, reason] = std::array::from_fn(|_| fields.next());
    let (id, name, state) = (id?.to_owned(), name?.to_owned(), state?);
    let reason = reason.filter(|reason| !matches!(*reason, "None" | "")).unwrap_or_default();
    let failed = |how: String| SeenState::Ended(End::Failed(how));
    let state = match state {
        "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "SPECIAL_EXIT" | "RESV_DEL_HOLD" => {
            SeenState::Queued
        }
        "COMPLETED" => SeenState::Ended(End::Completed),
        "CANCELLED" | "REVOKED" => SeenState::Ended(End::Cancelled),
        "PREEMPTED" => SeenState::Ended(End::Preempted),
        "FAILED" => match code.and_then(status) {
            // It parked, and could not be queued again.
            Some((code, 0)) if code == u32::from(PARKED) => SeenState::Ended(End::Preempted),
            Some((code, 0)) => failed(format!("ended with exit code {code}")),
            Some((_, NO_LOG)) => failed(
                "could not write its log (--log-dir must be a folder that the nodes and the coordinator share)"
                    .to_owned(),
            ),
            Some((_, signal)) => failed(format!("was ended by signal {signal}")),
            None => failed("failed".to_owned()),
        },
        "TIMEOUT" | "DEADLINE" => failed("ran out of time".to_owned()),
        "OUT_OF_MEMORY" => failed("ran out of memory".to_owned()),
        "NODE_FAIL" | "BOOT_FAIL" => failed("lost its node".to_owned()),
        // RUNNING, COMPLETING, CONFIGURING, SUSPENDED, STOPPED, SIGNALING, STAGE_OUT, RESIZING, and what later versions
        // may add: it has not ended.
        _ => SeenState::Running,
    };
    Some(SeenJob { name, id, state, detail: reason.to_owned() })
}

/// Exit code and signal, of the status that `wait` gives.
fn status(code: &str) -> Option<(u32, u32)> {
    if let Some((code, signal)) = code.split_once(':') {
        return Some((code.parse().ok()?, signal.parse().ok()?));
    }
    let status: u32 = code.parse().ok()?;
    Some((status >> 8, status & 0x7f))
}

/// Whether a message of Slurm's commands says that the controller has no answer now, and not that it refuses.
#[must_use]
pub fn is_unavailable(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["unable to contact", "connection refused", "connection timed out", "not responding", "in standby mode"]
        .iter()
        .any(|part| message.contains(part))
}

/// Whether a message says that an answer did not come, so that the request may have had its effect.
#[must_use]
pub fn is_unclear(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["socket timed out", "send/recv", "zero bytes were transmitted", "communication connection failure"]
        .iter()
        .any(|part| message.contains(part))
}
