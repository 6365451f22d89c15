//! Commands that show sweeps: list, status, watch.

use colearn_core::text::counted;
use colearn_proto::v1::{self, SweepState, SweepSummary};
use serde_json::{Value, json as object};

use super::{
    Client, excerpt, json,
    labels::{called, failure_lines, minute, moment, now, state_for_people},
    pages,
    request::{answered, summary_of},
    set_aside,
};
use crate::{
    args::{ListArgs, Named, StatusArgs, WatchArgs},
    connect::Connection,
    exit::{Exit, Failure, Outcome},
    interrupt::Interrupts,
    layout::{Column, Role, fitted, width},
    progress::{Progress, Style, has_ended},
    view::Kind,
};

/// `colearn list`.
pub(crate) async fn list(arguments: &ListArgs) -> Outcome {
    let ListArgs { target, by, json: as_json } = arguments;
    let mut connection = Connection::open_to_look(target).await?;
    let client = &mut connection.sweeps;
    let answer = client.list_sweeps(v1::ListSweepsRequest {}).await;
    let mut sweeps = answer.map_err(|status| client.failure(&status))?.into_inner().sweeps;
    sweeps.retain(|sweep| by.as_ref().is_none_or(|by| *by == sweep.submitted_by));
    connection.close().await;
    if *as_json {
        let rows: Vec<Value> = sweeps.iter().map(json::summary).collect();
        outln!("{:#}", object!({ "sweeps": rows }));
        return Ok(Exit::Success);
    }
    if let Some(by) = by.as_ref().filter(|_| sweeps.is_empty()) {
        outln!("no sweeps were submitted by {by}");
        return Ok(Exit::Success);
    }
    if sweeps.is_empty() {
        outln!("no sweeps yet; submit one with: colearn submit FILE");
        return Ok(Exit::Success);
    }
    outln!("{}", table_of_sweeps(&sweeps, width()));
    Ok(Exit::Success)
}

fn table_of_sweeps(sweeps: &[SweepSummary], width: usize) -> String {
    let cells = |cell: &dyn Fn(&SweepSummary) -> String| sweeps.iter().map(cell).collect();
    let count = |heading, of: fn(&v1::TaskCounts) -> u64| {
        let cells = cells(&|sweep| of(&sweep.tasks.unwrap_or_default()).to_string());
        Column::numbers(heading, Role::First, cells)
    };
    let mut columns = vec![
        Column::words("name", Role::Key, cells(&|sweep| sweep.name.clone())),
        Column::words("state", Role::First, cells(&|sweep| state_for_people(sweep).to_owned())),
        count("tasks", |counts| counts.total),
        count("done", |counts| counts.done),
        count("running", |counts| counts.running),
        count("pending", |counts| counts.pending),
        count("failed", |counts| counts.failed),
        Column::words("submitted (UTC)", Role::First, cells(&|sweep| minute(sweep.submitted_at))),
    ];
    if sweeps.iter().any(|sweep| !sweep.submitted_by.is_empty()) {
        columns.push(Column::words("by", Role::First, cells(&|sweep| sweep.submitted_by.clone())));
    }
    if sweeps.iter().any(|sweep| sweep.priority != 0) {
        columns
            .insert(2, Column::numbers("priority", Role::First, cells(&|sweep| sweep.priority.to_string())));
    }
    fitted(&columns, &[], width)
}

fn table_of_configurations(rows: &[v1::ConfigurationProgress], width: usize) -> String {
    let cells = |cell: &dyn Fn(&v1::ConfigurationProgress) -> String| rows.iter().map(cell).collect();
    let count = |heading, of: fn(&v1::TaskCounts) -> u64| {
        let cells = cells(&|row| of(&row.tasks.unwrap_or_default()).to_string());
        Column::numbers(heading, Role::First, cells)
    };
    let mut columns = vec![
        Column::words("configuration", Role::Key, cells(&|row| called(&row.name, &row.configuration))),
        count("done", |counts| counts.done),
        count("running", |counts| counts.running),
        count("pending", |counts| counts.pending),
        count("failed", |counts| counts.failed),
    ];
    if rows.iter().any(|row| row.tasks.unwrap_or_default().cancelled > 0) {
        columns.push(count("cancelled", |counts| counts.cancelled));
    }
    fitted(&columns, &[], width)
}

