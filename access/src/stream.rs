//! The connections of a client.

use std::io::Cursor;

use tokio::{
    io::{AsyncReadExt as _, Chain, Join, ReadHalf, WriteHalf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;
use tokio_util::io::InspectReader;

use crate::{address::Sign, door::is_refusal_of_plain};

/// Bytes of the beginning that show a refusal.
const BEGINNING: usize = 26;

/// A connection in plain text.
pub(crate) type Plain = InspectReader<TcpStream, Box<dyn FnMut(&[u8]) + Send>>;

/// Notes if the first bytes say that the coordinator speaks TLS: calls fail in several ways then, not all of which say
/// why.
pub(crate) fn plain(stream: TcpStream, sign: Sign) -> Plain {
    let mut seen = Vec::new();
    let look = move |new: &[u8]| {
        if seen.len() < BEGINNING {
            seen.extend(new.iter().take(BEGINNING - seen.len()));
            if is_refusal_of_plain(&seen) {
                sign.set(true);
            }
        }
    };
    InspectReader::new(stream, Box::new(look))
}

/// A protected connection whose first bytes were read already.
pub(crate) type Begun =
    Join<Chain<Cursor<Vec<u8>>, ReadHalf<TlsStream<TcpStream>>>, WriteHalf<TlsStream<TcpStream>>>;

/// Puts the first bytes back.
pub(crate) fn begun(first: Vec<u8>, stream: TlsStream<TcpStream>) -> Begun {
    let (read, write) = tokio::io::split(stream);
    tokio::io::join(Cursor::new(first).chain(read), write)
}
