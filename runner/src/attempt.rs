//! One attempt at a task: from its settings to what the agent is told in the end.

use std::{
    collections::BTreeMap,
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use colearn_core::{
    failure::{Failure, FailureReason},
    result::TaskResult,
    settings::{
        ProgramSettings, ResultSource,
        placeholders::{PlaceholderValues, task_name},
    },
    text::{counted_len, one_line},
};
use colearn_trainer_protocol::{Event, Member};

use crate::{
    collected::Collected,
    digest::{files_digest, last_changed},
    folder::AttemptFolder,
    git,
    history::History,
    metrics_file::MetricsFile,
    outcome::Verdict,
    pattern::Pattern,
    place::{self, Place, text_of},
    process::Program,
    result_file::{Format, ResultFile},
    run::Run,
    session::{Awaited, Session},
    start,
};

/// Everything about the task that is known before the program starts.
struct Prepared {
    digest: String,
    /// The names of its files, the last changed first, if the digest is not the expected one.
    files: Vec<String>,
    commit: String,
    place: Place,
    history: History,
}

/// Works on a task, and tells the agent how it ends, unless nobody wants it any more.
pub(crate) fn train(session: &mut Session, member: &Member) {
    session.begin(member.task);
    let begun = Instant::now();
    let event = match attempt(session, member, begun) {
        Err(failure) => Event::Failed { task: member.task, failure },
        Ok(None) => return,
        Ok(Some(event)) => event,
    };
    // Lines after the end of the task would be taken for those of the next one.
    session.log.flush();
    if !session.is_unwanted() {
        session.agent.emit(&event);
    }
}

/// The last event of an attempt; none if nobody wants it any more.
fn attempt(session: &mut Session, member: &Member, begun: Instant) -> Result<Option<Event>, Failure> {
    let Some(settings) = member.settings.program() else {
        let why = "this trainer runs programs, and the task is of a network";
        return Err(Failure::new(FailureReason::Settings, why));
    };
    let pattern = match &settings.result {
        Some(ResultSource::Pattern(pattern)) => {
            Some(Pattern::new(pattern).map_err(|why| Failure::new(FailureReason::Settings, why))?)
        }
        _ => None,
    };
    let name = format!("{}-{}", task_name(member.task), member.attempt);
    let folder = session.folder.attempt(&name).map_err(|error| of_folder(&error))?;
    let Some(prepared) = prepare(session, member, settings, &folder)? else { return Ok(None) };
    let Prepared { digest, files, commit, place, history } = prepared;
    session.agent.emit(&Event::Opened { data_set: settings.name(), digest: digest.clone() });
    if !member.data_digest.is_empty() && member.data_digest != digest {
        return Err(changed(settings, &digest, &member.data_digest, files));
    }
    if session.parks() {
        return Ok(Some(Event::Parked { task: member.task }));
    }
    let mut run = launch(session, member, settings, &folder, place, history, pattern)?;
    run.follow(session);
    let seconds = begun.elapsed().as_secs_f64();
    let verdict = run.verdict(session, settings);
    let (place, collected) = run.into_parts();
    if session.is_unwanted() {
        // The agent has ended, and the task goes on from its checkpoint elsewhere. An abandoned one may be done there.
        if session.agent.ended.is_some() && place.is_near() && collected.is_unsaved {
            // Nobody is left to hear of an error.
            let _ = place.save(&collected.history);
        }
        return Ok(None);
    }
    let resumed_after = collected.history.resumed_after.clone();
    let history = collected.history;
    Ok(Some(match verdict {
        Verdict::Finished(metrics) => {
            let result = result(session, metrics, &history, seconds, digest, commit, resumed_after);
            Event::Finished { task: member.task, result: Box::new(result) }
        }
        Verdict::Failed(failure) => {
            keep(session, place, history);
            Event::Failed { task: member.task, failure }
        }
        Verdict::Parked => {
            keep(session, place, history);
            Event::Parked { task: member.task }
        }
    }))
}

/// Looks at the program's files and fetches what earlier attempts left.
fn prepare(
    session: &mut Session,
    member: &Member,
    settings: &ProgramSettings,
    folder: &AttemptFolder,
) -> Result<Option<Prepared>, Failure> {
    let (settings, store, task) = (settings.clone(), session.store.clone(), member.task);
    let expected = member.data_digest.clone();
    let temporary = place::temporary(folder);
    let work = move || {
        let mut warnings = Vec::new();
        let prepared =
            files_digest(&settings).map_err(|error| Failure::new(FailureReason::Data, error.to_string()));
        let prepared = prepared.and_then(|digest| {
            let (place, history) =
                Place::prepare(store, task, temporary, &mut |warning| warnings.push(warning))
                    .map_err(|error| of_folder(&error))?;
            let commit = git::commit(Path::new(&settings.directory));
            let is_changed = !expected.is_empty() && expected != digest;
            let files = if is_changed { last_changed(&settings) } else { Vec::new() };
            Ok(Prepared { digest, files, commit, place, history })
        });
        (prepared, warnings)
    };
    match session.in_background(work) {
        Awaited::Done((prepared, warnings)) => {
            warnings.iter().for_each(|warning| session.log.warn(warning));
            prepared.map(Some)
        }
        Awaited::Unwanted => Ok(None),
        Awaited::Panicked => {
            Err(Failure::new(FailureReason::Crash, "the preparation of the program has failed"))
        }
    }
}

/// Starts the program.
fn launch(
    session: &mut Session,
    member: &Member,
    settings: &ProgramSettings,
    folder: &AttemptFolder,
    place: Place,
    history: History,
    pattern: Option<Pattern>,
) -> Result<Run, Failure> {
    let metrics = MetricsFile::make(folder.join("metrics.jsonl"), task_name(member.task));
    let metrics = metrics.map_err(|error| of_folder(&error))?;
    let task_file = folder.join("task.json");
    let texts = || Ok([text_of(&place.path)?, text_of(metrics.path())?, text_of(&task_file)?]);
    let [checkpoint_dir, metrics_path, task_path] = texts().map_err(|error: io::Error| of_folder(&error))?;
    let values = PlaceholderValues {
        parameters: &settings.parameters,
        task: member.task,
        attempt: member.attempt,
        checkpoint_dir,
    };
    fs::write(&task_file, start::task_file(&values, metrics_path)).map_err(|error| of_folder(&error))?;
    let files = start::Files { task: task_path, metrics: metrics_path };
    let log = &mut session.log;
    let mut command = start::command(settings, &values, files, &mut |warning| log.warn(&warning))?;
    let result_file = match &settings.result {
        Some(ResultSource::Json(path)) => Some((path, Format::Json)),
        Some(ResultSource::Csv(path)) => Some((path, Format::Csv)),
        Some(ResultSource::Pattern(_)) | None => None,
    };
    let result_file = match result_file {
        None => None,
        Some((path, format)) => {
            let path = values.text(path).map_err(|error| {
                Failure::new(FailureReason::Settings, format!("`{path}`: {error}; {}", error.help))
            })?;
            Some(ResultFile::before_start(Path::new(&settings.directory).join(path), format))
        }
    };
    let program = Program::start(&mut command).map_err(|error| start::not_started(&command, &error))?;
    Ok(Run::new(
        program,
        member.task,
        place,
        metrics,
        Collected::new(history, settings.pattern()),
        pattern,
        result_file,
        settings.timeout,
    ))
}

fn result(
    session: &Session,
    metrics: BTreeMap<String, f64>,
    history: &History,
    seconds: f64,
    data_digest: String,
    commit: String,
    resumed_after: Vec<u32>,
) -> TaskResult {
    TaskResult {
        metrics: metrics.into(),
        history: history.records(),
        seconds,
        device: session.device.clone(),
        environment: session.environment.clone().into(),
        data_digest,
        commit,
        resumed_after,
        ..TaskResult::default()
    }
}

/// Keeps what another attempt needs.
fn keep(session: &mut Session, place: Place, history: History) {
    let work = move || {
        let mut warnings = Vec::new();
        place.keep(&history, &mut |warning| warnings.push(warning));
        warnings
    };
    let begun = Instant::now();
    if let Awaited::Done(warnings) = session.in_background(work) {
        warnings.iter().for_each(|warning| session.log.warn(warning));
    }
    let took = begun.elapsed();
    if took > Duration::from_secs(10) {
        session.log.line(&format!("the checkpoint was kept within {} s", took.as_secs()));
    }
}

/// Number of files that a message names.
const FILES_NAMED: usize = 8;

fn changed(settings: &ProgramSettings, here: &str, expected: &str, mut files: Vec<String>) -> Failure {
    let short = |digest: &str| digest.chars().take(12).collect::<String>();
    let here =
        if here.is_empty() { "no files here".to_owned() } else { format!("the digest {} here", short(here)) };
    let others = files.len().saturating_sub(FILES_NAMED);
    files.truncate(FILES_NAMED);
    files.iter_mut().for_each(|name| *name = one_line(name));
    if others > 0 {
        files.push(counted_len(others, "other file"));
    }
    let named = match files.len() {
        0 => String::new(),
        _ => format!("; its files by the time of their last change: {}", files.join(", ")),
    };
    let written = match files.len() {
        0 | 1 => "",
        _ => "name the program's own files in `program.files` if tasks write others of these, ",
    };
    let why = format!(
        "the program has changed since the first result of this sweep: {} has {here}, and the results are of {}{named}; restore its files, {written}or submit the sweep file again with --changed-program",
        settings.name(),
        short(expected)
    );
    Failure::new(FailureReason::Data, why)
}

/// The runner's own temporary files cannot be written. That says nothing about the task.
fn of_folder(error: &io::Error) -> Failure {
    let folder = std::env::temp_dir();
    let why = format!(
        "the temporary files of the task cannot be made: {error}; make room in {}, or set TMPDIR for the worker",
        folder.display()
    );
    Failure::new(FailureReason::Crash, why)
}