/// `colearn status NAME`.
pub(crate) async fn status(arguments: &StatusArgs) -> Outcome {
    let StatusArgs { name, target, all, json: as_json } = arguments;
    let name = name.as_str();
    let mut connection = Connection::open_to_look(target).await?;
    let mut response = pages::sweep(&mut connection.sweeps, name, None).await?;
    connection.close().await;
    let summary = summary_of(response.sweep)?;
    if *as_json {
        let row = |row: &v1::ConfigurationProgress| object!({ "id": row.configuration, "name": json::named(&row.name), "tasks": json::counts(&row.tasks.unwrap_or_default()) });
        let mut document = json::summary(&summary);
        document["configurations_progress"] = response.configurations.iter().map(row).collect();
        document["failures"] = response.failures.iter().map(json::failure).collect();
        document["set_aside"] = response.set_aside.iter().map(json::set_aside).collect();
        document["misfit"] = (!response.misfit.is_empty()).then_some(response.misfit).into();
        document["without_data"] = response.without_data.iter().map(json::without_data).collect();
        outln!("{document:#}");
        return Ok(Exit::Success);
    }
    let counts = summary.tasks.unwrap_or_default();
    outln!(
        "{}: {}, submitted {}{}\n{} x {} = {}: {} done, {} running, {} pending, {} failed, {} cancelled; {} tried again\nconnected: {} with {}",
        summary.name,
        state_for_people(&summary),
        moment(summary.submitted_at),
        if summary.submitted_by.is_empty() { String::new() } else { format!(" by {}", summary.submitted_by) },
        counted(summary.configurations, "configuration"),
        counted(summary.seeds, "seed"),
        counted(counts.total, "task"),
        counts.done,
        counts.running,
        counts.pending,
        counts.failed,
        counts.cancelled,
        counted(summary.retried, "attempt"),
        counted(summary.workers.into(), "worker"),
        counted(summary.slots.into(), "slot"),
    );
    if let Some(other) = trains_another(&summary) {
        outln!("{other}");
    }
    // That no worker is connected stands above.
    if summary.workers > 0 && !summary.why_waiting.is_empty() {
        outln!("its pending tasks wait: {}", summary.why_waiting);
    }
    if !summary.stopped.is_empty() {
        let retry = format!("colearn retry {name}{}", target.typed());
        outln!("stopped: {}\nafter the cause is fixed: {retry}", summary.stopped);
    }
    if summary.priority != 0 {
        outln!("priority {}", summary.priority);
    }
    if summary.max_concurrent_tasks > 0 {
        outln!("at most {} at a time", counted(summary.max_concurrent_tasks.into(), "task"));
    }
    let left_out = match *all {
        true => String::new(),
        false => excerpt::configurations(
            &mut response.configurations,
            &format!("colearn status {name} --all{}", target.typed()),
        ),
    };
    outln!("{}", table_of_configurations(&response.configurations, width()));
    if !left_out.is_empty() {
        outln!("{left_out}");
    }
    for line in failure_lines(&response.failures) {
        outln!("{line}");
    }
    if !response.misfit.is_empty() {
        outln!(
            "nothing is trained, because the settings do not fit the data of any worker:\n{}\nthe sweep fails if no other worker connects within a minute",
            response.misfit
        );
    }
    for line in set_aside::of_sweep(&response.without_data, &response.set_aside, now(), &target.typed()) {
        outln!("{line}");
    }
    Ok(Exit::Success)
}

/// `colearn watch NAME`.
pub(crate) async fn watch(arguments: &WatchArgs) -> Outcome {
    let WatchArgs { named: Named { name, target }, plain } = arguments;
    let name = name.as_str();
    let mut connection = Connection::open_to_look(target).await?;
    if connection.is_embedded() {
        // No worker trains the sweep: there is an outcome only if the sweep has ended.
        let response = pages::sweep(&mut connection.sweeps, name, Some(1)).await?;
        if !response.sweep.is_some_and(|summary| has_ended(&summary)) {
            connection.close().await;
            return Err(Failure::new(
                Exit::Unreachable,
                format!(
                    "no worker trains `{name}`: continue it with `colearn run FILE`, or name its coordinator with --coordinator URL"
                ),
            ));
        }
    }
    let style = Style::of(*plain);
    let mut progress = Progress::new(style, &connection.sweeps, Kind::Watch);
    let left = progress.left();
    // A signal must not leave the terminal in the modes of the view.
    let mut interrupts = if style == Style::View { Some(Interrupts::install()?) } else { None };
    let interrupted = async {
        match &mut interrupts {
            Some(interrupts) => interrupts.next().await,
            None => std::future::pending().await,
        }
    };
    let followed = async {
        loop {
            match follow(&mut connection.sweeps, name, &mut progress).await {
                Ok(summary) => break Ok::<_, Failure>(summary),
                Err(failure) => {
                    connection.reconnect(target, failure, |line| progress.say(line)).await?;
                    progress.reconnected(&connection.sweeps);
                }
            }
        }
    };
    let last = tokio::select! {
        last = followed => Some(last),
        () = left.cancelled() => None,
        () = interrupted => None,
    };
    progress.finish();
    let has_left = last.is_none();
    let Some(summary) = last.transpose()?.or_else(|| progress.last().cloned()) else {
        return Ok(Exit::Interrupted);
    };
    connection.close().await;
    let counts = summary.tasks.unwrap_or_default();
    outln!(
        "{}: {}, {} of {} done, {} failed",
        summary.name,
        state_for_people(&summary),
        counts.done,
        counted(counts.total, "task"),
        counts.failed
    );
    Ok(if has_left { Exit::Interrupted } else { exit_of(&summary) })
}

