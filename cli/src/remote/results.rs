//! `colearn results NAME`, and fetching results for other commands.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use colearn_client::{FetchError, Received, receive};
pub(crate) use colearn_client::{Fetched, failure_note};
use colearn_core::{
    result::{NOT_KEPT, NameSets},
    table::{ResultsTable, TaskOutcome},
    text::counted_len,
};
use colearn_proto::v1;
use colearn_report::{Material, Provenance, Records, warnings};

use super::{Client, request::answered};
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
    let received = receive_results(&mut connection.sweeps, name.as_str(), history).await?;
    connection.close().await;
    let fetched = received.averaged();
    warn(&fetched, *format);
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
    let mut names = NameSets::default();
    for row in &mut table.configurations {
        row.metrics.retain(|name, _| shown.contains(name));
        row.comparisons.retain(|name, _| shown.contains(name));
    }
    for outcome in material.outcomes.values_mut() {
        if let TaskOutcome::Done(result) = outcome {
            result.metrics.retain(|name| shown.iter().any(|it| it == name));
            names.share(&mut result.metrics);
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
    receive_results(client, name, history).await.map(Received::averaged)
}

/// Fetches all results of a sweep.
pub(crate) async fn receive_results(
    client: &mut Client,
    name: &str,
    history: History,
) -> Result<Received, Failure> {
    let request = v1::GetResultsRequest {
        name: name.to_owned(),
        without_history: history == History::LeftOut,
        ..v1::GetResultsRequest::default()
    };
    let answer = client.get_results(request).await;
    let parts = answered(client, name, answer).await?;
    receive(parts).await.map_err(|error| match error {
        FetchError::Refused(status) => client.failure(&status),
        unknown @ FetchError::NotUnderstood(_) => Failure::new(Exit::Failure, unknown),
    })
}

/// Prints the warnings about results on standard error, unless the format is the table, which contains them.
pub(crate) fn warn(fetched: &Fetched, format: Format) {
    match format {
        Format::Table => warn_of_files(fetched),
        _ => warn_anyway(fetched),
    }
}

/// Says which files of `keep` are missing: the results are complete, but nobody would look for the files.
fn warn_of_files(fetched: &Fetched) {
    let causes = fetched.outcomes.values().filter_map(|outcome| match outcome {
        TaskOutcome::Done(result) => result.environment.get(NOT_KEPT),
        TaskOutcome::Failed(_) | TaskOutcome::Cancelled => None,
    });
    let causes: Vec<&String> = causes.collect();
    if let Some(first) = causes.iter().min() {
        let tasks = counted_len(causes.len(), "task");
        noteln!(
            "warning: {}: {tasks} could not keep all files, for example: {first}; to have them, mend this and run the \
             sweep again under another --name",
            fetched.table.sweep
        );
    }
}

/// Prints the warnings about results on standard error.
pub(crate) fn warn_anyway(fetched: &Fetched) {
    warn_of_files(fetched);
    for warning in warnings(&fetched.table) {
        noteln!("warning: {}: {warning}", fetched.table.sweep);
    }
}
