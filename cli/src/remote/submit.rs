//! `colearn submit FILE`, which `colearn run` does as well.

use std::path::Path;

use colearn_core::sweep::Sweep;
use colearn_proto::v1::{self, SweepState, SweepSummary};
use tonic::{Code, Status};

use super::{Client, words::state_word};
use crate::{
    args::Target,
    connect::{Connection, refused},
    exit::{Exit, Failure, Outcome},
};

/// `colearn submit FILE`.
pub(crate) async fn submit(file: &Path, target: &Target) -> Outcome {
    let source = read_sweep_file(file)?;
    let mut connection = Connection::open_served(target).await?;
    let summary = submit_to(&mut connection.sweeps, source, file, target).await?;
    connection.close().await;
    say!("watch it with: colearn watch {}{}", summary.name, target.typed());
    Ok(Exit::Success)
}

/// Submits and says what came of it.
pub(crate) async fn submit_to(
    client: &mut Client,
    source: String,
    file: &Path,
    target: &Target,
) -> Result<SweepSummary, Failure> {
    let request = v1::SubmitSweepRequest { source, origin: file.display().to_string() };
    let response = client.submit_sweep(request.clone()).await.map_err(|status| {
        let mut failure = file_refused(&status, &request.source, &request.origin);
        if status.code() == Code::AlreadyExists {
            failure.message += &format!(
                "; to add this file's seeds and configurations to it: colearn extend NAME {}{}",
                file.display(),
                target.typed()
            );
        }
        failure
    })?;
    let response = response.into_inner();
    for warning in &response.warnings {
        tell!("{warning}");
    }
    let summary = summary_of(response.sweep)?;
    let counts = summary.tasks.unwrap_or_default();
    if response.created {
        tell!(
            "{}: {} configurations x {} seeds = {} tasks",
            summary.name,
            summary.configurations,
            summary.seeds,
            counts.total
        );
    } else {
        tell!("{}: known already; {} of {} tasks are done", summary.name, counts.done, counts.total);
        if matches!(summary.state(), SweepState::Failed | SweepState::Cancelled) {
            tell!(
                "{}: {}; nothing more of it will run until it is told to: colearn retry {}{}",
                summary.name,
                state_word(summary.state()),
                summary.name,
                target.typed()
            );
        }
        if summary.paused {
            tell!(
                "{}: paused; nothing more of it starts until: colearn resume {}{}",
                summary.name,
                summary.name,
                target.typed()
            );
        }
    }
    Ok(summary)
}

/// The failure behind a refused sweep file. The text of a refusal is bounded: what is wrong with the file is told by this
/// program, as far as it thinks so too.
pub(super) fn file_refused(status: &Status, source: &str, origin: &str) -> Failure {
    match Sweep::parse(source, origin) {
        Err(diagnostics) if status.code() == Code::InvalidArgument => {
            Failure::new(Exit::SweepFile, diagnostics)
        }
        _ => refused(status),
    }
}

/// The sweep of an answer, which always has one.
pub(super) fn summary_of(sweep: Option<SweepSummary>) -> Result<SweepSummary, Failure> {
    sweep.ok_or_else(|| {
        Failure::new(Exit::Failure, "the coordinator's answer has no sweep; are both of one version?")
    })
}

/// Reads a sweep file.
pub(crate) fn read_sweep_file(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| {
        Failure::new(Exit::SweepFile, format!("cannot read the sweep file `{}`: {error}", file.display()))
    })
}
