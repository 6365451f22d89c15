//! `colearn results NAME`, and fetching results for other commands.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufWriter, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use colearn_core::{
    id::{ConfigurationId, SweepId},
    names::Names,
    result::{Artifact, NOT_KEPT},
    sweep::{Configuration, Sweep},
    table::{ResultsTable, TaskOutcome},
    text::counted_len,
};
use colearn_proto::{
    convert::{self, ConvertError},
    v1::{self, get_results_response::Part},
};
use colearn_report::{FailureNote, Material, Provenance, Record, Records, warnings};

use super::{
    Client,
    labels::{failure_lines, failure_parts, instant},
    request::answered,
};
use crate::{
    args::{Format, ResultsArgs},
    connect::Connection,
    exit::{Exit, Failure, Outcome},
    format, output,
    shown::{Shown, not_shown},
};

/// `colearn results NAME`.
pub(crate) async fn results(arguments: &ResultsArgs) -> Outcome {
    let ResultsArgs { name, target, format, out, .. } = arguments;
    if *format == Format::Parquet {
        check_parquet(out.is_some())?;
    }
    let history = History::needed(*format, arguments.records());
    let mut connection = Connection::open_to_look(target).await?;
    let fetched = fetch_results(&mut connection.sweeps, name.as_str(), history).await?;
    connection.close().await;
    fetched.warn(*format);
    let (mut material, mut table) = fetched.into_material(own_provenance());
    let selection = arguments.shown.selection();
    let hidden = selection.apply(&mut table).map_err(|unknown| Failure::new(Exit::Usage, unknown))?;
    let is_for_people = matches!(format, Format::Table | Format::Markdown | Format::Latex);
    if !selection.metrics.is_empty() && (!is_for_people || arguments.records().is_some()) {
        keep_metrics(&mut material, &mut table);
    }
    if hidden > 0 && !matches!(format, Format::Table | Format::Markdown) {
        noteln!("{}", not_shown(hidden));
    }
    let is_whole = *format != Format::Table || arguments.shown.all || arguments.shown.top.is_some();
    let see_all = || {
        let records = match arguments.records() {
            Some(Records::Metrics) => " --per-seed",
            Some(Records::Epochs) => " --history",
            None => "",
        };
        format!("colearn results {name}{records} --all{}", target.typed())
    };
    let sorted = selection.sort.is_some();
    let shown = match arguments.records() {
        _ if is_whole => Shown::without(hidden),
        Some(records) => Shown::shorten(&mut table, &material, records, sorted, &see_all()),
        None => Shown::first(&table, sorted, &see_all()),
    };
    let write = |into: &mut dyn io::Write| {
        format::write(into, &material, &table, arguments.records(), &shown, *format)
    };
    match out {
        None => output::stream(write)?,
        Some(path) => in_file(path, write)?,
    }
    Ok(Exit::Success)
}

/// Removes all metrics that the table does not show.
fn keep_metrics(material: &mut Material, table: &mut ResultsTable) {
    let shown = &table.metrics;
    for row in &mut table.configurations {
        row.metrics.retain(|name, _| shown.contains(name));
        row.comparisons.retain(|name, _| shown.contains(name));
    }
    for outcome in material.outcomes.values_mut() {
        if let TaskOutcome::Done(result) = outcome {
            result.metrics.retain(|name, _| shown.contains(name));
        }
    }
}

/// Refuses to write Parquet where that cannot be, or where a person would look at it.
fn check_parquet(has_file: bool) -> Result<(), Failure> {
    if cfg!(not(feature = "parquet")) {
        return Err(Failure::new(Exit::Usage, format::NO_PARQUET));
    }
    if !has_file && io::stdout().is_terminal() {
        let why = "Parquet is no text for a terminal: name a file with --out FILE, or redirect the output";
        return Err(Failure::new(Exit::Usage, why));
    }
    Ok(())
}

