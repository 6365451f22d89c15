//! Commands that change a sweep: retry, extend, pause, resume, priority, rm.

use std::{
    io::{BufRead as _, IsTerminal as _, Write as _},
    path::Path,
};

use colearn_core::{
    names::Criteria,
    sweep::Sweep,
    text::{counted, counted_len},
};
use colearn_proto::v1::{self, SweepSummary, TaskState};
use tonic::Code;

use super::{
    Client,
    labels::state_word,
    pages,
    request::{answered, summary_of},
    resolve,
    status::trains_another,
    submit::{file_refused, read_sweep_file},
    tasks::tasks_in,
};
use crate::{
    args::{ExtendArgs, Named, PriorityArgs, RemoveArgs, RetryArgs, Target, folder_of},
    connect::Connection,
    exit::{Exit, Failure, Outcome},
    kept::KeptFiles,
    progress::has_ended,
};

/// `colearn retry NAME`.
pub(crate) async fn retry(arguments: &RetryArgs) -> Outcome {
    let RetryArgs { name, target, failed, task, configuration, seed, changed_program } = arguments;
    let name = name.as_str();
    let mut connection = Connection::open(target).await?;
    let client = &mut connection.sweeps;
    let is_part = !configuration.is_empty() || !seed.is_empty();
    let tasks = match is_part {
        true => retryable(client, name, *failed, configuration, seed).await?,
        false => resolve::tasks(client, name, task).await?,
    };
    if *changed_program {
        replace_data(client, name).await?;
        outln!("{name}: goes on with the files as they are now; the next result determines them");
    }
    if is_part && tasks.is_empty() {
        connection.close().await;
        outln!("{name}: nothing to retry, no such task {}", has_ended_so(*failed));
        return Ok(Exit::Success);
    }
    let request = v1::RetrySweepRequest { name: name.to_owned(), failed_only: *failed, tasks };
    let answer = client.retry_sweep(request).await;
    let response = answered(client, name, answer).await?;
    let summary = summary_of(response.sweep)?;
    if response.retried == 0 {
        let which = if task.is_empty() && !is_part { "no task" } else { "none of these tasks" };
        outln!("{name}: nothing to retry, {which} {}", has_ended_so(*failed));
    } else {
        outln!("{name}: {} pending again", counted(response.retried, "task"));
        outln!("{}", continues(&connection, target, &summary, Path::new("FILE")));
    }
    connection.close().await;
    Ok(Exit::Success)
}

fn has_ended_so(failed_only: bool) -> &'static str {
    if failed_only { "has failed" } else { "has failed or was cancelled" }
}

/// The failed and cancelled tasks of a part of the grid. A coordinator of an older version knows only single tasks.
async fn retryable(
    client: &mut Client,
    name: &str,
    failed_only: bool,
    configurations: &[Criteria],
    seeds: &[u64],
) -> Result<Vec<v1::TaskReference>, Failure> {
    let mut ids = Vec::new();
    for wanted in configurations {
        ids.push(resolve::configuration(client, name, wanted).await?.configuration);
    }
    let states = [Some(TaskState::Failed), Some(TaskState::Cancelled).filter(|_| !failed_only)];
    let rows = tasks_in(client, name, states.into_iter().flatten()).await?;
    let tasks = rows.into_iter().filter_map(|row| row.task);
    let references =
        tasks.map(|task| v1::TaskReference { configuration: task.configuration, seed: task.seed });
    let is_wanted = |task: &v1::TaskReference| {
        (ids.is_empty() || ids.contains(&task.configuration))
            && (seeds.is_empty() || seeds.contains(&task.seed))
    };
    Ok(references.filter(is_wanted).collect())
}

/// `colearn extend NAME FILE`.
pub(crate) async fn extend(arguments: &ExtendArgs) -> Outcome {
    let ExtendArgs { name, file, target } = arguments;
    let name = name.as_str();
    let source = read_sweep_file(file)?;
    let mut connection = Connection::open(target).await?;
    let client = &mut connection.sweeps;
    let origin = file.display().to_string();
    let request = v1::ExtendSweepRequest {
        name: name.to_owned(),
        source: source.clone(),
        origin,
        folder: folder_of(file),
    };
    let response = match client.extend_sweep(request).await {
        // The message shows the differences between file and sweep.
        Err(status) if status.code() == Code::FailedPrecondition => {
            return Err(Failure::new(Exit::SweepFile, status.message()));
        }
        Err(status) if status.code() == Code::InvalidArgument => {
            return Err(file_refused(client, &status, &source, file));
        }
        answer => answered(client, name, answer).await?,
    };
    for warning in &response.warnings {
        noteln!("{warning}");
    }
    let summary = summary_of(response.sweep)?;
    if response.added == 0 {
        outln!("{name}: nothing to add, it already has the seeds and configurations of {}", file.display());
    } else {
        let counts = summary.tasks.unwrap_or_default();
        outln!(
            "{name}: {} added; now {} and {}, {}, {} done",
            counted(response.added, "task"),
            counted(summary.configurations, "configuration"),
            counted(summary.seeds, "seed"),
            counted(counts.total, "task"),
            counts.done
        );
    }
    if !has_ended(&summary) {
        outln!("{}", continues(&connection, target, &summary, file));
        let called = Sweep::parse_in(&source, "", &folder_of(file)).ok().map(|parsed| parsed.sweep.name);
        if connection.is_embedded() && called.is_some_and(|called| called.as_str() != name) {
            outln!("with `name: {name}` in that file, which has another name now");
        }
    }
    connection.close().await;
    Ok(Exit::Success)
}

