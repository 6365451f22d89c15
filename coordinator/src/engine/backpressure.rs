//! Limits of the data that waits for the engine: per stream, and in total.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::input::Input;

/// Size of one unit in bytes; smaller messages count as one unit too.
const UNIT: usize = 16 << 10;
/// Maximum number of waiting units per stream: enough for a turn of a worker on which 128 slots finish, or for one
/// message of the largest size. Further messages wait in the stream until the next turn.
const OF_ONE_STREAM: u32 = 256;
/// Maximum number of waiting units of all streams: 256 MiB. A turn takes all of them, and as much may wait meanwhile.
const OF_ALL: usize = (256 << 20) / UNIT;

/// The budget for messages of all streams.
#[derive(Clone)]
pub(super) struct Budget(Arc<Semaphore>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(OF_ALL)))
    }

    /// The budget of a new stream.
    pub(super) fn of_stream(&self) -> StreamBudget {
        StreamBudget { of_all: self.0.clone(), of_one: Arc::new(Semaphore::new(OF_ONE_STREAM as usize)) }
    }
}

/// The budget for waiting messages of one stream.
pub(super) struct StreamBudget {
    of_all: Arc<Semaphore>,
    of_one: Arc<Semaphore>,
}

impl StreamBudget {
    /// Waits until there is room for this number of bytes. Waiting streams are served in order.
    pub(super) async fn take(&self, bytes: usize) -> Result<Permit, AcquireError> {
        // A request for more than the total would wait forever.
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, OF_ONE_STREAM);
        // The stream's own budget first: a stream that has used it up must not hold any of the common budget.
        let of_one = self.of_one.clone().acquire_many_owned(units).await?;
        let of_all = self.of_all.clone().acquire_many_owned(units).await?;
        Ok(Permit { _of_one: of_one, _of_all: of_all })
    }
}

/// A part of the budget, which is returned on drop.
pub(super) struct Permit {
    _of_one: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// A waiting input.
pub(super) struct Queued {
    input: Input,
    /// `None` for requests of people: they wait for the answer before they send another one.
    _place: Option<Permit>,
}

impl Queued {
    pub(super) fn new(input: Input, place: Option<Permit>) -> Self {
        Self { input, _place: place }
    }

    /// The input, which no longer counts as waiting.
    pub(super) fn taken(self) -> Input {
        self.input
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use colearn_core::id::WorkerId;
    use colearn_proto::worker::{FromWorker, Hello};
    use tokio::{
        sync::mpsc,
        task::yield_now,
        time::{error::Elapsed, timeout},
    };

    use super::*;
    use crate::engine::{EngineHandle, WorkerOutbox, WorkerStream};

    /// A handle to a busy engine, and the queue of waiting inputs.
    fn busy_engine() -> (EngineHandle, mpsc::Receiver<Queued>) {
        let (sender, waiting) = mpsc::channel(1024);
        (EngineHandle::new(sender, Arc::new(crate::store::MemoryStore::new()), Default::default()), waiting)
    }

    async fn connect(engine: &EngineHandle) -> Result<WorkerStream, Elapsed> {
        let (worker, host, version) = (WorkerId::new("w").unwrap(), String::new(), String::new());
        let hello = Hello { worker, host, version, warnings: vec![], slots: vec![], held: vec![] };
        let (outbox, ..) = WorkerOutbox::new(1);
        Ok(at_once(engine.connect(hello, 100, outbox)).await?.unwrap())
    }

    /// The result of a future that is ready at once; an error if it has to wait.
    async fn at_once<T>(future: impl Future<Output = T>) -> Result<T, Elapsed> {
        yield_now().await;
        timeout(Duration::ZERO, future).await
    }

    /// How many of a thousand messages of this size the stream can send.
    async fn flood(line: &WorkerStream, bytes: usize) -> usize {
        for sent in 0..1000 {
            if at_once(line.hear(FromWorker::Heartbeat, bytes)).await.is_err() {
                return sent;
            }
        }
        1000
    }

    #[tokio::test]
    async fn streams_that_flood_leave_places_to_others() {
        let (engine, mut waiting) = busy_engine();
        for _ in 0..3 {
            let flooding = connect(&engine).await.unwrap();
            assert_eq!(flood(&flooding, 100).await, 255, "its hello is one, too");
        }
        let honest = connect(&engine).await.expect("there is a place at once");
        at_once(honest.hear(FromWorker::Heartbeat, 100)).await.expect("and for what follows").unwrap();
        assert_eq!(waiting.len(), 3 * 256 + 2);
        // After a turn they may continue.
        let mut taken = Vec::new();
        waiting.recv_many(&mut taken, 512).await;
        taken.into_iter().map(Queued::taken).for_each(drop);
        assert_eq!(flood(&honest, 100).await, 254);
    }

    #[tokio::test]
    async fn a_stream_that_was_made_to_wait_goes_on_as_soon_as_something_is_taken() {
        let (engine, mut waiting) = busy_engine();
        let line = connect(&engine).await.unwrap();
        flood(&line, 100).await;
        at_once(line.hear(FromWorker::Heartbeat, 100)).await.unwrap_err();
        waiting.recv().await.unwrap().taken();
        at_once(line.hear(FromWorker::Heartbeat, 100)).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_waits_is_bounded_in_bytes_too() {
        let (engine, mut waiting) = busy_engine();
        let largest = 4 << 20;
        let mut lines = Vec::new();
        for _ in 0..65 {
            lines.push(connect(&engine).await.unwrap());
        }
        while let Ok(input) = waiting.try_recv() {
            input.taken();
        }
        // The first 64 streams use up the common budget with one message each.
        for (number, line) in lines.iter().enumerate() {
            let sent = flood(line, largest).await;
            assert_eq!(sent, usize::from(number < 64), "stream {number}");
        }
        waiting.recv().await.unwrap().taken();
        at_once(lines[64].hear(FromWorker::Heartbeat, largest)).await.expect("there is room again").unwrap();
    }

    #[tokio::test]
    async fn a_message_larger_than_any_budget_is_not_waited_for_in_vain() {
        let (engine, mut waiting) = busy_engine();
        let line = connect(&engine).await.unwrap();
        waiting.recv().await.unwrap().taken();
        at_once(line.hear(FromWorker::Heartbeat, usize::MAX)).await.expect("it has all there is").unwrap();
    }
}
