//! Sends log lines to people.

use std::time::Duration;

use colearn_core::scheduler::TaskState;
use colearn_proto::v1;
use tokio::time::timeout;
use tonic::Status;

use super::{context::Rpc, parts::Parts, query};
use crate::logs::{KeptLine, LogOf, LogSource};

/// Maximum number of lines and of bytes of one message to a person: a client that does not read holds one message.
const PAGE: u32 = 64;
const PAGE_BYTES: usize = 64 << 10;
/// Interval of the checks whether a followed task has ended.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// How long to wait for the last lines of a task: a worker sends lines four times per second, and reports at once.
const LAST_LINES: Duration = Duration::from_millis(750);

fn recorded(kept: KeptLine) -> v1::RecordedLine {
    let source = match kept.line.source {
        LogSource::Worker => v1::LogSource::Worker,
        LogSource::Trainer => v1::LogSource::Trainer,
    };
    let line = v1::LogLine { at: kept.line.at.0, source: source.into(), text: kept.line.text };
    v1::RecordedLine {
        line: Some(line),
        worker: kept.worker.to_string(),
        token: kept.token.0,
        number: kept.number,
    }
}

/// The number of lines that fit into one message; at least one.
fn as_many_as_fit(lines: &[KeptLine]) -> usize {
    let mut bytes = 0;
    let fits = |kept: &&KeptLine| {
        bytes += kept.line.text.len();
        bytes <= PAGE_BYTES
    };
    lines.iter().take_while(fits).count().max(1)
}

/// Sends the stored lines of a log after line `after`, and new lines if the log is followed.
pub(super) async fn stream(
    rpc: Rpc,
    of: LogOf,
    follow: bool,
    mut after: u64,
    mut lines: Parts<v1::GetLogResponse>,
) {
    let mut written = rpc.logs.written();
    let mut over = !follow;
    let mut ran = false;
    // Lines that were logged before the request must be included.
    rpc.logs.flush().await;
    loop {
        written.mark_unchanged();
        loop {
            if lines.ready().await.is_err() {
                return;
            }
            let mut page = rpc.logs.read(&of, after, PAGE).await;
            page.truncate(as_many_as_fit(&page));
            let Some(last) = page.last() else { break };
            after = last.number;
            let page = v1::GetLogResponse { lines: page.into_iter().map(recorded).collect() };
            if lines.send(page).await.is_err() {
                return;
            }
        }
        if over {
            return;
        }
        match has_ended(&rpc, &of).await {
            Ok(ended) => over = ended,
            Err(status) => return lines.fail(status).await,
        }
        if over {
            // Its last lines may have arrived in the meantime, or are on their way.
            if ran && timeout(LAST_LINES, lines.closed()).await.is_ok() {
                return;
            }
            rpc.logs.flush().await;
        }
        ran = true;
        if !over {
            tokio::select! {
                biased;
                () = lines.closed() => return,
                changed = timeout(BETWEEN_LOOKS, written.changed()) => {
                    if matches!(changed, Ok(Err(_))) {
                        // Without an error this would look like the end of the task.
                        return lines.fail(query::stopped()).await;
                    }
                }
            }
        }
    }
}

/// Whether no more lines will be logged; never known for a worker.
async fn has_ended(rpc: &Rpc, of: &LogOf) -> Result<bool, Status> {
    let LogOf::Task(task) = *of else { return Ok(false) };
    // The engine does not know the task states of a settled sweep: the task has ended.
    let running = |state| matches!(state, TaskState::Pending { .. } | TaskState::Running { .. });
    rpc.ask(move |scheduler| !scheduler.state_of(task).is_some_and(running)).await
}
