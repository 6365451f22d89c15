//! The client's side: connects to a coordinator, and says clearly why it cannot.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use hyper_util::rt::TokioIo;
use tokio::{io::AsyncReadExt as _, net::TcpStream};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        AlertDescription, CertificateError, ClientConfig, Error as TlsError, RootCertStore,
        client::Resumption, crypto::ring, pki_types::ServerName, version::TLS13,
    },
};
use tokio_util::either::Either;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::{
    AccessError,
    address::Way,
    file::AccessFile,
    moment::Moment,
    stream::{Begun, Plain, begun, plain},
};

/// The reason why a coordinator does not let a client in, or a client does not trust it. Its text has the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// The access file cannot be used.
    #[error("the access file cannot be used: {0}")]
    File(#[from] AccessError),
    /// The coordinator speaks TLS, and the client does not.
    #[error(
        "the coordinator at {0} speaks TLS: use https://{0} and its access file (--access FILE or COLEARN_ACCESS)"
    )]
    NeedsTls(String),
    /// The coordinator speaks no TLS.
    #[error(
        "the program at {0} speaks no TLS: a coordinator that listens on loopback or with --insecure is reached as http://{0}, without --access"
    )]
    NoTls(String),
    /// It is another coordinator, or another program.
    #[error(
        "the program at {address} is not the coordinator of the access file {}: copy the file from that coordinator, or check the address", .file.display()
    )]
    Other {
        /// Host and port.
        address: String,
        /// The access file.
        file: PathBuf,
    },
    /// The coordinator refuses the credential.
    #[error("the coordinator at {address} refuses the access file {}: {why}", .file.display())]
    Refused {
        /// Host and port.
        address: String,
        /// The access file.
        file: PathBuf,
        /// The reason, and the remedy.
        why: &'static str,
    },
    /// Another failure of the handshake.
    #[error("the TLS handshake with {address} failed: {cause}")]
    Handshake {
        /// Host and port.
        address: String,
        /// The reason.
        cause: TlsError,
    },
}

/// Connects to a coordinator.
///
/// # Errors
/// If that fails; [`denied`] tells whether it was for lack of access, and [`Way::wants_tls`] whether the coordinator
/// speaks only TLS, which may turn out with the first call.
pub async fn connect(
    way: Way,
    set_up: impl Fn(Endpoint) -> Endpoint,
) -> Result<Channel, tonic::transport::Error> {
    // The connection below is the protected one, so that the scheme has no meaning here.
    let endpoint = set_up(Endpoint::from_shared(format!("http://{}", way.authority()))?);
    let dial = service_fn(move |_: Uri| {
        let way = way.clone();
        async move { dial(&way).await.map(TokioIo::new) }
    });
    endpoint.connect_with_connector(dial).await
}

/// Whether an error, or its cause, is a lack of access.
#[must_use]
pub fn denied<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Denied> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(denied) = error.downcast_ref() {
            return Some(denied);
        }
        // An `io::Error` does not name what it contains as its source.
        if let Some(denied) =
            error.downcast_ref::<io::Error>().and_then(|error| error.get_ref()?.downcast_ref())
        {
            return Some(denied);
        }
        next = error.source();
    }
    None
}

/// A connection, protected or plain.
type Connected = Either<Plain, Begun>;

async fn dial(way: &Way) -> io::Result<Connected> {
    let denied = |denied: Denied| io::Error::new(io::ErrorKind::PermissionDenied, denied);
    let Some(path) = way.access() else {
        way.sign().set(false);
        return Ok(Either::Left(plain(tcp(way).await?, way.sign())));
    };
    // It is read anew each time: it may have been replaced.
    let file = AccessFile::read(path).map_err(|error| denied(error.into()))?;
    file.check_not_expired(Moment::now()).map_err(|error| denied(Denied::File(error.within(path))))?;
    let stream = tcp(way).await?;
    begin(stream, way, file, path).await.map(Either::Right)
}

async fn tcp(way: &Way) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((way.host(), way.port())).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Begins TLS, and waits for the first bytes of the coordinator: only then is it known whether it lets this client in.
async fn begin(stream: TcpStream, way: &Way, file: AccessFile, path: &Path) -> io::Result<Begun> {
    let explain = |error: io::Error| explain(error, way, path);
    let name = match &file.server_name {
        Some(name) => name.clone(),
        None => ServerName::try_from(way.host().to_owned())
            .map_err(|_| io::Error::other(format!("`{}` is not the name of a host", way.host())))?,
    };
    let config = config(file)
        .map_err(|error| io::Error::new(io::ErrorKind::PermissionDenied, Denied::File(error.within(path))))?;
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(explain)?;
    let mut first = vec![0; 1024];
    let read = stream.read(&mut first).await.map_err(explain)?;
    if read == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the coordinator closed the connection"));
    }
    first.truncate(read);
    Ok(begun(first, stream))
}

fn config(file: AccessFile) -> Result<ClientConfig, AccessError> {
    let mut roots = RootCertStore::empty();
    for authority in file.authorities {
        roots.add(authority)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(file.chain, file.key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Names the cause and the remedy of a failed handshake.
fn explain(error: io::Error, way: &Way, path: &Path) -> io::Error {
    let error = match error.downcast::<TlsError>() {
        Ok(error) => error,
        Err(error) => return error,
    };
    let (address, file) = (way.authority(), path.to_owned());
    let refused = |why| Denied::Refused { address: address.clone(), file: file.clone(), why };
    let denied = match error {
        TlsError::InvalidMessage(_) => Denied::NoTls(address),
        TlsError::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            Denied::Handshake { address, cause: error }
        }
        TlsError::InvalidCertificate(_) => Denied::Other { address, file },
        TlsError::AlertReceived(AlertDescription::CertificateRevoked) => {
            refused("it was revoked; get a new one from whoever runs the coordinator")
        }
        TlsError::AlertReceived(AlertDescription::CertificateExpired) => {
            refused("it has expired; get a new one from whoever runs the coordinator")
        }
        TlsError::AlertReceived(AlertDescription::UnknownCA | AlertDescription::DecryptError) => {
            refused("it is of another authority; copy the file from the folder `access` of that coordinator")
        }
        TlsError::AlertReceived(AlertDescription::CertificateRequired) => refused("it has no certificate"),
        TlsError::AlertReceived(AlertDescription::AccessDenied) => refused(
            "its certificate says no role, such as the URI colearn:operate/NAME among its alternative names",
        ),
        TlsError::AlertReceived(AlertDescription::BadCertificate) => {
            refused("its certificate is not valid there; do the clocks of both hosts agree?")
        }
        cause => Denied::Handshake { address, cause },
    };
    io::Error::new(io::ErrorKind::PermissionDenied, denied)
}
