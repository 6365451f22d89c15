//! Turmoil's connections in the form that tonic needs.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use colearn_worker::connection::Dial;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Error, Uri, server::Connected};
use turmoil::net::{TcpListener, TcpStream};

/// The coordinator's host.
pub const COORDINATOR: &str = "coordinator";
/// Its port.
pub const PORT: u16 = 7117;

/// The address of the coordinator.
#[must_use]
pub fn coordinator() -> Uri {
    Uri::from_static("http://coordinator:7117")
}

/// A connection that a coordinator accepted.
#[derive(Debug)]
pub struct Accepted(TcpStream);

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// The incoming connections on this host.
///
/// # Errors
/// If the port is in use.
pub async fn incoming() -> io::Result<ReceiverStream<io::Result<Accepted>>> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    let (accepted, stream) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            if accepted.send(Ok(Accepted(connection))).await.is_err() {
                return;
            }
        }
    });
    Ok(ReceiverStream::new(stream))
}

/// The agent's connector to the coordinator.
#[must_use]
pub fn dial() -> Dial {
    Dial::with(|| Box::pin(connect(Dial::endpoint(coordinator()))))
}

/// Connects to the coordinator from this host.
///
/// # Errors
/// If the coordinator cannot be reached.
pub fn connect(endpoint: Endpoint) -> impl Future<Output = Result<Channel, Error>> + Send {
    let connector =
        tower::service_fn(|_: Uri| async { TcpStream::connect((COORDINATOR, PORT)).await.map(TokioIo::new) });
    async move { endpoint.connect_with_connector(connector).await }
}
