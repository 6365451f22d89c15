//! Answers in parts, and clients that do not read them.
//!
//! A part waits until its client reads it. To keep clients that do not read from filling the memory, the next part is
//! made only when there is room for it, the total of waiting parts is bounded, and a client that does not read is
//! disconnected: after a while, or soon if others need the room. The connection is closed as a whole, because a
//! stream that waits for its client cannot be woken.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::refusal::refusal;
use crate::connections::Peer;

/// Maximum number of answers at a time.
const MAX_ANSWERS: usize = 1024;
/// Maximum number of bytes of parts that wait for all clients together.
const MAX_BYTES: usize = 64 << 20;
/// A client that leaves a part unread for this time is disconnected. It is long, because a person who reads in a
/// pager takes a while.
const UNREAD: Duration = Duration::from_mins(10);
/// The time if there is no room for others.
const UNREAD_IN_NEED: Duration = Duration::from_secs(5);
/// How long a refused client has to read the refusal.
const LAST_WORD: Duration = Duration::from_secs(5);

/// The stream of an answer.
pub(super) type PartStream<T> = ReceiverStream<Result<T, Status>>;

/// The client has disconnected, or was disconnected: nothing can be sent.
#[derive(Debug)]
pub(super) struct Gone;

/// All answers in progress.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers(Arc<Mutex<Registry>>);

#[derive(Debug, Default)]
struct Registry {
    answers: BTreeMap<u64, Answer>,
    next: u64,
    /// Total number of bytes that they hold.
    bytes: usize,
}

#[derive(Debug)]
struct Answer {
    bytes: usize,
    /// Since when its client has not read; `None` if nothing waits.
    unread_since: Option<Instant>,
    cut: Cut,
}

/// The end of an answer's stream, and its connection.
#[derive(Clone, Debug)]
struct Cut {
    answer: CancellationToken,
    connection: Option<CancellationToken>,
}

impl Cut {
    fn off(&self) {
        self.answer.cancel();
        if let Some(connection) = &self.connection {
            connection.cancel();
        }
    }
}

impl Answers {
    /// Begins an answer to a client, of which `waiting` parts may wait.
    ///
    /// # Errors
    /// If there are too many answers in progress.
    pub(super) fn begin<T>(
        &self,
        peer: Option<&Peer>,
        waiting: usize,
    ) -> Result<(Parts<T>, PartStream<T>), Status> {
        let (sender, receiver) = mpsc::channel(waiting);
        let cut = Cut { answer: CancellationToken::new(), connection: peer.map(|peer| peer.cut.clone()) };
        let mut registry = self.registry();
        if registry.answers.len() >= MAX_ANSWERS && !registry.cut_one(None) {
            let text = format!("{MAX_ANSWERS} answers are being read, which is the maximum: try again later");
            return Err(refusal(Code::ResourceExhausted, text));
        }
        let number = registry.next;
        registry.next += 1;
        registry.answers.insert(number, Answer { bytes: 0, unread_since: None, cut: cut.clone() });
        let parts = Parts { sender, sizes: VecDeque::new(), beside: 0, answers: self.clone(), number, cut };
        Ok((parts, ReceiverStream::new(receiver)))
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // The numbers are changed together, without any operation between that could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Disconnects the client that has left its answer unread for the longest time, if that is long enough. Returns
    /// whether there was one.
    fn cut_one(&mut self, but: Option<u64>) -> bool {
        let unread = self.answers.iter().filter(|(number, _)| Some(**number) != but);
        let unread = unread.filter_map(|(number, answer)| Some((answer.unread_since?, *number)));
        let Some((since, number)) = unread.min() else { return false };
        if since.elapsed() < UNREAD_IN_NEED {
            return false;
        }
        tracing::warn!("a client that does not read its answer is disconnected: others need the room");
        if let Some(answer) = self.answers.get(&number) {
            answer.cut.off();
        }
        self.forget(number);
        true
    }

    fn forget(&mut self, number: u64) {
        if let Some(answer) = self.answers.remove(&number) {
            self.bytes -= answer.bytes;
        }
    }
}

/// The sender of one answer.
#[derive(Debug)]
pub(super) struct Parts<T> {
    sender: mpsc::Sender<Result<T, Status>>,
    /// Sizes of the parts that were sent last.
    sizes: VecDeque<usize>,
    /// Bytes that it holds besides the parts.
    beside: usize,
    answers: Answers,
    number: u64,
    cut: Cut,
}

impl<T: prost::Message> Parts<T> {
    /// Waits until the client has read so much that there is room for another part.
    pub(super) async fn ready(&mut self) -> Result<(), Gone> {
        if self.cut.answer.is_cancelled() || self.sender.is_closed() {
            return Err(Gone);
        }
        if self.sender.capacity() > 0 {
            return Ok(());
        }
        self.note(Some(Instant::now()));
        let room = tokio::select! {
            biased;
            () = self.cut.answer.cancelled() => Err(Gone),
            room = self.sender.reserve() => room.map(drop).map_err(|_| Gone),
            () = sleep(UNREAD) => {
                tracing::warn!("a client that does not read its answer is disconnected");
                self.cut.off();
                Err(Gone)
            }
        };
        self.note(None);
        room
    }

