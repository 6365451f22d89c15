//! Log lines of one worker on their way to the logs: at most so many per second, and others are counted.

use colearn_core::{id::WorkerId, text::counted};
use colearn_proto::v1;
use tonic::Status;

use super::{convert, rate::Rate, untrusted};
use crate::logs::{LogLine, LogSource, Logs};

/// Maximum number of log lines per second from one worker.
const LINES_A_SECOND: u32 = 1024;

/// The log lines of one worker's stream.
pub(super) struct LogIntake {
    worker: WorkerId,
    logs: Logs,
    rate: Rate,
    /// Lines that were left out since the last one that was kept.
    left_out: usize,
}

impl LogIntake {
    pub(super) fn new(worker: WorkerId, logs: Logs) -> Self {
        Self { worker, logs, rate: Rate::new(LINES_A_SECOND, LINES_A_SECOND), left_out: 0 }
    }

    /// Keeps lines if they do not come too fast. The next line that is kept follows a note of those that were not.
    pub(super) fn take(&mut self, logged: v1::LogLines) -> Result<(), Status> {
        let count = logged.lines.len();
        // Without a line members are useless. They are stored with the lines and use as much space.
        if count == 0 {
            return Ok(());
        }
        if !self.rate.take(count.max(logged.tasks.len())) {
            self.left_out += count;
            return Ok(());
        }
        let mut batch = untrusted::log_batch(&self.worker, logged).map_err(convert::invalid)?;
        if self.left_out > 0 {
            let lines = counted(self.left_out as u64, "line");
            let text = format!(
                "{lines} of this worker left out before this one: they came faster than they are kept"
            );
            let at = batch.lines[0].at;
            batch.lines.insert(0, LogLine { at, source: LogSource::Worker, text });
        }
        self.left_out = if self.logs.append(batch) { 0 } else { self.left_out + count };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::logs::LogOf;

    fn lines(texts: impl IntoIterator<Item = String>) -> v1::LogLines {
        let line = |text| v1::LogLine { at: 1, source: v1::LogSource::Trainer.into(), text };
        v1::LogLines { token: 0, tasks: Vec::new(), lines: texts.into_iter().map(line).collect() }
    }

    async fn kept(logs: &Logs, worker: &WorkerId) -> Vec<String> {
        logs.flush().await;
        let kept = logs.read(&LogOf::Worker(worker.clone()), 0, 10_000).await;
        kept.into_iter().map(|kept| kept.line.text).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn lines_that_come_too_fast_are_counted() {
        let worker = WorkerId::new("w").unwrap();
        let logs = Logs::open(None).await;
        let mut intake = LogIntake::new(worker.clone(), logs.clone());
        for part in 0..6 {
            intake.take(lines((0..200).map(|number| (200 * part + number).to_string()))).unwrap();
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        intake.take(lines(["later".to_owned(), "last".to_owned()])).unwrap();
        let kept = kept(&logs, &worker).await;
        assert_eq!(kept.len(), 1000 + 3);
        let note = "200 lines of this worker left out before this one: they came faster than they are kept";
        assert_eq!(kept[999..], ["999", note, "later", "last"]);
    }

    #[tokio::test(start_paused = true)]
    async fn lines_without_room_are_counted() {
        let worker = WorkerId::new("w").unwrap();
        let logs = Logs::open(None).await;
        let mut intake = LogIntake::new(worker.clone(), logs.clone());
        // Nothing is written before the first wait.
        for number in 0..1000 {
            intake.take(lines([number.to_string()])).unwrap();
        }
        let before = kept(&logs, &worker).await.len();
        assert!(before < 1000, "{before}");
        intake.take(lines(["last".to_owned()])).unwrap();
        let kept = kept(&logs, &worker).await;
        let note = format!("{} lines of this worker left out before this one", 1000 - before);
        assert!(kept[before].starts_with(&note), "{} {note}", kept[before]);
        assert_eq!(kept[before + 1..], ["last"]);
    }
}