/// Shows progress until the sweep has ended, or until the coordinator ends the stream.
pub(crate) async fn follow(
    client: &mut Client,
    name: &str,
    progress: &mut Progress,
) -> Result<SweepSummary, Failure> {
    let request = v1::WatchSweepRequest { name: name.to_owned() };
    let answer = client.watch_sweep(request).await;
    let mut updates = answered(client, name, answer).await?;
    let mut told = false;
    while let Some(update) = updates.message().await.map_err(|status| client.failure(&status))? {
        let Some(summary) = update.sweep else { continue };
        if let Some(other) = trains_another(&summary) {
            return Err(Failure::new(Exit::Unreachable, other));
        }
        if let Some(never) = never_runs(&summary) {
            return Err(Failure::new(Exit::Workers, never));
        }
        // A task that failed is tried again without asking: whoever watches should see early why.
        if summary.retried > 0 && !std::mem::replace(&mut told, true) {
            let newest = pages::sweep(client, name, Some(1)).await?.failures;
            if let Some(line) = failure_lines(&newest).first() {
                progress.say(&format!("{name}: {line}"));
            }
        }
        progress.update(&summary);
        if has_ended(&summary) {
            return Ok(summary);
        }
    }
    Err(Failure::new(
        Exit::Unreachable,
        format!(
            "the coordinator at {} stopped before the sweep ended; recorded results are kept, and workers continue by themselves",
            client.way().url()
        ),
    ))
}

/// The message about a sweep that this coordinator will never train.
pub(super) fn trains_another(summary: &SweepSummary) -> Option<String> {
    let SweepSummary { name, trains_only, .. } = summary;
    let waits = !trains_only.is_empty() && trains_only != name && !has_ended(summary);
    waits.then(|| {
        format!(
            "this coordinator belongs to `colearn run` and trains only its sweep `{trains_only}`: train `{name}` with `colearn run FILE` when that has ended"
        )
    })
}

/// The message about a sweep whose needs the only worker of its coordinator does not meet.
fn never_runs(summary: &SweepSummary) -> Option<String> {
    let SweepSummary { name, trains_only, why_waiting, .. } = summary;
    let connected = summary.workers > 0 && summary.tasks.unwrap_or_default().running == 0;
    let never = connected && trains_only == name && !why_waiting.is_empty();
    never.then(|| {
        format!(
            "`{name}` cannot go on here: {why_waiting}; its tasks stay pending: run it on a machine that has what they need"
        )
    })
}

/// The exit code for an ended sweep.
pub(crate) fn exit_of(summary: &SweepSummary) -> Exit {
    if summary.state() == SweepState::Complete { Exit::Success } else { Exit::Incomplete }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widest(text: &str) -> usize {
        text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
    }

    #[test]
    fn the_lists_fit_eighty_columns_whatever_the_names() {
        let long = "a-sweep-with-a-name-that-is-as-long-as-the-rules-for-names-allow";
        let counts = v1::TaskCounts { total: 100_000, done: 99_999, pending: 1, ..Default::default() };
        let sweep = |name: &str, priority| SweepSummary {
            name: name.into(),
            tasks: Some(counts),
            priority,
            submitted_at: 1_700_000_000_000,
            ..SweepSummary::default()
        };
        let short = table_of_sweeps(&[sweep("demo", 0)], 80);
        assert_eq!(short.lines().count(), 3, "{short}");
        let text = table_of_sweeps(&[sweep("demo", 0), sweep(long, -1000)], 80);
        assert!(widest(&text) <= 80 && widest(&short) <= 80, "{text}\n{short}");
        assert!(text.contains(&format!("\n{long}\n")) && text.contains("2023-11-14 22:13"), "{text}");
        assert!(text.contains("-1000") && !short.contains("priority"), "{text}\n{short}");
        let name = format!("size=paper note={}", "x".repeat(90));
        let row = |name: &str| v1::ConfigurationProgress {
            name: name.into(),
            tasks: Some(counts),
            ..v1::ConfigurationProgress::default()
        };
        let text = table_of_configurations(&[row("unimodal"), row(&name)], 80);
        assert!(widest(&text) <= 80, "{text}");
        assert_eq!(text.matches(" 99999 ").count(), 2, "{text}");
    }

    #[test]
    fn a_run_ends_when_its_only_worker_can_take_nothing() {
        let sweep = SweepSummary {
            name: "net".into(),
            trains_only: "net".into(),
            workers: 1,
            why_waiting: "the only slot cannot run its tasks: 1 has no GPU".into(),
            ..SweepSummary::default()
        };
        let told = never_runs(&sweep).unwrap();
        assert!(
            told.starts_with("`net` cannot go on here: the only slot") && told.contains("stay pending"),
            "{told}"
        );
        for goes_on in [
            SweepSummary { workers: 0, ..sweep.clone() },
            SweepSummary { why_waiting: String::new(), ..sweep.clone() },
            // Other workers may come to the coordinator of a cluster.
            SweepSummary { trains_only: String::new(), ..sweep.clone() },
            SweepSummary { tasks: Some(v1::TaskCounts { running: 1, ..Default::default() }), ..sweep },
        ] {
            assert_eq!(never_runs(&goes_on), None, "{goes_on:?}");
        }
    }
}
