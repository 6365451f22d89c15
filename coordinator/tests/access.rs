//! Who is not let in: attacks on the door of a coordinator, each with what the client is told and the line in the log.

#![expect(clippy::unwrap_used, reason = "a helper of tests that fails is a test that fails")]

#[expect(dead_code, reason = "the tests in that folder use more of it")]
#[path = "coordinator/support/mod.rs"]
mod support;

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use colearn_access::{AccessFolder, DAY, Moment, Role, Way, connect};
use colearn_proto::v1::{self, sweep_service_client::SweepServiceClient};
use support::secured::{Secured, mixed};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::pem::PemObject as _, version::TLS13},
};

/// What the coordinator logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    async fn says(&self, line: &str) {
        let deadline = Instant::now() + support::SOON;
        while !self.text().contains(line) {
            assert!(Instant::now() < deadline, "`{line}` is not in the log:\n{}", self.text());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The first message of TLS from a client that knows nothing newer than TLS 1.2.
fn hello_of_tls12() -> Vec<u8> {
    let extensions = [
        // Signatures: ECDSA with P-256 and SHA-256.
        &[0x00, 0x0d, 0x00, 0x04, 0x00, 0x02, 0x04, 0x03][..],
        // Groups: P-256.
        &[0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x17],
    ]
    .concat();
    let mut body = vec![0x03, 0x03];
    body.extend([7; 32]);
    // No session; one cipher suite, ECDHE-ECDSA-AES128-GCM; no compression.
    body.extend([0x00, 0x00, 0x02, 0xc0, 0x2b, 0x01, 0x00]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let mut message = vec![0x01, 0x00];
    message.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    message.extend(body);
    let mut record = vec![0x16, 0x03, 0x01];
    record.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
    record.extend(message);
    record
}

/// What a client without a certificate is told.
async fn without_certificate(secured: &Secured) -> String {
    let mut roots = RootCertStore::empty();
    let text = std::fs::read(secured.access.file("look")).unwrap();
    let authority = tokio_rustls::rustls::pki_types::CertificateDer::pem_slice_iter(&text).last().unwrap();
    roots.add(authority.unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = secured.access.authorities().unwrap()[0].server_name();
    let stream = TcpStream::connect(secured.coordinator.address()).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name.try_into().unwrap(), stream).await.unwrap();
    stream.read_u8().await.unwrap_err().to_string()
}

async fn answer(secured: &Secured, first: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(secured.coordinator.address()).await.unwrap();
    stream.write_all(first).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(support::SOON, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    answer
}

fn contains(text: &str, part: &str) {
    assert!(text.contains(part), "`{part}` is not in: {text}");
}

#[tokio::test]
async fn nobody_without_a_credential_of_this_coordinator_gets_in() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    let secured = Secured::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other = AccessFolder::of(elsewhere.path());
    other.open(Moment::now()).unwrap();
    let refused = async |file: &Path| secured.try_channel(file).await.unwrap_err();

    // The rightful one gets in.
    let people = secured.access.file("people");
    let mut person = SweepServiceClient::new(secured.channel(&people).await);
    person.list_sweeps(v1::ListSweepsRequest {}).await.unwrap();

    contains(&without_certificate(&secured).await, "CertificateRequired");
    log.says("was not let in: it has no credential").await;

    // The client does not trust it first.
    contains(&refused(&other.file("people")).await, "is not the coordinator of the access file");
    log.says("it does not trust this coordinator").await;

    // A client that trusts the coordinator, with a certificate of another authority.
    let forged = mixed(&other.file("people"), &people, &elsewhere.path().join("forged"));
    contains(&refused(&forged).await, "it is of another authority");
    log.says("its credential is of another authority").await;

    // Here the client's own clock is not asked: the coordinator refuses it.
    let past = Moment::now().before(DAY * 9)..Moment::now().before(DAY);
    let expired = secured.file_valid(Role::Operate, "late", past);
    contains(&refused(&expired).await, "it has expired on");
    contains(&expired_there(&secured, &expired).await, "CertificateExpired");
    log.says("its credential has expired").await;

    let taken_back = secured.file(Role::Operate, "gone");
    secured.access.revoke("gone", Moment::now()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let told = loop {
        match secured.try_channel(&taken_back).await {
            Err(told) => break told,
            Ok(_) => assert!(Instant::now() < deadline, "it is still let in"),
        }
    };
    contains(&told, "it was revoked");
    log.says("its credential was revoked").await;

    // Plain text, as gRPC and as HTTP/1.
    let told = answer(&secured, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    contains(&String::from_utf8_lossy(&told), "this coordinator speaks TLS");
    // Calls fail in several ways, and it is known why.
    let way = Way::to(&format!("http://{}", secured.coordinator.address()), None, Role::Look).unwrap();
    if let Ok(channel) = connect(way.clone(), |endpoint| endpoint).await {
        SweepServiceClient::new(channel).list_sweeps(v1::ListSweepsRequest {}).await.unwrap_err();
    }
    contains(&way.wants_tls().unwrap().to_string(), "speaks TLS: use https://127.0.0.1:");
    log.says("it speaks no TLS").await;
    let told = answer(&secured, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    contains(&String::from_utf8(told).unwrap(), "400 Bad Request");

    // Downgrade: the alert `protocol_version`.
    let told = answer(&secured, &hello_of_tls12()).await;
    assert_eq!((told[0], told.last()), (0x15, Some(&0x46)), "{told:x?}");
    log.says("it speaks no TLS 1.3").await;

    // Nothing of a key is in the log.
    for file in [&people, &forged, &expired, &taken_back] {
        let text = std::fs::read_to_string(file).unwrap();
        for line in text.lines().filter(|line| line.len() == 64) {
            assert!(!log.text().contains(line));
        }
    }
    secured.coordinator.stop().await.unwrap();
}

/// What the coordinator says of an expired credential.
async fn expired_there(secured: &Secured, file: &Path) -> String {
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let text = std::fs::read(file).unwrap();
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text).map(Result::unwrap).collect();
    let [own, authority] = certificates.try_into().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![own], PrivateKeyDer::from_pem_slice(&text).unwrap())
        .unwrap();
    let name = secured.access.authorities().unwrap()[0].server_name();
    let stream = TcpStream::connect(secured.coordinator.address()).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name.try_into().unwrap(), stream).await.unwrap();
    stream.read_u8().await.unwrap_err().to_string()
}
