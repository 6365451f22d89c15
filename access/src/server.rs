//! The coordinator's side: lets in who has a credential, and nobody else.

use std::{
    collections::BTreeSet,
    fmt,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use tokio_rustls::rustls::{
    DigitallySignedStruct, DistinguishedName, Error as TlsError, RootCertStore, ServerConfig,
    SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime},
    server::{
        ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
    version::TLS13,
};
use tokio_util::sync::CancellationToken;

use crate::{
    AccessError,
    folder::AccessFolder,
    identity::Identity,
    moment::{DAY, Moment},
    pem::Sections,
    secret,
    visits::{Visit, Visits},
};

/// How long the certificate of a coordinator is valid, and after how many days a running one makes another.
const SERVER_DAYS: u32 = 90;
const RENEWED_AFTER_DAYS: u32 = 30;

/// Where the certificates of a coordinator come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Its own authority.
    Folder(AccessFolder),
    /// An authority that somebody else keeps.
    Files {
        /// The coordinator's certificate, with those between it and the authority.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
        /// The authority of clients.
        authority: PathBuf,
        /// The list of revoked certificates is here.
        folder: AccessFolder,
    },
}

/// Decides who may come in. It follows changes of its files while it runs, see [`ServerAccess::reload`].
#[derive(Clone)]
pub struct ServerAccess(Arc<Inner>);

struct Inner {
    source: Source,
    current: RwLock<Current>,
    visits: Visits,
}

/// What a connection begins with.
pub(crate) struct Entrance {
    pub(crate) config: Arc<ServerConfig>,
    /// See [`Current`].
    pub(crate) distrusted: u64,
}

struct Current {
    config: Arc<ServerConfig>,
    /// How often authorities were withdrawn before.
    distrusted: u64,
    trusted: Vec<CertificateDer<'static>>,
    revoked: Arc<BTreeSet<String>>,
    /// Names of workers that belong to a credential.
    owned: BTreeSet<String>,
    stamp: Stamp,
    made: Moment,
    /// The end of the certificate of the coordinator.
    until: Moment,
}

type Stamp = Vec<(u64, i64, i64)>;

/// The reason why a client that was let in is not served any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// Its credential was revoked.
    #[error("the credential was revoked")]
    Revoked,
    /// Its credential has expired.
    #[error("the credential has expired")]
    Expired,
}

impl ServerAccess {
    /// Reads the certificates, or makes them.
    ///
    /// # Errors
    /// If they cannot be read, made or used.
    pub fn open(source: Source) -> Result<Self, AccessError> {
        let now = Moment::now();
        if let Source::Folder(folder) = &source {
            folder.open(now)?;
        }
        let current = RwLock::new(Current::of(&source, now)?);
        Ok(Self(Arc::new(Inner { source, current, visits: Visits::default() })))
    }

    /// What the next connection begins with.
    pub(crate) fn entrance(&self) -> Entrance {
        let current = self.current();
        Entrance { config: current.config.clone(), distrusted: current.distrusted }
    }

    /// The end of the coordinator's own certificate.
    #[must_use]
    pub fn until(&self) -> Moment {
        self.current().until
    }

    /// Follows changes of the files: new authorities, names and revocations. Closes the connections of those that may
    /// not stay. Returns whether something has changed.
    ///
    /// # Errors
    /// If the files cannot be read: what was known before stays in force.
    pub fn reload(&self, now: Moment) -> Result<bool, AccessError> {
        let (stamp, made) = {
            let current = self.current();
            (current.stamp.clone(), current.made)
        };
        let is_old = made.after(DAY * RENEWED_AFTER_DAYS) <= now;
        let changed = is_old || stamp != stamp_of(&self.0.source);
        let read = if changed { Current::of(&self.0.source, now).map(Some) } else { Ok(None) };
        let read = read.map(|new| {
            let Some(new) = new else { return };
            let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
            let distrusted = current.trusted.iter().any(|known| !new.trusted.contains(known));
            let before = current.distrusted;
            *current = Current { distrusted: before + u64::from(distrusted), ..new };
            drop(current);
            if distrusted {
                // Whoever is still trusted comes back.
                self.0.visits.end(|_| true);
            }
        });
        // Also while the files cannot be read.
        self.0.visits.end(|identity| match self.admits(identity, now) {
            Ok(()) => false,
            Err(ended) => {
                let Identity { grant, serial, .. } = identity;
                tracing::warn!(who = %grant, serial, "{ended}; its connection is closed");
                true
            }
        });
        for identity in self.0.visits.newly_ending(now) {
            if let Some(warning) = identity.until.warning("the credential", now) {
                tracing::warn!(who = %identity.grant, serial = identity.serial, "{warning}");
            }
        }
        read.map(|()| changed)
    }

    /// Whether a client that was let in may stay.
    ///
    /// # Errors
    /// The reason why not.
    pub fn admits(&self, identity: &Identity, now: Moment) -> Result<(), Ended> {
        if self.current().revoked.contains(&identity.serial) {
            return Err(Ended::Revoked);
        }
        if identity.until <= now { Err(Ended::Expired) } else { Ok(()) }
    }

