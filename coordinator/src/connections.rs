//! Accepts connections: a limited number, and only of HTTP/2 clients.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, PollSemaphore, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// Length of the preface that every HTTP/2 client sends first. Keepalive checks a connection only after the preface.
const PREFACE: usize = 24;
/// A client that has not sent the preface within this time is disconnected.
const PREFACE_WITHIN: Duration = Duration::from_secs(10);
/// After an error, such as too many open files, nothing is accepted for this time: most errors last for a while.
const AFTER_AN_ERROR: Duration = Duration::from_millis(100);

/// The connections that a listener accepts.
pub(crate) struct Incoming {
    listener: TcpListener,
    places: PollSemaphore,
    /// The permit for the next connection.
    place: Option<OwnedSemaphorePermit>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    pub(crate) fn new(listener: TcpListener, most: usize) -> Self {
        let places = PollSemaphore::new(Arc::new(Semaphore::new(most)));
        Self { listener, places, place: None, pause: None }
    }
}

impl Stream for Incoming {
    type Item = io::Result<Guarded>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(pause) = &mut this.pause {
                ready!(pause.as_mut().poll(cx));
                this.pause = None;
            }
            if this.place.is_none() {
                this.place = ready!(this.places.poll_acquire(cx));
            }
            match ready!(this.listener.poll_accept(cx)) {
                Ok((stream, _)) => {
                    // Without this option the connection is only slightly slower.
                    let _ = stream.set_nodelay(true);
                    let preface = Some((PREFACE, Box::pin(sleep(PREFACE_WITHIN))));
                    let peer = Peer { cut: CancellationToken::new() };
                    let cut = Box::pin(peer.cut.clone().cancelled_owned());
                    let guarded = Guarded { stream, peer, cut, preface, _place: this.place.take() };
                    return Poll::Ready(Some(Ok(guarded)));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    this.pause = Some(Box::pin(sleep(AFTER_AN_ERROR)));
                }
            }
        }
    }
}

/// The client of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Closes the connection, with every stream on it.
    pub(crate) cut: CancellationToken,
}

/// A connection that is closed unless its client sends the preface soon.
pub(crate) struct Guarded {
    stream: TcpStream,
    peer: Peer,
    /// Completes when the connection is to be closed.
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The missing bytes of the preface, and their deadline; `None` after they have arrived.
    preface: Option<(usize, Pin<Box<Sleep>>)>,
    _place: Option<OwnedSemaphorePermit>,
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
