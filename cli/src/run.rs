//! `colearn run FILE`: coordinator, worker and watcher in one command.

use std::ffi::OsString;

use colearn_core::{needs::Needs, sweep::Sweep, text::counted_len};
use colearn_proto::v1::SweepSummary;
use tokio_util::sync::CancellationToken;

use crate::{
    args::{Format, RunArgs, Target},
    client::Client,
    connect::{self, coordinator_failure},
    dashboard,
    data::{check_data, check_same_data},
    exit::{Exit, Failure, Outcome},
    format,
    interrupt::Interrupts,
    introduction::{first_worker, introduction},
    local_worker::{LocalWorker, find_program},
    needs, notify, output,
    plan::parse_file,
    programs,
    progress::{Progress, Style, has_ended},
    remote::{History, exit_of, failure_lines, fetch_results, follow, own_provenance, submit_to, warn},
    shown::Shown,
    view::Kind,
};

/// Runs a sweep to its end on this machine.
pub(crate) async fn run(arguments: &RunArgs) -> Outcome {
    let (source, parsed) = parse_file(&arguments.sweep_file.file)?;
    let said: Vec<String> = parsed.warnings.iter().map(ToString::to_string).collect();
    let mut sweep = parsed.sweep;
    if let Some(name) = &arguments.sweep_file.name {
        sweep.name = name.clone();
    }
    let datasets = check_data(&sweep, &arguments.data_dir)?;
    let programs = programs::digests(&sweep)?;
    let program = find_program()?;

    let mut config = connect::config(&arguments.state);
    // Unfinished sweeps of earlier runs are not continued: this command trains only its own sweep.
    config.only = Some(sweep.name.clone());
    // The worker of a killed earlier run cannot find the new port.
    config.release_leases = true;
    config.notify = notify::of_run(arguments.on_event.as_deref());
    let command = config.notify.as_ref().and_then(|rules| rules.command.clone());
    let reserved = connect::reserve_when_free(config).await?;
    let url = reserved.url();
    // Trainers load libtorch while the coordinator opens its state. The worker connects when it is supervised. It ends
    // with this process, or when it is dropped because nothing is to be trained.
    let worker = LocalWorker::start(
        program,
        worker_arguments(arguments, &sweep.needs, &url),
        arguments.state.join("worker.log"),
    )?;
    let mut running = reserved.start().await.map_err(|error| coordinator_failure(&error))?;
    if arguments.open {
        errln!("dashboard: {url}/");
        dashboard::open(&format!("{url}/sweeps/{}", sweep.name));
    }
    let target = Target { coordinator: None, access: None, state: arguments.state.clone() };
    let way = connect::way_here(running.address())?;
    let worked = async {
        let mut client = Client::connect(&way).await?;
        let summary = submit_to(&mut client, source, programs, &said, &arguments.sweep_file, &target).await?;
        let same_data = if summary.tasks.unwrap_or_default().done > 0 {
            let fetched = fetch_results(&mut client, sweep.name.as_str(), History::LeftOut).await?;
            check_same_data(&fetched.table, &datasets, &arguments.sweep_file.file)
        } else {
            Ok(())
        };
        let ended = if has_ended(&summary) {
            // Nothing is to be trained; the results are those of the data as it was.
            if let Err(failure) = same_data {
                noteln!("warning: {failure}");
            }
            Some(summary)
        } else {
            same_data?;
            // Until here there is nothing to clean up, and a signal may end the process. From here on it does not:
            // handlers are kept until the process ends, and the steps after the work are short.
            let progress = Progress::new(Style::of(arguments.plain), &client, Kind::Run);
            work(&mut client, &sweep, worker, progress, &mut Interrupts::install()?).await?
        };
        let history = History::needed(arguments.format, None);
        let fetched = fetch_results(&mut client, sweep.name.as_str(), history).await?;
        Ok::<_, Failure>((ended, fetched))
    };
    // If the coordinator cannot continue (for example on a full disk), its own error is better than those of the
    // failed calls.
    let outcome = tokio::select! {
        biased;
        ended = running.wait() => Err(match ended {
            Err(error) => coordinator_failure(&error),
            Ok(()) => Failure::new(Exit::Failure, "the coordinator stopped by itself"),
        }),
        outcome = worked => outcome,
    };
    let stopped = running.stop().await;
    // The cause comes first, if there is one, then the failed calls.
    stopped.map_err(|error| coordinator_failure(&error))?;
    if let Some(why) = command.and_then(|command| command.last_trouble()) {
        errln!("warning: the command of --on-event was not told that the sweep has ended: {why}");
    }
    let (ended, fetched) = outcome?;

    for failure in failure_lines(&fetched.failures) {
        errln!("{failure}");
    }
    let Some(summary) = ended else {
        let done: usize = fetched.table.configurations.iter().map(|row| row.n).sum();
        return Err(Failure::new(
            Exit::Interrupted,
            format!(
                "interrupted; {} kept, and the same command continues where it stopped",
                counted_len(done, "result")
            ),
        ));
    };
    warn(&fetched, arguments.format);
    let has_failures = !fetched.failures.is_empty();
    let (material, table) = fetched.into_material(own_provenance());
    let see_all = format!("colearn results {} --all{}", sweep.name, target.typed());
    let shown = match arguments.format {
        Format::Table => Shown::first(&table, false, &see_all),
        _ => Shown::default(),
    };
    match output::stream(|into| format::write(into, &material, &table, None, &shown, arguments.format)) {
        // The reader has closed the output; the exit code still reports how the sweep ended.
        Err(Failure { exit: Exit::PipeClosed, .. }) => {}
        Err(failure) => {
            let Target { state, .. } = &target;
            let message = format!(
                "{failure}; the results are kept in `{}`: colearn results {}{}",
                state.display(),
                sweep.name,
                target.typed()
            );
            return Err(failure.with_message(message));
        }
        Ok(()) => {}
    }
    if has_failures {
        noteln!("the worker's log is {}", arguments.state.join("worker.log").display());
    }
    Ok(exit_of(&summary))
}