    /// Whether a client may be this worker.
    ///
    /// # Errors
    /// The reason why not.
    pub fn may_be_worker(&self, identity: &Identity, worker: &str) -> Result<(), String> {
        let current = self.current();
        identity.grant.may_be_worker(worker, |name| current.owned.contains(name))
    }

    /// Notes a connection, which is closed through `cut` when its client may not stay. The connection is forgotten
    /// with the returned value.
    #[must_use]
    pub fn enter(&self, identity: Arc<Identity>, cut: CancellationToken) -> Visit {
        self.0.visits.enter(identity, cut)
    }

    fn current(&self) -> RwLockReadGuard<'_, Current> {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ServerAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerAccess").field("source", &self.0.source).finish_non_exhaustive()
    }
}

impl Current {
    fn of(source: &Source, now: Moment) -> Result<Self, AccessError> {
        // Before anything is read: a later change then makes a difference.
        let stamp = stamp_of(source);
        let provider = Arc::new(ring::default_provider());
        let (trusted, certificates, folder, until) = match source {
            Source::Folder(folder) => {
                let until = now.after(DAY * SERVER_DAYS);
                let authorities = folder.authorities()?;
                let mut certificates = Vec::new();
                for authority in &authorities {
                    let (certificate, key) = authority.server(&(now..until))?;
                    certificates.push((Some(authority.server_name()), certified(vec![certificate], &key)?));
                }
                let trusted = authorities.iter().map(|it| it.certificate().clone()).collect();
                (trusted, certificates, folder, until)
            }
            Source::Files { certificate, key, authority, folder } => {
                let chain = certificates_of(certificate)?;
                let of_key = Sections::of(&secret::read(key)?).map_err(|error| error.within(key))?;
                let no_key = || AccessError::Malformed("there is no key in it".to_owned()).within(key);
                let of_key = of_key.key.ok_or_else(no_key)?;
                let until = chain.first().map_or(now, |own| until_of(own));
                let own = certified(chain, &of_key).map_err(|error| error.within(certificate))?;
                own.keys_match().map_err(|error| AccessError::Tls(error).within(key))?;
                (certificates_of(authority)?, vec![(None, own)], folder, until)
            }
        };
        let revoked = Arc::new(folder.revoked()?);
        let owned = folder.names_of_workers()?;
        let mut roots = RootCertStore::empty();
        for certificate in &trusted {
            roots.add(certificate.clone())?;
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
        let verifier = Doorkeeper { verifier, revoked: revoked.clone() };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(ByName(certificates)));
        config.alpn_protocols = vec![b"h2".to_vec()];
        // A resumed session would not be checked again.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self { config: Arc::new(config), distrusted: 0, trusted, revoked, owned, stamp, made: now, until })
    }
}

fn stamp_of(source: &Source) -> Stamp {
    match source {
        Source::Folder(folder) => folder.stamp(),
        Source::Files { certificate, key, authority, folder } => {
            let of = |path: &PathBuf| {
                path.metadata().map_or((0, 0, 0), |it| (it.ino(), it.mtime(), it.mtime_nsec()))
            };
            [certificate, key, authority].map(of).into_iter().chain(folder.stamp()).collect()
        }
    }
}

fn certificates_of(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, AccessError> {
    let failed = |cause| AccessError::File { path: path.clone(), what: "read", cause };
    let found = Sections::of(&std::fs::read(path).map_err(failed)?).map_err(|error| error.within(path))?;
    let certificates = found.certificates();
    if certificates.is_empty() {
        return Err(AccessError::Malformed("there is no certificate in it".to_owned()).within(path));
    }
    Ok(certificates)
}

fn until_of(certificate: &CertificateDer<'_>) -> Moment {
    x509_parser::parse_x509_certificate(certificate)
        .map_or(Moment(0), |(_, certificate)| Moment(certificate.validity().not_after.timestamp()))
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'static>,
) -> Result<CertifiedKey, AccessError> {
    Ok(CertifiedKey::new(chain, ring::sign::any_supported_type(key)?))
}

/// The certificate that a client asks for by the name of its authority; the newest one for any other name.
struct ByName(Vec<(Option<String>, CertifiedKey)>);

impl fmt::Debug for ByName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let wanted = hello.server_name();
        let named = self.0.iter().find(|(name, _)| name.as_deref() == wanted);
        named.or_else(|| self.0.first()).map(|(_, key)| Arc::new(key.clone()))
    }
}

/// Checks the certificates of clients: by their authority, and that they say a role and are not revoked.
#[derive(Debug)]
struct Doorkeeper {
    verifier: Arc<dyn ClientCertVerifier>,
    revoked: Arc<BTreeSet<String>>,
}

impl ClientCertVerifier for Doorkeeper {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Clients have one certificate, and need no hint which.
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        use tokio_rustls::rustls::CertificateError;

        let verified = self.verifier.verify_client_cert(certificate, between, now)?;
        let no_role = |_| CertificateError::ApplicationVerificationFailure;
        let identity = Identity::of(certificate).map_err(no_role)?;
        if self.revoked.contains(&identity.serial) {
            return Err(CertificateError::Revoked.into());
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
