//! How much may wait for the engine: of one stream, and of all together.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::input::Input;

/// What counts as one unit, in bytes; what is smaller counts as one too.
const UNIT: usize = 16 << 10;
/// Units of one stream that may wait: a turn of a worker with 128 slots that finish, or one message of the largest
/// size. The rest waits with the stream, and takes part in the next turn.
const OF_ONE_STREAM: u32 = 256;
/// Units of all streams that may wait: 256 MiB. A turn takes them all at once, and as much may wait meanwhile.
const OF_ALL: usize = (256 << 20) / UNIT;

/// Budget for what all streams say.
#[derive(Clone)]
pub(super) struct Budget(Arc<Semaphore>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(OF_ALL)))
    }

    /// The allowance of one more stream.
    pub(super) fn allowance(&self) -> StreamBudget {
        StreamBudget { of_all: self.0.clone(), of_one: Arc::new(Semaphore::new(OF_ONE_STREAM as usize)) }
    }
}

/// What one stream may have waiting.
pub(super) struct StreamBudget {
    of_all: Arc<Semaphore>,
    of_one: Arc<Semaphore>,
}

impl StreamBudget {
    /// Waits until there is room for so many bytes. Who waits is served in order.
    pub(super) async fn take(&self, bytes: usize) -> Result<Permit, AcquireError> {
        // More than there is at all would be waited for in vain.
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, OF_ONE_STREAM);
        // First one's own: a stream that has used it up keeps nothing of what is for all.
        let of_one = self.of_one.clone().acquire_many_owned(units).await?;
        let of_all = self.of_all.clone().acquire_many_owned(units).await?;
        Ok(Permit { _of_one: of_one, _of_all: of_all })
    }
}

/// Budget that is taken until this is dropped.
pub(super) struct Permit {
    _of_one: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// An input that waits.
pub(super) struct Queued {
    input: Input,
    /// None for what people ask: they wait for the answer before they ask again.
    _place: Option<Permit>,
}

impl Queued {
    pub(super) fn new(input: Input, place: Option<Permit>) -> Self {
        Self { input, _place: place }
    }

    /// It waits no more.
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

    /// The way to an engine that is busy, and what waits for it.
    fn busy_engine() -> (EngineHandle, mpsc::Receiver<Queued>) {
        let (sender, waiting) = mpsc::channel(1024);
        (EngineHandle::new(sender), waiting)
    }

    async fn connect(engine: &EngineHandle) -> Result<WorkerStream, Elapsed> {
        let (worker, host, version) = (WorkerId::new("w").unwrap(), String::new(), String::new());
        let hello = Hello { worker, host, version, warnings: vec![], slots: vec![], held: vec![] };
        let (outbox, ..) = WorkerOutbox::new(1);
        Ok(at_once(engine.connect(hello, 100, outbox)).await?.unwrap())
    }

    /// Not if it has to be waited for.
    async fn at_once<T>(future: impl Future<Output = T>) -> Result<T, Elapsed> {
        yield_now().await;
        timeout(Duration::ZERO, future).await
    }

    /// How many messages of so many bytes the stream gets rid of, of a thousand.
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
        // A turn later they may go on.
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
        // The first 64 streams fill what there is for all, with a message each.
        for (number, line) in lines.iter().enumerate() {
            let sent = flood(line, largest).await;
            assert_eq!(sent, usize::from(number < 64), "stream {number}");
        }
        waiting.recv().await.unwrap().taken();
        at_once(lines[64].hear(FromWorker::Heartbeat, largest)).await.expect("there is room again").unwrap();
    }

    #[tokio::test]
    async fn a_message_larger_than_any_allowance_is_not_waited_for_in_vain() {
        let (engine, mut waiting) = busy_engine();
        let line = connect(&engine).await.unwrap();
        waiting.recv().await.unwrap().taken();
        at_once(line.hear(FromWorker::Heartbeat, usize::MAX)).await.expect("it has all there is").unwrap();
    }
}
