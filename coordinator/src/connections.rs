//! Accepts connections: a limited number, and only of clients that begin to speak soon; if they have to be protected,
//! only of clients with a credential.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use colearn_access::{Identity, LetIn, ServerAccess, Visit, let_in};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Sleep, sleep, timeout},
};
use tokio_rustls::server::TlsStream;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tokio_util::{
    either::Either,
    sync::{CancellationToken, PollSemaphore, WaitForCancellationFutureOwned},
};
use tonic::transport::server::Connected;

use crate::quiet::Quiet;

/// Length of the preface that every HTTP/2 client sends first. Keepalive checks a connection only after the preface.
const PREFACE: usize = 24;
/// A client that has not sent the preface within this time is disconnected.
const PREFACE_WITHIN: Duration = Duration::from_secs(10);
/// After an error, such as too many open files, nothing is accepted for this time: most errors last for a while.
const AFTER_AN_ERROR: Duration = Duration::from_millis(100);

/// The first byte of a client that speaks TLS.
const TLS: u8 = 0x16;
/// The answer to a client that speaks TLS where there is none.
const NO_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// Clients that were let in and wait for the server to take them.
const LET_IN: usize = 64;

/// The connections that a listener accepts.
pub(crate) struct Incoming {
    listener: TcpListener,
    places: PollSemaphore,
    /// The permit for the next connection.
    place: Option<OwnedSemaphorePermit>,
    pause: Option<Pin<Box<Sleep>>>,
    quiet: Quiet,
}

impl Incoming {
    pub(crate) fn new(listener: TcpListener, most: usize) -> Self {
        let places = PollSemaphore::new(Arc::new(Semaphore::new(most)));
        Self { listener, places, place: None, pause: None, quiet: Quiet::default() }
    }
}

/// A connection before anything was read from it.
struct Accepted {
    stream: TcpStream,
    client: SocketAddr,
    place: Option<OwnedSemaphorePermit>,
}

impl Incoming {
    fn poll_accepted(&mut self, cx: &mut Context<'_>) -> Poll<Accepted> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            if self.place.is_none() {
                self.place = ready!(self.places.poll_acquire(cx));
            }
            match ready!(self.listener.poll_accept(cx)) {
                Ok((stream, client)) => {
                    // Without this option the connection is only slightly slower.
                    let _ = stream.set_nodelay(true);
                    return Poll::Ready(Accepted { stream, client, place: self.place.take() });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    self.pause = Some(Box::pin(sleep(AFTER_AN_ERROR)));
                }
            }
        }
    }

    /// Only connections of clients with a credential. Their handshakes run beside each other.
    pub(crate) fn protected(mut self, access: ServerAccess) -> impl Stream<Item = io::Result<Guarded>> {
        let (let_in, connections) = mpsc::channel(LET_IN);
        tokio::spawn(async move {
            let quiet = Quiet::default();
            loop {
                let accepted = tokio::select! {
                    accepted = poll_fn(|cx| self.poll_accepted(cx)) => accepted,
                    // The server has stopped.
                    () = let_in.closed() => return,
                };
                let (access, let_in, quiet) = (access.clone(), let_in.clone(), quiet.clone());
                tokio::spawn(async move {
                    if let Some(guarded) = protect(access, accepted, &quiet).await {
                        // An error means that the server has stopped.
                        let _ = let_in.send(guarded).await;
                    }
                });
            }
        });
        ReceiverStream::new(connections).map(Ok)
    }
}

/// Checks the credential of a client. A client that is not let in leaves a line in the log.
async fn protect(access: ServerAccess, accepted: Accepted, quiet: &Quiet) -> Option<Guarded> {
    let Accepted { stream, client, place } = accepted;
    let cut = CancellationToken::new();
    let refused = match timeout(PREFACE_WITHIN, let_in(&access, cut.clone(), stream)).await {
        Ok(Ok(LetIn { stream, identity, visit })) => {
            let peer = Peer { cut, identity: Some(identity) };
            let stream = Either::Right(Box::new(stream));
            return Some(Guarded { visit: Some(visit), ..Guarded::new(stream, client, peer, place, quiet) });
        }
        Ok(Err(refused)) => refused.to_string(),
        Err(_) => format!("no credential within {} s", PREFACE_WITHIN.as_secs()),
    };
    quiet.say(|| tracing::warn!(%client, "a client was not let in: {refused}"));
    None
}

impl Stream for Incoming {
    type Item = io::Result<Guarded>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Accepted { stream, client, place } = ready!(self.poll_accepted(cx));
        let peer = Peer { cut: CancellationToken::new(), identity: None };
        Poll::Ready(Some(Ok(Guarded::new(Either::Left(stream), client, peer, place, &self.quiet))))
    }
}

/// The client of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Closes the connection, with every stream on it.
    pub(crate) cut: CancellationToken,
    /// Who it is; `None` on a connection that needs no credential.
    pub(crate) identity: Option<Arc<Identity>>,
}

/// A connection that is closed unless its client sends the preface soon.
pub(crate) struct Guarded {
    stream: Either<TcpStream, Box<TlsStream<TcpStream>>>,
    client: SocketAddr,
    quiet: Quiet,
    peer: Peer,
    /// Completes when the connection is to be closed.
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The missing bytes of the preface, and their deadline; `None` after they have arrived.
    preface: Option<(usize, Pin<Box<Sleep>>)>,
    _place: Option<OwnedSemaphorePermit>,
    visit: Option<Visit>,
}

impl Guarded {
    fn new(
        stream: Either<TcpStream, Box<TlsStream<TcpStream>>>,
        client: SocketAddr,
        peer: Peer,
        place: Option<OwnedSemaphorePermit>,
        quiet: &Quiet,
    ) -> Self {
        let preface = Some((PREFACE, Box::pin(sleep(PREFACE_WITHIN))));
        let cut = Box::pin(peer.cut.clone().cancelled_owned());
        Self { stream, client, quiet: quiet.clone(), peer, cut, preface, _place: place, visit: None }
    }

    /// Refuses a client that speaks TLS where there is none: it would wait for an answer.
    fn check_first(&self, first: Option<&u8>) -> io::Result<()> {
        let untouched = matches!(self.preface, Some((PREFACE, _)));
        if untouched && self.visit.is_none() && first == Some(&TLS) {
            let client = self.client;
            self.quiet.say(|| {
                tracing::warn!(%client, "a client was refused: it speaks TLS, and this coordinator does not (http://)");
            });
            // The client understands from an answer without TLS that there is none.
            if let Either::Left(stream) = &self.stream {
                let _: io::Result<usize> = stream.try_write(NO_TLS);
            }
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(())
    }
}

impl Connected for Guarded {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if let Some((_, deadline)) = &mut self.preface
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.check_first(buffer.filled().get(before))?;
        let read = buffer.filled().len() - before;
        if let Some((missing, _)) = &mut self.preface {
            *missing = missing.saturating_sub(read);
            if *missing == 0 {
                self.preface = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
