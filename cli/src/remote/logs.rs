//! `colearn logs TASK` and `colearn logs --worker WORKER`.

use colearn_core::names::as_argument;
use colearn_proto::v1::{self, LogSource, RecordedLine, get_log_request::Of};
use tonic::Code;

use super::{
    Client, json,
    labels::{log_moment, log_time, one_line, source_word},
    request::answered,
    resolve,
};
use crate::{
    args::{LogArgs, TaskPath},
    connect::Connection,
    exit::{Exit, Failure, Outcome},
    output::Output,
};

/// `colearn logs`.
pub(crate) async fn logs(arguments: &LogArgs) -> Outcome {
    let LogArgs { task, worker, target, follow, json } = arguments;
    let of = match (task, worker) {
        (Some(task), _) => Log::Task(task),
        (None, Some(worker)) => Log::Worker(worker),
        (None, None) => return Err(Failure::new(Exit::Usage, "name a task, or a worker with --worker")),
    };
    let mut connection = Connection::open_to_look(target).await?;
    // No new lines can arrive.
    let alone = connection.is_embedded();
    let follow = *follow && !alone;
    let mut printer = Printer { out: Output::new(), json: *json, last: 0, found: false, headed: *json };
    while let Err(failure) = printer.print(&mut connection.sweeps, &of, follow).await {
        if !follow {
            return Err(failure);
        }
        connection.reconnect(target, failure, |line| noteln!("{line}")).await?;
    }
    let missing = match of {
        Log::Worker(worker) if !printer.found => Some(unknown(&mut connection.sweeps, worker).await),
        _ => None,
    };
    connection.close().await;
    if let Some(missing) = missing {
        return Err(missing);
    }
    if !printer.found {
        noteln!("no log lines of it are kept");
    }
    if alone && arguments.follow {
        noteln!(
            "no coordinator uses the state folder `{}`: there is nothing to follow",
            target.state.display()
        );
    }
    Ok(Exit::Success)
}

/// The log to print.
enum Log<'a> {
    Task(&'a TaskPath),
    Worker(&'a str),
}

/// Prints lines and keeps the number of the last one, so that a new connection can continue after it.
struct Printer {
    out: Output,
    json: bool,
    /// The number of the last printed line.
    last: u64,
    found: bool,
    /// Whether it was told whose log it is.
    headed: bool,
}

impl Printer {
    /// Prints the lines after the last one; with `follow`, until nothing more will be logged.
    async fn print(&mut self, client: &mut Client, of: &Log<'_>, follow: bool) -> Result<(), Failure> {
        let mut parts = match of {
            Log::Task(path) => {
                let (task, name) = task(client, path).await?;
                if !std::mem::replace(&mut self.headed, true) {
                    noteln!("log of {}/{}/{}", path.sweep, as_argument(&one_line(&name)), task.seed);
                }
                log_of_task(client, path.sweep.as_str(), task, follow, self.last).await?
            }
            Log::Worker(worker) => of_worker(client, worker, follow, self.last).await?,
        };
        while let Some(part) = parts.message().await.map_err(|status| client.failure(&status))? {
            for line in &part.lines {
                let text = if self.json { json::line(line).to_string() } else { plain(line) };
                self.out.write(&text)?;
                self.out.write("\n")?;
                self.last = self.last.max(line.number);
            }
            self.found |= !part.lines.is_empty();
            self.out.flush()?;
        }
        Ok(())
    }
}

type Parts = tonic::Streaming<v1::GetLogResponse>;

/// The task that a person names, and the name of its configuration.
async fn task(client: &mut Client, path: &TaskPath) -> Result<(v1::TaskReference, String), Failure> {
    let configuration = resolve::configuration(client, path.sweep.as_str(), &path.task.configuration).await?;
    let task = v1::TaskReference { configuration: configuration.configuration, seed: path.task.seed };
    Ok((task, configuration.name))
}

/// The log of a task, after the line with the number `after`; with `follow`, also what will be logged.
///
/// # Errors
/// If there is no such task, or no answer.
pub(crate) async fn log_of_task(
    client: &mut Client,
    name: &str,
    task: v1::TaskReference,
    follow: bool,
    after: u64,
) -> Result<Parts, Failure> {
    let of = Of::Task(v1::TaskOfSweep { name: name.to_owned(), task: Some(task) });
    let answer = client.get_log(v1::GetLogRequest { of: Some(of), follow, after }).await;
    answered(client, name, answer).await
}

async fn of_worker(client: &mut Client, wanted: &str, follow: bool, after: u64) -> Result<Parts, Failure> {
    let request = v1::GetLogRequest { of: Some(Of::Worker(wanted.to_owned())), follow, after };
    match client.get_log(request).await {
        // A text that cannot be a worker's name is an unknown worker.
        Err(status) if status.code() == Code::InvalidArgument => Err(unknown(client, wanted).await),
        answer => Ok(answer.map_err(|status| client.failure(&status))?.into_inner()),
    }
}

/// The error for an unknown worker, with the known ones.
async fn unknown(client: &mut Client, wanted: &str) -> Failure {
    match resolve::worker(client, wanted).await {
        Err(unlisted) => unlisted,
        Ok(worker) => Failure::new(Exit::Failure, format!("no log lines of worker {worker} are kept")),
    }
}

fn plain(recorded: &RecordedLine) -> String {
    let line = recorded.line.clone().unwrap_or_default();
    let source = LogSource::try_from(line.source).unwrap_or_default();
    format!(
        "{}  {}  {:7}  {}",
        log_moment(line.at),
        recorded.worker,
        source_word(source),
        one_line(&line.text)
    )
}

/// A line for a narrow screen that shows the log of one task.
pub(crate) fn short_log_line(recorded: &RecordedLine) -> String {
    let line = recorded.line.clone().unwrap_or_default();
    format!("{} {}", log_time(line.at), one_line(&line.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_with_when_and_who() {
        let line = |source: LogSource, token, text: &str| RecordedLine {
            line: Some(v1::LogLine { at: 1_700_000_000_123, source: source.into(), text: text.into() }),
            worker: "gpu01-ab".into(),
            token,
            number: 0,
        };
        assert_eq!(
            plain(&line(LogSource::Trainer, 7, "loss is \u{1b}[31mNaN")),
            "2023-11-14 22:13:20.123  gpu01-ab  trainer  loss is  [31mNaN"
        );
        let worker = line(LogSource::Worker, 0, "hello");
        assert_eq!(plain(&worker), "2023-11-14 22:13:20.123  gpu01-ab  worker   hello");
        let object = json::line(&worker);
        assert_eq!(object["token"], serde_json::Value::Null);
        assert_eq!((object["source"].as_str(), object["text"].as_str()), (Some("worker"), Some("hello")));
    }
}
