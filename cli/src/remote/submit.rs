//! `colearn submit FILE`; `colearn run` uses it too.

use std::{collections::HashMap, io::Read as _, path::Path};

use colearn_core::{sweep::Sweep, text::counted};
use colearn_proto::v1::{self, SweepState, SweepSummary};
use tonic::{Code, Status};

use super::{Client, labels::state_word, request::summary_of};
use crate::{
    args::{SubmitArgs, SweepFileArgs, Target, folder_of, is_stdin, origin_of},
    connect::Connection,
    data::check_data_that_is_here,
    exit::{Exit, Failure, Outcome},
    programs,
};

/// `colearn submit FILE`.
pub(crate) async fn submit(arguments: &SubmitArgs) -> Outcome {
    let SubmitArgs { sweep_file, target, data_dir } = arguments;
    let source = read_sweep_file(&sweep_file.file)?;
    // Mistakes in the file are reported by the coordinator, which may be of another version.
    let mut digests = HashMap::new();
    if let Ok(parsed) = Sweep::parse_in(&source, &origin_of(&sweep_file.file), &folder_of(&sweep_file.file)) {
        check_data_that_is_here(&parsed.sweep, data_dir)?;
        digests = programs::digests_that_are_here(&parsed.sweep);
    }
    let mut connection = Connection::open_served(target).await?;
    let summary = submit_to(&mut connection.sweeps, source, digests, &[], sweep_file, target).await?;
    connection.close().await;
    outln!("watch it with: colearn watch {}{}", summary.name, target.typed());
    Ok(Exit::Success)
}

/// Submits the sweep and prints the outcome, and the warnings that were not `said` before.
pub(crate) async fn submit_to(
    client: &mut Client,
    source: String,
    program_digests: HashMap<String, String>,
    said: &[String],
    sweep_file: &SweepFileArgs,
    target: &Target,
) -> Result<SweepSummary, Failure> {
    let SweepFileArgs { file, name, replace, changed_program } = sweep_file;
    let request = v1::SubmitSweepRequest {
        source,
        origin: origin_of(file),
        name: name.as_ref().map(ToString::to_string).unwrap_or_default(),
        replace: *replace,
        folder: folder_of(file),
        program_digests,
        changed_program: *changed_program,
    };
    let response = client.submit_sweep(request.clone()).await.map_err(|status| {
        let mut failure = file_refused(client, &status, &request.source, file);
        let called = || {
            let in_file = || Sweep::parse_in(&request.source, &request.origin, &request.folder);
            match name {
                Some(name) => name.to_string(),
                None => in_file().map_or_else(|_| "NAME".to_owned(), |parsed| parsed.sweep.name.to_string()),
            }
        };
        // Sweeps with programs are refused with this code for no other reason.
        if status.code() == Code::OutOfRange && !request.program_digests.is_empty() {
            failure.message += &format!(
                "\ngo on with the changed program: the same command with --changed-program\nkeep both: the same command with --name {}-2\nstart over, without its results: the same command with --replace",
                called()
            );
        }
        if status.code() == Code::AlreadyExists {
            let called = called();
            failure.message += &format!(
                "\nkeep both: the same command with --name {called}-2\nadd to it, if this file has everything of it and more: colearn extend {called} {}{}\nstart over, without its results: the same command with --replace",
                file.display(),
                target.typed()
            );
        }
        if status.code() == Code::FailedPrecondition {
            failure.message += &format!(
                "; run it when that has ended, with: colearn run {}{}",
                file.display(),
                target.typed()
            );
        }
        failure
    })?;
    let response = response.into_inner();
    for warning in response.warnings.iter().filter(|warning| !said.contains(warning)) {
        noteln!("{warning}");
    }
    let summary = summary_of(response.sweep)?;
    let counts = summary.tasks.unwrap_or_default();
    // The worker of a `colearn run` comes later.
    if summary.trains_only.is_empty() && !summary.why_waiting.is_empty() {
        noteln!("{}: its tasks wait: {}", summary.name, summary.why_waiting);
    }
    if response.created {
        noteln!(
            "{}: {} x {} = {}",
            summary.name,
            counted(summary.configurations, "configuration"),
            counted(summary.seeds, "seed"),
            counted(counts.total, "task")
        );
    } else {
        noteln!("{}: known already; {} of {} done", summary.name, counts.done, counted(counts.total, "task"));
        if matches!(summary.state(), SweepState::Failed | SweepState::Cancelled) {
            noteln!(
                "{}: {}; no more of its tasks will run until: colearn retry {}{}",
                summary.name,
                state_word(summary.state()),
                summary.name,
                target.typed()
            );
        }
        if summary.paused {
            noteln!(
                "{}: paused; no new tasks start until: colearn resume {}{}",
                summary.name,
                summary.name,
                target.typed()
            );
        }
    }
    Ok(summary)
}

/// The failure for a refused sweep file. The length of a refusal is limited, so this program shows its own
/// diagnostics of the file, if it finds errors too.
pub(super) fn file_refused(client: &Client, status: &Status, source: &str, file: &Path) -> Failure {
    if status.code() != Code::InvalidArgument {
        return client.failure(status);
    }
    let origin = origin_of(file);
    match Sweep::parse_in(source, &origin, &folder_of(file)) {
        Err(diagnostics) => Failure::invalid_sweep(&diagnostics),
        // The coordinator is of another version, or what it refuses is not a mistake in the file.
        Ok(_) => {
            let why = status.message();
            Failure::new(Exit::SweepFile, format!("the coordinator does not accept `{origin}`: {why}"))
        }
    }
}

/// Reads a sweep file.
pub(crate) fn read_sweep_file(file: &Path) -> Result<String, Failure> {
    let unreadable = |why: String| {
        Failure::new(Exit::SweepFile, format!("cannot read the sweep file `{}`: {why}", origin_of(file)))
    };
    let bytes = if is_stdin(file) {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(file)
    };
    let bytes = bytes.map_err(|error| unreadable(error.to_string()))?;
    if is_utf16(&bytes) {
        let remedy = "save it as UTF-8, or convert it with: iconv -f UTF-16 -t UTF-8";
        return Err(unreadable(format!("it is in UTF-16: {remedy}")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let (good, bad) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        unreadable(format!("line {line} is not UTF-8 (byte {:#04x}): save it in that encoding", bad[0]))
    })
}

/// Whether a text is in UTF-16: by its byte order mark, or because many of its bytes are zero.
fn is_utf16(bytes: &[u8]) -> bool {
    let zeros = bytes.iter().filter(|byte| **byte == 0).count();
    matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) || (zeros > 0 && zeros * 3 > bytes.len())
}
