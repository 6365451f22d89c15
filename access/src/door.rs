//! One connection of a client to a coordinator, from its first byte to its identity.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{AlertDescription, CertificateError, Error as TlsError},
    server::TlsStream,
};
use tokio_util::sync::CancellationToken;

use crate::{identity::Identity, server::ServerAccess, visits::Visit};

/// How long a client that speaks no TLS may take to read why it is refused.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The text for clients that speak no TLS.
pub(crate) const NEEDS_TLS: &str = "this coordinator speaks TLS: use https:// and the access file that it made (--access FILE or COLEARN_ACCESS)";

/// The reason why a client was not let in, for the coordinator's log.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It speaks no TLS.
    #[error("it speaks no TLS: plain text is refused")]
    Plain,
    /// It has no certificate, or a wrong one; or the handshake failed.
    #[error("{}", describe(.0))]
    Handshake(TlsError),
    /// An authority was withdrawn during the handshake, perhaps that of this client. If not, it comes again.
    #[error("an authority was withdrawn during the handshake")]
    Distrusted,
    /// The connection broke.
    #[error("the connection ended during the handshake ({0})")]
    Broken(io::Error),
}

fn describe(error: &TlsError) -> String {
    match error {
        TlsError::NoCertificatesPresented => "it has no credential".to_owned(),
        TlsError::InvalidCertificate(CertificateError::Revoked) => "its credential was revoked".to_owned(),
        TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its credential has expired".to_owned()
        }
        TlsError::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "its credential is not valid yet: do the clocks agree?".to_owned(),
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its credential is of another authority".to_owned()
        }
        TlsError::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
            "its certificate says no role".to_owned()
        }
        TlsError::AlertReceived(AlertDescription::UnknownCA | AlertDescription::BadCertificate) => {
            "it does not trust this coordinator: its access file is of another one".to_owned()
        }
        TlsError::PeerIncompatible(why) => format!("it speaks no TLS 1.3 ({why:?})"),
        other => format!("the TLS handshake failed: {other}"),
    }
}

/// A client that was let in.
pub struct LetIn {
    /// Its connection.
    pub stream: TlsStream<TcpStream>,
    /// Who it is.
    pub identity: Arc<Identity>,
    /// Its place among those whose connections may be closed.
    pub visit: Visit,
}

/// Lets a client in, or tells it why not. Its connection is closed through `cut` when it may not stay.
///
/// # Errors
/// The reason for the log.
pub async fn let_in(
    access: &ServerAccess,
    cut: CancellationToken,
    mut stream: TcpStream,
) -> Result<LetIn, Refused> {
    let entrance = access.entrance();
    let mut first = [0];
    let peeked = stream.peek(&mut first).await.map_err(Refused::Broken)?;
    if peeked == 0 {
        return Err(Refused::Broken(io::ErrorKind::UnexpectedEof.into()));
    }
    // A TLS record of a handshake begins with 0x16, HTTP with a letter.
    if first[0].is_ascii_alphabetic() {
        // The client may have gone.
        let _ = timeout(LAST_WORDS, refuse_plain(&mut stream, first[0])).await;
        return Err(Refused::Plain);
    }
    let accepted = TlsAcceptor::from(entrance.config).accept(stream).await;
    let stream = accepted.map_err(|error| match error.downcast::<TlsError>() {
        Ok(error) => Refused::Handshake(error),
        Err(error) => Refused::Broken(error),
    })?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let no_role = |_| TlsError::from(CertificateError::ApplicationVerificationFailure);
    let identity = match certificates.first() {
        Some(certificate) => Identity::of(certificate).map_err(no_role),
        None => Err(TlsError::NoCertificatesPresented),
    };
    let identity = Arc::new(identity.map_err(Refused::Handshake)?);
    // An authority that is no longer trusted from now on ends the visit; one of which this became known during the
    // handshake is found here.
    let visit = access.enter(identity.clone(), cut);
    if access.entrance().distrusted != entrance.distrusted {
        return Err(Refused::Distrusted);
    }
    Ok(LetIn { stream, identity, visit })
}

/// Answers plain text in its own protocol. gRPC reports the HTTP/2 error `INADEQUATE_SECURITY` as a denied permission,
/// with the text.
async fn refuse_plain(stream: &mut TcpStream, first: u8) -> io::Result<()> {
    let answer = if first == b'P' { goaway(NEEDS_TLS) } else { http1(NEEDS_TLS) };
    stream.write_all(&answer).await?;
    stream.shutdown().await?;
    // To close with unread data would discard the answer.
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

const INADEQUATE_SECURITY: u32 = 0xc;

/// Whether the first bytes from a coordinator are those of [`goaway`].
pub(crate) fn is_refusal_of_plain(first: &[u8]) -> bool {
    let refusal = goaway(NEEDS_TLS);
    // Two headers of frames, and the first two fields of GOAWAY.
    refusal.get(..26).is_some_and(|beginning| first == beginning)
}

/// The frames SETTINGS (empty) and GOAWAY of HTTP/2.
fn goaway(text: &str) -> Vec<u8> {
    let mut frames = vec![0, 0, 0, 4, 0, 0, 0, 0, 0];
    let length = u8::try_from(text.len() + 8).unwrap_or(u8::MAX);
    frames.extend([0, 0, length, 7, 0, 0, 0, 0, 0]);
    frames.extend(0u32.to_be_bytes());
    frames.extend(INADEQUATE_SECURITY.to_be_bytes());
    frames.extend(text.bytes().take(usize::from(length) - 8));
    frames
}

fn http1(text: &str) -> Vec<u8> {
    let length = text.len() + 1;
    format!("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}\n")
        .into_bytes()
}
