//! Checks the messages of workers, which are not trusted: sizes are bounded, and texts that people see are printable.

use std::{collections::BTreeSet, sync::Arc};

use colearn_core::{
    failure::Failure,
    id::{LeaseToken, WorkerId},
    needs,
    result::{EpochRecord, TaskResult, curve},
    scheduler::SlotOffer,
    text::{printable, printable_lines, shortened},
    time::Timestamp,
};
use colearn_proto::{
    convert::ConvertError,
    v1::{self, work_request},
    worker::{DataSetShape, DataSets, FromWorker, Hello, KnownDataSet, Report},
};

use crate::logs::{LogBatch, LogLine, LogSource};

/// Maximum number of slots of a worker.
const MAX_SLOTS: usize = 1024;
/// Maximum number of different offers of a worker's slots: the scheduler compares needs with each of them.
const MAX_DIFFERENT_OFFERS: usize = 64;
/// Maximum number of tasks that a worker gets in one lease, however many it offers: more would not fit into one
/// message.
const MAX_COHORT: u32 = 1024;
/// Maximum number of data sets of a worker, and maximum length of their names in bytes.
const MAX_DATA_SETS: usize = DataSets::MAX_KNOWN;
const MAX_DATA_SET_NAME: usize = DataSets::MAX_NAME_BYTES;
/// Maximum number of warnings of a worker that are kept.
const MAX_WARNINGS: usize = 8;
/// Maximum number of bytes of a warning that are kept.
const MAX_WARNING: usize = 1024;
/// Maximum length of the name of a host, a version or a device, in bytes.
const MAX_NAME: usize = 256;
/// Maximum number of leases, and of tasks of a lease, that a connecting worker may hold.
const MAX_HELD: usize = 65_536;
/// Maximum number of lines in one message of logs, and of bytes of each line that are kept.
const MAX_LINES: usize = 256;
const MAX_LINE_BYTES: usize = 4096;
/// Maximum number of tasks that one message of logs may be about: more than a lease has.
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
    limit("labels", wire.labels.len(), needs::MAX_LABELS)?;
    for label in &wire.labels {
        limit("label", label.len(), needs::MAX_LABEL_BYTES)?;
    }
    let labels = wire.labels.into_iter().map(printable).collect();
    let wire = v1::Hello { labels, ..wire };
    limit("host", wire.host.len(), MAX_NAME)?;
    limit("version", wire.version.len(), MAX_NAME)?;
    let hello = Hello::try_from(wire)?;
    let different: BTreeSet<&needs::Offers> = hello.slots.iter().map(|slot| &slot.offers).collect();
    limit("different offers of slots", different.len(), MAX_DIFFERENT_OFFERS)?;
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
pub(super) fn from_worker(mut wire: work_request::Message) -> Result<FromWorker, ConvertError> {
    if let work_request::Message::Epoch(v1::EpochReport { record: Some(record), .. }) = &mut wire
        && record.values.len() > curve::MAX_CURVES
    {
        // It is progress all the same; the task's result will be refused.
        record.values.clear();
    }
    if let work_request::Message::FreeSlots(free) = &wire {
        limit("slots", free.slots.len(), MAX_SLOTS)?;
    }
    if let work_request::Message::DataSets(data_sets) = &wire {
        limit("data sets", data_sets.known.len(), MAX_DATA_SETS)?;
        for data_set in &data_sets.known {
            limit("name of a data set", data_set.name.len(), MAX_DATA_SET_NAME)?;
            limit("digest", data_set.digest.len(), MAX_NAME)?;
            limit("modalities", data_set.modalities.len(), DataSets::MAX_MODALITIES)?;
            for modality in &data_set.modalities {
                limit("name of a modality", modality.len(), MAX_NAME)?;
            }
        }
    }
    Ok(match FromWorker::try_from(wire)? {
        FromWorker::DataSets(DataSets { known, complete }) => {
            let shape = |shape: DataSetShape| DataSetShape {
                modalities: shape.modalities.into_iter().map(printable).collect(),
                ..shape
            };
            let data_set = |(name, known): (String, KnownDataSet)| {
                let known =
                    KnownDataSet { digest: known.digest.map(printable), shape: known.shape.map(shape) };
                (printable(name), known)
            };
            FromWorker::DataSets(DataSets { known: known.into_iter().map(data_set).collect(), complete })
        }
        FromWorker::Epoch { token, task, record, epochs } => {
            FromWorker::Epoch { token, task, record: printable_curves(record), epochs }
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

/// Removes unprintable characters from the texts in a result, which people see too.
fn printable_names(result: TaskResult) -> TaskResult {
    let environment = Arc::unwrap_or_clone(result.environment).into_iter();
    TaskResult {
        metrics: result.metrics.into_iter().map(|(name, value)| (printable(name), value)).collect(),
        classes: Arc::unwrap_or_clone(result.classes).into_iter().map(printable).collect::<Vec<_>>().into(),
        device: printable(result.device),
        data_digest: printable(result.data_digest),
        weights_digest: printable(result.weights_digest),
        commit: printable(result.commit),
        history: result.history.into_iter().map(printable_curves).collect(),
        environment: Arc::new(environment.map(|(name, value)| (printable(name), printable(value))).collect()),
        ..result
    }
}

fn printable_curves(record: EpochRecord) -> EpochRecord {
    let values = record.values.into_iter().map(|(name, value)| (printable(name), value));
    EpochRecord { values: values.collect(), ..record }
}

/// Lines that a worker logged. Long lines are cut, and characters that a terminal would interpret are removed.
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
