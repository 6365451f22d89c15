//! Webhooks whose receiver speaks TLS, with an authority of its own.

use std::{fs, net::TcpStream, sync::Arc, sync::atomic::Ordering, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
};

use crate::{
    lab::{Lab, Running, text},
    notifications::{SECRET, private, receiver_behind},
};

/// An authority of the test's own.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// TLS of a server with a certificate for this name.
    fn server(&self, name: &str) -> impl Fn(TcpStream) -> StreamOwned<ServerConnection, TcpStream> + use<> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate: CertificateDer<'static> =
            params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key.into())
            .unwrap();
        let config = Arc::new(config);
        move |stream| StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream)
    }
}

struct Stage {
    lab: Lab,
}

impl Stage {
    /// A coordinator with this webhook that trusts the authorities in a file.
    fn coordinator(&self, webhook: &str, trusted: &str) -> (Running, String) {
        let state = ["coordinator", "--listen", "127.0.0.1:0", "--state", "state"];
        let hook = ["--webhook", webhook, "--webhook-secret-file", "secret"];
        let mut command = self.lab.colearn_command(&[&state[..], &hook].concat());
        command.env("SSL_CERT_FILE", self.lab.path().join(trusted)).env_remove("SSL_CERT_DIR");
        self.lab.serve(command).unwrap_or_else(|| panic!("{}", self.lab.logs()))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.lab.path().join("coordinator.log")).unwrap()
    }

    /// Waits until the log says this so many times, and stops the coordinator.
    fn stop_when_said(&self, coordinator: Running, what: &str, times: usize) {
        self.lab.wait_for(what, || self.log().matches(what).count() >= times);
        coordinator.interrupt();
        assert_eq!(coordinator.code(), 0);
    }
}

#[test]
fn an_https_receiver_is_told_if_its_certificate_is_trusted_and_is_for_its_name() {
    let stage = Stage { lab: Lab::new() };
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    private(&stage.lab, "secret", SECRET);
    stage.lab.write("ours.pem", &ours.pem);
    stage.lab.write("others.pem", &others.pem);
    let (port, accepts, got) = receiver_behind(ours.server("127.0.0.1"));
    let (elsewhere, _, got_elsewhere) = receiver_behind(ours.server("receiver.example"));
    accepts.store(true, Ordering::SeqCst);
    let (right, wrong) = (format!("https://127.0.0.1:{port}/"), format!("https://127.0.0.1:{elsewhere}/"));

    // Who signed it is not trusted. It is tried again, and tells nothing.
    let (coordinator, url) = stage.coordinator(&right, "others.pem");
    for arguments in [["submit", "small.yaml"], ["cancel", "small"]] {
        let output = stage.lab.colearn(&[&arguments[..], &["--coordinator", &url]].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    stage.stop_when_said(coordinator, "does not trust who signed its certificate", 2);
    let log = stage.log();
    assert!(log.contains("SSL_CERT_FILE") && log.contains("wait=1s") && log.contains("wait=2s"), "{log}");
    assert!(got.try_recv().is_err(), "nothing is sent to who is not trusted");

    // The certificate is that of somebody else.
    let (coordinator, _) = stage.coordinator(&wrong, "ours.pem");
    stage.stop_when_said(coordinator, "its certificate is for another name", 1);
    assert!(got_elsewhere.try_recv().is_err());

    // The event is the same through all of this.
    let (coordinator, _) = stage.coordinator(&right, "ours.pem");
    let told = got.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("{}", stage.log()));
    told.verify();
    assert!(told.body.contains("\"type\":\"sweep.cancelled\""), "{}", told.body);
    stage.stop_when_said(coordinator, "was told", 1);
    assert!(got.try_recv().is_err(), "it is told once");
}
