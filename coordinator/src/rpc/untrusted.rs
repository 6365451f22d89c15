//! What a worker sends, as much of it as is acceptable from a stranger: bounded, and printable wherever people see it.

use colearn_core::{
    failure::Failure,
    id::{LeaseToken, WorkerId},
    result::TaskResult,
    scheduler::SlotOffer,
    text::{printable, printable_lines, shortened},
    time::Timestamp,
};
use colearn_proto::{
    convert::ConvertError,
    v1::{self, work_request},
    worker::{DataSets, FromWorker, Hello, Report},
};

use crate::logs::{LogBatch, LogLine, LogSource};

/// The most slots of a worker.
const MAX_SLOTS: usize = 1024;
/// The most tasks that a worker gets in one lease, whatever it offers: more would not fit into one message.
const MAX_COHORT: u32 = 1024;
/// The most data sets of a worker, and the longest name of one, in bytes.
const MAX_DATA_SETS: usize = DataSets::MAX_KNOWN;
const MAX_DATA_SET_NAME: usize = DataSets::MAX_NAME_BYTES;
/// The most warnings of a worker that are kept.
const MAX_WARNINGS: usize = 8;
/// The most bytes of a warning that are kept.
const MAX_WARNING: usize = 1024;
/// The longest name of a host, a version or a device, in bytes.
const MAX_NAME: usize = 256;
/// The most leases, and tasks of a lease, that a connecting worker may hold.
const MAX_HELD: usize = 65_536;
/// The most lines in one message of logs, and the most bytes of each line that are kept.
const MAX_LINES: usize = 256;
const MAX_LINE_BYTES: usize = 4096;
/// The most tasks that one message of logs may be about: more than a lease has.
const MAX_LOGGED_TASKS: usize = 1024;

/// The hello of a worker.
pub(super) fn hello(wire: v1::Hello) -> Result<Hello, ConvertError> {
    limit("slots", wire.slots.len(), MAX_SLOTS)?;
    limit("held", wire.held.len(), MAX_HELD)?;
    for lease in &wire.held {
        limit("held tasks", lease.tasks.len(), MAX_HELD)?;
    }
    for slot in &wire.slots {
        limit("device", slot.device.len(), MAX_NAME)?;
    }
    limit("host", wire.host.len(), MAX_NAME)?;
    limit("version", wire.version.len(), MAX_NAME)?;
    let hello = Hello::try_from(wire)?;
    let slot = |slot: SlotOffer| SlotOffer {
        device: printable(slot.device),
        max_cohort: slot.max_cohort.min(MAX_COHORT),
        ..slot
    };
    let warning = |text| shortened(&printable(text), MAX_WARNING);
    Ok(Hello {
        host: printable(hello.host),
        version: printable(hello.version),
        slots: hello.slots.into_iter().map(slot).collect(),
        warnings: hello.warnings.into_iter().take(MAX_WARNINGS).map(warning).collect(),
        ..hello
    })
}

/// A message of a worker after its hello.
pub(super) fn from_worker(wire: work_request::Message) -> Result<FromWorker, ConvertError> {
    if let work_request::Message::FreeSlots(free) = &wire {
        limit("slots", free.slots.len(), MAX_SLOTS)?;
    }
    if let work_request::Message::DataSets(data_sets) = &wire {
        limit("data sets", data_sets.known.len(), MAX_DATA_SETS)?;
        for data_set in &data_sets.known {
            limit("name of a data set", data_set.name.len(), MAX_DATA_SET_NAME)?;
            limit("digest", data_set.digest.len(), MAX_NAME)?;
        }
    }
    Ok(match FromWorker::try_from(wire)? {
        FromWorker::DataSets(DataSets { known, complete }) => {
            let known = known.into_iter().map(|(name, digest)| (printable(name), digest.map(printable)));
            FromWorker::DataSets(DataSets { known: known.collect(), complete })
        }
        FromWorker::Report(Report::Finished { token, task, result }) => {
            let result = Box::new(printable_names(*result));
            FromWorker::Report(Report::Finished { token, task, result })
        }
        FromWorker::Report(Report::Failed { token, task, failure }) => {
            let failure = Failure::new(failure.reason, printable_lines(failure.message));
            FromWorker::Report(Report::Failed { token, task, failure })
        }
        message => message,
    })
}

/// Names in a result are shown to people, too.
fn printable_names(result: TaskResult) -> TaskResult {
    TaskResult {
        metrics: result.metrics.into_iter().map(|(name, value)| (printable(name), value)).collect(),
        classes: result.classes.into_iter().map(printable).collect(),
        device: printable(result.device),
        data_digest: printable(result.data_digest),
        weights_digest: printable(result.weights_digest),
        ..result
    }
}

/// Lines that a worker logged. What is too long is cut, what could play with a terminal is left out.
pub(super) fn log_batch(worker: &WorkerId, logged: v1::LogLines) -> Result<LogBatch, ConvertError> {
    limit("lines", logged.lines.len(), MAX_LINES)?;
    limit("tasks", logged.tasks.len(), MAX_LOGGED_TASKS)?;
    let line = |line: v1::LogLine| LogLine {
        at: Timestamp(line.at),
        source: match line.source() {
            v1::LogSource::Trainer => LogSource::Trainer,
            v1::LogSource::Worker | v1::LogSource::Unspecified => LogSource::Worker,
        },
        text: shortened(&printable(line.text), MAX_LINE_BYTES),
    };
    Ok(LogBatch {
        worker: worker.clone(),
        token: LeaseToken(logged.token),
        tasks: logged.tasks.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        lines: logged.lines.into_iter().map(line).collect(),
    })
}

fn limit(field: &'static str, length: usize, limit: usize) -> Result<(), ConvertError> {
    if length > limit { Err(ConvertError::TooLarge { field, length, limit }) } else { Ok(()) }
}