fn in_file(path: &Path, write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> Result<(), Failure> {
    // What is not a regular file, such as a device or a link, is written directly.
    let replaced = match path.symlink_metadata() {
        Ok(there) => there.is_file(),
        Err(_) => true,
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = PathBuf::from(beside);
    let target = if replaced { &beside } else { path };
    let written = File::create(target)
        .map(BufWriter::new)
        .and_then(|mut file| {
            write(&mut file)?;
            file.flush()
        })
        .and_then(|()| if replaced { std::fs::rename(&beside, path) } else { Ok(()) });
    if written.is_err() && replaced {
        // The earlier file, if there is one, is untouched.
        let _: io::Result<()> = std::fs::remove_file(&beside);
    }
    written
        .map_err(|error| Failure::new(Exit::Failure, format!("cannot write `{}`: {error}", path.display())))
}

/// The version of this program, as the origin of what it writes.
pub(crate) fn own_provenance() -> Provenance {
    Provenance {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("COLEARN_COMMIT").map(str::to_owned),
        ..Provenance::default()
    }
}

/// A sweep's results, and the failures of tasks without a result.
pub(crate) struct Fetched {
    /// The number of the sweep, if it has a result.
    pub(crate) number: Option<SweepId>,
    /// The resolved sweep.
    pub(crate) sweep: Sweep,
    /// The outcomes of its tasks, as far as they are known.
    pub(crate) outcomes: HashMap<(ConfigurationId, u64), TaskOutcome>,
    /// Failed attempts, for the report.
    pub(crate) notes: Vec<FailureNote>,
    /// Who delivered each result.
    pub(crate) records: HashMap<(ConfigurationId, u64), Record>,
    /// The averaged results.
    pub(crate) table: ResultsTable,
    /// Failed tasks for people: equal failures share one line.
    pub(crate) failures: Vec<String>,
}

impl Fetched {
    /// The kept files that results record.
    pub(crate) fn artifacts(&self) -> impl Iterator<Item = &Artifact> {
        self.outcomes.values().flat_map(|outcome| match outcome {
            TaskOutcome::Done(result) => result.artifacts.as_slice(),
            _ => &[],
        })
    }

    /// What a report is made of, and its table.
    pub(crate) fn into_material(self, provenance: Provenance) -> (Material, ResultsTable) {
        let material = Material {
            sweep: self.sweep,
            outcomes: self.outcomes,
            failures: self.notes,
            reference: None,
            provenance: Provenance { records: self.records, ..provenance },
        };
        (material, self.table)
    }

    /// Prints the warnings on standard error, unless the format is the table, which contains them.
    pub(crate) fn warn(&self, format: Format) {
        match format {
            Format::Table => self.warn_of_files(),
            _ => self.warn_anyway(),
        }
    }

    /// Says which files of `keep` are missing: the results are complete, but nobody would look for the files.
    fn warn_of_files(&self) {
        let causes = self.outcomes.values().filter_map(|outcome| match outcome {
            TaskOutcome::Done(result) => result.environment.get(NOT_KEPT),
            TaskOutcome::Failed(_) => None,
        });
        let causes: Vec<&String> = causes.collect();
        if let Some(first) = causes.iter().min() {
            let tasks = counted_len(causes.len(), "task");
            noteln!(
                "warning: {}: {tasks} could not keep all files, for example: {first}; to have them, mend this and run the \
                 sweep again under another --name",
                self.table.sweep
            );
        }
    }

    /// Prints the warnings on standard error.
    pub(crate) fn warn_anyway(&self) {
        self.warn_of_files();
        for warning in warnings(&self.table) {
            noteln!("warning: {}: {warning}", self.table.sweep);
        }
    }
}

/// Whether results are fetched with the curves of training, which are most of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum History {
    Included,
    LeftOut,
}

impl History {
    /// What these formats need.
    pub(crate) fn needed(format: Format, records: Option<Records>) -> Self {
        match (format, records) {
            (_, Some(Records::Epochs)) | (Format::Json, None) => Self::Included,
            _ => Self::LeftOut,
        }
    }
}

/// Fetches all results of a sweep and averages them.
pub(crate) async fn fetch_results(
    client: &mut Client,
    name: &str,
    history: History,
) -> Result<Fetched, Failure> {
    let bad = |error: &dyn std::fmt::Display| {
        Failure::new(
            Exit::Failure,
            format!("the coordinator sent something this version does not understand: {error}"),
        )
    };
    let without_history = history == History::LeftOut;
    let request = v1::GetResultsRequest { name: name.to_owned(), without_history };
    let answer = client.get_results(request).await;
    let mut parts = answered(client, name, answer).await?;
    let (mut sweep_json, mut number) = (String::new(), None);
    let mut outcomes = HashMap::new();
    let mut failures = Vec::new();
    let mut notes = Vec::new();
    let mut records = HashMap::new();
    while let Some(message) = parts.message().await.map_err(|status| client.failure(&status))? {
        match message.part {
            // A large sweep is sent in several parts.
            Some(Part::SweepJson(text)) => sweep_json += &text,
            Some(Part::Result(recorded)) => {
                let task = convert::task(recorded.task).map_err(|error| bad(&error))?;
                number = Some(task.sweep);
                let record = Record {
                    attempt: recorded.attempt,
                    worker: recorded.worker,
                    recorded_at: instant(recorded.recorded_at),
                };
                records.insert((task.configuration, task.seed), record);
                let result = recorded.result.unwrap_or_default().try_into().map_err(|error| bad(&error))?;
                outcomes.insert((task.configuration, task.seed), TaskOutcome::Done(result));
            }
            Some(Part::Failure(failed)) => {
                let task = convert::task(failed.task.clone()).map_err(|error| bad(&error))?;
                let reason = failed.failure.as_ref().map_or(0, |failure| failure.reason);
                let reason = convert::failure_reason(reason).map_err(|error| bad(&error))?;
                notes.push(failure_note(failed.clone()).map_err(|error| bad(&error))?);
                failures.push(failed);
                outcomes.insert((task.configuration, task.seed), TaskOutcome::Failed(reason));
            }
            None => {}
        }
    }
    let sweep: Sweep = serde_json::from_str(&sweep_json).map_err(|error| bad(&error))?;
    name_failures(&sweep, &mut failures);
    let table = ResultsTable::of(&sweep, &outcomes);
    Ok(Fetched { number, table, sweep, outcomes, notes, records, failures: failure_lines(&failures) })
}

/// Gives failures the names of their configurations.
fn name_failures(sweep: &Sweep, failures: &mut [v1::TaskFailure]) {
    if failures.is_empty() {
        return;
    }
    let names = Names::of(sweep);
    let by_id: HashMap<String, &Configuration> =
        sweep.configurations.iter().map(|it| (it.id.to_string(), it)).collect();
    for failed in failures {
        let of = failed.task.as_ref().and_then(|task| by_id.get(&task.configuration));
        failed.name = of.map(|configuration| names.name(*configuration)).unwrap_or_default();
    }
}

/// A failed attempt for a report.
pub(crate) fn failure_note(failed: v1::TaskFailure) -> Result<FailureNote, ConvertError> {
    let (_, _, reason, message) = failure_parts(&failed);
    let task = convert::task(failed.task)?;
    Ok(FailureNote {
        configuration: task.configuration,
        seed: task.seed,
        attempt: failed.attempt,
        last: failed.r#final,
        reason: reason.to_owned(),
        message,
    })
}