/// `colearn pause NAME`, and `colearn resume NAME`.
pub(crate) async fn pause(arguments: &Named, paused: bool) -> Outcome {
    let Named { name, target } = arguments;
    let name = name.as_str();
    let mut connection = Connection::open(target).await?;
    let client = &mut connection.sweeps;
    let answer = client.pause_sweep(v1::PauseSweepRequest { name: name.to_owned(), paused }).await;
    let summary = summary_of(answered(client, name, answer).await?.sweep)?;
    let counts = summary.tasks.unwrap_or_default();
    let waiting = format!("{} running, {} pending", counts.running, counts.pending);
    if has_ended(&summary) {
        outln!("{name}: {}; there is nothing to start", state_word(summary.state()));
    } else if paused {
        outln!(
            "{name}: paused; {waiting}; no new tasks start until: colearn resume {name}{}",
            target.typed()
        );
    } else {
        outln!("{name}: {waiting}");
        outln!("{}", continues(&connection, target, &summary, Path::new("FILE")));
    }
    connection.close().await;
    Ok(Exit::Success)
}

/// `colearn priority NAME N`.
pub(crate) async fn priority(arguments: &PriorityArgs) -> Outcome {
    let PriorityArgs { name, priority, target } = arguments;
    let name = name.as_str();
    let mut connection = Connection::open(target).await?;
    let client = &mut connection.sweeps;
    let request = v1::PrioritizeSweepRequest { name: name.to_owned(), priority: *priority };
    let answer = client.prioritize_sweep(request).await;
    let summary = summary_of(answered(client, name, answer).await?.sweep)?;
    outln!("{name}: priority {}", summary.priority);
    connection.close().await;
    Ok(Exit::Success)
}

/// Lets a sweep go on with a changed program or another data set: the results so far do not determine its files any
/// more. Failed tasks stay failed until they are retried.
async fn replace_data(client: &mut Client, name: &str) -> Result<(), Failure> {
    let answer = client.replace_data(v1::ReplaceDataRequest { name: name.to_owned() }).await;
    answered(client, name, answer).await.map(drop)
}

/// `colearn rm NAME`.
pub(crate) async fn remove(arguments: &RemoveArgs) -> Outcome {
    let RemoveArgs { name, target, yes, keep_files, from } = arguments;
    let name = name.as_str();
    let somebody_answers = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !yes && !somebody_answers {
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "removing {name} deletes its results and needs a confirmation, but there is no terminal: add --yes"
            ),
        ));
    }
    let mut connection = Connection::open(target).await?;
    let client = &mut connection.sweeps;
    let summary = summary_of(pages::sweep(client, name, Some(1)).await?.sweep)?;
    // The coordinator refuses to remove a sweep that has not ended; its files are needed then.
    let files = match has_ended(&summary) && !keep_files {
        true => KeptFiles::of(client, name, from.as_ref()).await?,
        false => None,
    };
    if let Some(files) = &files {
        files.check(name).await?;
    }
    let count = files.as_ref().map_or(0, |files| files.count);
    if !yes && !ask(&summary, count)? {
        connection.close().await;
        return Err(Failure::new(Exit::Failure, format!("{name} was not removed")));
    }
    // The files first: without the sweep nobody would know of them.
    let removed = match files {
        Some(files) => files.remove(name).await?,
        None => 0,
    };
    let answer = client.remove_sweep(v1::RemoveSweepRequest { name: name.to_owned() }).await;
    let summary = summary_of(answered(client, name, answer).await?.sweep)?;
    connection.close().await;
    let results = counted(summary.tasks.unwrap_or_default().done, "result");
    let and_files = match removed {
        0 => String::new(),
        count => format!(" and {}", counted_len(count, "kept file")),
    };
    outln!("{name}: removed, and {results}{and_files} with it");
    Ok(Exit::Success)
}

/// Asks on the terminal whether the sweep may be deleted.
fn ask(sweep: &SweepSummary, files: usize) -> Result<bool, Failure> {
    let mut terminal = std::io::stderr();
    let results = counted(sweep.tasks.unwrap_or_default().done, "result");
    let files = match files {
        0 => String::new(),
        count => format!(" and {}", counted_len(count, "kept file")),
    };
    write!(
        terminal,
        "{} has {results}{files}, which would be lost permanently. Remove it? [y/N] ",
        sweep.name
    )?;
    terminal.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(agrees(&answer, &sweep.name))
}

fn agrees(answer: &str, name: &str) -> bool {
    let answer = answer.trim();
    answer == name || matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes")
}

/// How the pending tasks of a sweep will be trained, or the command that starts work on them.
fn continues(connection: &Connection, target: &Target, sweep: &SweepSummary, file: &Path) -> String {
    let name = &sweep.name;
    let typed = target.typed();
    if sweep.paused {
        format!("it is paused; resume it with: colearn resume {name}{typed}")
    } else if let Some(other) = trains_another(sweep) {
        other
    } else if connection.is_embedded() {
        format!("no worker trains it here; continue it with: colearn run {}{typed}", file.display())
    } else if sweep.workers == 0 {
        format!("no worker is connected; when one is, watch it with: colearn watch {name}{typed}")
    } else {
        format!("watch it with: colearn watch {name}{typed}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_removes() {
        for answer in ["y\n", "Yes\n", "small\n", " small \n"] {
            assert!(agrees(answer, "small"), "{answer:?}");
        }
        for answer in ["", "\n", "n\n", "smal\n", "no\n", "yy\n"] {
            assert!(!agrees(answer, "small"), "{answer:?}");
        }
    }
}