    /// Sends a part as soon as there is room for it.
    pub(super) async fn send(&mut self, part: T) -> Result<(), Gone> {
        self.ready().await?;
        self.sizes.push_back(part.encoded_len());
        if self.sizes.len() > self.sender.max_capacity() {
            self.sizes.pop_front();
        }
        // There is only one sender, so the room still exists.
        self.sender.try_send(Ok(part)).map_err(|_| Gone)?;
        if self.note(None) {
            return Ok(());
        }
        self.cut.answer.cancel();
        let text = "too much data waits to be read by clients: try again later";
        let last = self.sender.send(Err(refusal(Code::ResourceExhausted, text)));
        // The client may not read this message either.
        drop(timeout(LAST_WORD, last).await);
        Err(Gone)
    }

    /// Ends the answer with an error.
    pub(super) async fn fail(&mut self, status: Status) {
        if self.ready().await.is_ok() {
            // The client may have disconnected.
            drop(self.sender.try_send(Err(status)));
        }
    }

    /// Records the number of bytes that this answer holds besides its parts.
    pub(super) fn holds(&mut self, bytes: usize) {
        self.beside = bytes;
        let _there_is_room = self.note(None);
    }

    /// Waits until the client has disconnected or is disconnected.
    pub(super) async fn closed(&self) {
        tokio::select! {
            () = self.sender.closed() => {}
            () = self.cut.answer.cancelled() => {}
        }
    }

    /// Records the waiting parts and since when they wait. Returns whether there is room for them.
    fn note(&self, unread_since: Option<Instant>) -> bool {
        let waiting = self.sender.max_capacity() - self.sender.capacity();
        let bytes = self.beside + self.sizes.iter().rev().take(waiting).sum::<usize>();
        let mut registry = self.answers.registry();
        let Some(answer) = registry.answers.get_mut(&self.number) else { return false };
        answer.unread_since = unread_since;
        let before = std::mem::replace(&mut answer.bytes, bytes);
        registry.bytes = registry.bytes - before + bytes;
        // A single answer may hold as much as it needs.
        while bytes > before && registry.bytes > MAX_BYTES && registry.bytes > bytes {
            if !registry.cut_one(Some(self.number)) {
                return false;
            }
        }
        true
    }
}

impl<T> Drop for Parts<T> {
    fn drop(&mut self) {
        self.answers.registry().forget(self.number);
    }
}

#[cfg(test)]
mod tests {
    use colearn_proto::v1::GetResultsResponse;
    use tokio_stream::StreamExt as _;

    use super::*;

    /// A part of one MiB.
    fn part() -> GetResultsResponse {
        use colearn_proto::v1::get_results_response::Part;
        GetResultsResponse { part: Some(Part::SweepJson("x".repeat(1 << 20))) }
    }

    fn peer() -> Peer {
        Peer { cut: CancellationToken::new(), identity: None }
    }

    fn bytes(answers: &Answers) -> usize {
        answers.registry().bytes
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_do_not_read_hold_little_and_are_cut_off_when_others_need_the_room() {
        let answers = Answers::default();
        let mut deaf = Vec::new();
        for _ in 0..MAX_ANSWERS - 1 {
            let peer = peer();
            let (mut parts, stream) = answers.begin(Some(&peer), 1).unwrap();
            let sending = tokio::spawn(async move { while parts.send(part()).await.is_ok() {} });
            deaf.push((peer, stream, sending));
            sleep(Duration::from_millis(200)).await;
            assert!(bytes(&answers) <= MAX_BYTES + (2 << 20), "{}", bytes(&answers));
        }
        let cut = deaf.iter().take_while(|(peer, ..)| peer.cut.is_cancelled()).count();
        let all = deaf.iter().filter(|(peer, ..)| peer.cut.is_cancelled()).count();
        assert_eq!(cut, all, "those who left it unread longest");
        assert!(all > MAX_ANSWERS - 80, "{all}");
        // A client that reads gets everything.
        let peer = peer();
        let (mut parts, mut stream) = answers.begin(Some(&peer), 1).unwrap();
        let sending = tokio::spawn(async move {
            for _ in 0..500 {
                parts.send(part()).await.unwrap();
            }
        });
        let mut read = 0;
        while let Some(part) = stream.next().await {
            part.unwrap();
            read += 1;
            sleep(Duration::from_millis(20)).await;
        }
        sending.await.unwrap();
        assert_eq!((read, peer.cut.is_cancelled()), (500, false));
        // Nothing is held for disconnected clients.
        for (_, stream, sending) in deaf {
            drop(stream);
            sending.await.unwrap();
        }
        assert_eq!((bytes(&answers), answers.registry().answers.len()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_left_unread_has_an_end_though_nobody_needs_the_room() {
        let answers = Answers::default();
        let peer = peer();
        let (mut parts, _stream) = answers.begin(Some(&peer), 2).unwrap();
        let before = Instant::now();
        while parts.send(part()).await.is_ok() {}
        assert!((UNREAD..2 * UNREAD).contains(&before.elapsed()) && peer.cut.is_cancelled());
        drop(parts);
        assert_eq!(bytes(&answers), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_too_many_is_refused_unless_another_does_not_read() {
        let answers = Answers::default();
        let mut open = Vec::new();
        for _ in 0..MAX_ANSWERS {
            open.push(answers.begin::<GetResultsResponse>(None, 1).unwrap());
        }
        let refused = answers.begin::<GetResultsResponse>(None, 1).unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        let (mut parts, stream) = open.pop().unwrap();
        let sending = tokio::spawn(async move { while parts.send(part()).await.is_ok() {} });
        sleep(Duration::from_secs(6)).await;
        assert!(answers.begin::<GetResultsResponse>(None, 1).is_ok());
        sending.await.unwrap();
        drop(stream);
    }
}