/// Trains until the sweep has ended (returns its last state) or the user interrupts (`None`).
async fn work(
    client: &mut Client,
    sweep: &Sweep,
    worker: LocalWorker,
    mut progress: Progress,
    interrupts: &mut Interrupts,
) -> Result<Option<SweepSummary>, Failure> {
    let stop = CancellationToken::new();
    let supervised = worker.supervise(stop.clone().cancelled_owned());
    tokio::pin!(supervised);
    let trained = async {
        let worker = first_worker(client).await?;
        for line in introduction(&worker) {
            progress.say(&line);
        }
        needs::check(sweep, &worker)?;
        follow(client, sweep.name.as_str(), &mut progress).await
    };
    let outcome = tokio::select! {
        ended = trained => ended.map(Some),
        died = &mut supervised => {
            progress.finish();
            return died.map(|()| None);
        }
        () = interrupts.next() => Ok(None),
    };
    if matches!(outcome, Ok(None)) {
        progress.say("stopping; interrupt again after two seconds to stop at once");
    }
    progress.finish();
    stop.cancel();
    tokio::select! {
        stopped = &mut supervised => stopped?,
        () = interrupts.next() => {}
    }
    outcome
}

/// The arguments of the local worker. Options without a flag of `colearn run` are passed through the environment.
fn worker_arguments(arguments: &RunArgs, needs: &Needs, url: &str) -> Vec<OsString> {
    let checkpoints =
        arguments.checkpoints.clone().unwrap_or_else(|| arguments.state.join("checkpoints").into_os_string());
    let mut list: Vec<OsString> = vec![
        "--coordinator".into(),
        url.into(),
        "--data-dir".into(),
        arguments.data_dir.clone().into_os_string(),
        // The sweep file and the worker belong to the same user.
        "--allow-data-outside".into(),
        "--checkpoints".into(),
        checkpoints,
        "--device".into(),
        arguments.device.clone().into(),
        "--until-stdin-closes".into(),
        // When this process has opened its state, however long that takes, and has checked that it is to be trained.
        "--connect-when-told".into(),
        "--connect-timeout".into(),
        "0s".into(),
    ];
    for (flag, value) in [
        ("--slots", arguments.slots),
        ("--slots-per-gpu", arguments.slots_per_gpu),
        ("--threads", arguments.threads),
        ("--max-cohort", arguments.max_cohort),
    ] {
        if let Some(value) = value {
            list.push(flag.into());
            list.push(value.to_string().into());
        }
    }
    let is_set = |name: &str| colearn_command_line::variable(name).is_some();
    let slots_are_given = arguments.slots.is_some()
        || arguments.threads.is_some()
        || is_set("COLEARN_SLOTS")
        || is_set("COLEARN_THREADS");
    let cores =
        std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1));
    list.extend(needs::worker_arguments(needs, slots_are_given, cores).into_iter().map(Into::into));
    list
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn passed_on(typed: &[&str]) -> Vec<OsString> {
        let line = ["colearn", "run", "sweep.yaml"].iter().chain(typed);
        match Cli::try_parse_from(line).unwrap().command {
            Command::Run(arguments) => worker_arguments(&arguments, &Needs::default(), "http://127.0.0.1:1"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_the_worker_is_to_know_is_passed_on() {
        let typed = ["--slots", "4", "--slots-per-gpu", "2", "--threads", "3", "--max-cohort", "20"];
        let arguments = passed_on(&typed);
        for pair in typed.chunks(2) {
            assert!(arguments.windows(2).any(|found| found == pair), "{pair:?} in {arguments:?}");
        }
        assert!(!passed_on(&[]).iter().any(|argument| argument == "--slots-per-gpu"));
    }
}
