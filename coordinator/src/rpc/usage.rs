//! What the hosts of workers do: the last that each said on its open stream. Nothing of it passes through the engine or
//! is stored.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use colearn_core::{
    id::WorkerId,
    text::{printable, shortened},
    time::Timestamp,
};
use colearn_proto::v1::{GpuUsage, Usage, Worker};

use super::context::Rpc;

/// Maximum number of GPUs of a worker, and of bytes of their names, that are kept.
const MAX_GPUS: usize = 64;
const MAX_NAME: usize = 128;

/// The usage of all connected workers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usages(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    workers: BTreeMap<WorkerId, Said>,
    streams: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Said {
    stream: u64,
    at: Timestamp,
    usage: Usage,
}

impl Usages {
    /// A stream of a worker, whose usage is forgotten when it ends.
    pub(super) fn stream(&self, worker: WorkerId) -> UsageStream {
        let mut known = self.known();
        known.streams += 1;
        UsageStream { usages: self.clone(), worker, stream: known.streams }
    }

    /// What a worker said last, and when.
    pub(crate) fn of(&self, worker: &str) -> Option<(Usage, Timestamp)> {
        let known = self.known();
        // A worker's identifier is a text, but a text need not be one.
        let said = known.workers.get(&WorkerId::new(worker).ok()?)?;
        Some((said.usage.clone(), said.at))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Nothing between its changes can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Usages::stream`].
pub(super) struct UsageStream {
    usages: Usages,
    worker: WorkerId,
    stream: u64,
}

impl UsageStream {
    pub(super) fn says(&self, usage: Usage, at: Timestamp) {
        let said = Said { stream: self.stream, at, usage: checked(usage) };
        let mut known = self.usages.known();
        // A worker may have opened another stream meanwhile, which stands for it.
        if known.workers.get(&self.worker).is_none_or(|known| known.stream <= self.stream) {
            known.workers.insert(self.worker.clone(), said);
        }
    }
}

impl Drop for UsageStream {
    fn drop(&mut self) {
        let mut known = self.usages.known();
        if known.workers.get(&self.worker).is_some_and(|known| known.stream == self.stream) {
            known.workers.remove(&self.worker);
        }
    }
}

impl Rpc {
    /// A worker with what its host does, if that is known.
    pub(super) fn with_usage(&self, worker: Worker) -> Worker {
        match self.usages.of(&worker.worker) {
            Some((usage, at)) => Worker { usage: Some(usage), usage_at: at.0, ..worker },
            None => worker,
        }
    }
}

/// Workers are not trusted: what is kept of each is bounded and printable, and no part is more than its whole.
fn checked(usage: Usage) -> Usage {
    let at_most =
        |part: Option<u64>, whole: Option<u64>| part.map(|part| part.min(whole.unwrap_or(u64::MAX)));
    let gpu = |gpu: GpuUsage| GpuUsage {
        uuid: shortened(&printable(gpu.uuid), MAX_NAME),
        name: shortened(&printable(gpu.name), MAX_NAME),
        busy_percent: gpu.busy_percent.map(|percent| percent.min(100)),
        used_bytes: at_most(gpu.used_bytes, gpu.memory_bytes),
        memory_bytes: gpu.memory_bytes,
    };
    Usage {
        busy: at_most(usage.busy, usage.processors),
        own_busy: at_most(usage.own_busy, usage.processors),
        used_bytes: at_most(usage.used_bytes, usage.memory_bytes),
        own_bytes: at_most(usage.own_bytes, usage.memory_bytes),
        gpus: usage.gpus.into_iter().take(MAX_GPUS).map(gpu).collect(),
        ..usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(busy: u64) -> Usage {
        Usage { processors: Some(2000), busy: Some(busy), ..Usage::default() }
    }

    #[test]
    fn the_last_stream_of_a_worker_counts_and_its_end_forgets() {
        let usages = Usages::default();
        let worker = || WorkerId::new("w").unwrap();
        let (first, second) = (usages.stream(worker()), usages.stream(worker()));
        assert_eq!(usages.of("w"), None);
        first.says(busy(1), Timestamp(1));
        assert_eq!(usages.of("w"), Some((busy(1), Timestamp(1))));
        second.says(busy(2), Timestamp(2));
        first.says(busy(3), Timestamp(3));
        drop(first);
        assert_eq!(usages.of("w"), Some((busy(2), Timestamp(2))));
        drop(second);
        assert_eq!((usages.of("w"), usages.of("not a worker")), (None, None));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let gpu = GpuUsage {
            uuid: "u".repeat(1000),
            name: "\u{1b}[2J".to_owned(),
            busy_percent: Some(900),
            memory_bytes: Some(10),
            used_bytes: Some(11),
        };
        let gpus = vec![gpu; 100];
        let kept = checked(Usage { gpus, own_busy: Some(3000), used_bytes: Some(7), ..busy(9000) });
        assert_eq!((kept.busy, kept.own_busy, kept.used_bytes), (Some(2000), Some(2000), Some(7)));
        assert_eq!(kept.gpus.len(), MAX_GPUS);
        let gpu = &kept.gpus[0];
        assert!(gpu.uuid.len() <= MAX_NAME && !gpu.name.contains('\u{1b}'), "{gpu:?}");
        assert_eq!((gpu.busy_percent, gpu.used_bytes), (Some(100), Some(10)));
    }
}
