//! Access files: one text file with all that a client needs.

use std::{fmt, path::Path};

use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::{
    AccessError,
    authority::{Authority, Issued},
    grant::{Grant, Role},
    identity::Identity,
    moment::Moment,
    pem::Sections,
    secret,
};

/// The line with the name that the certificate of the coordinator has.
const SERVER_NAME: &str = "Server-Name:";

/// The contents of an access file: a client's certificate, its key, and the authorities of its coordinator.
///
/// Certificates before the key are the client's, those after it the authorities. A line `Server-Name: NAME` says the
/// name in the coordinator's certificate; without one it is the host of the address.
pub struct AccessFile {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    pub(crate) server_name: Option<ServerName<'static>>,
    identity: Identity,
}

impl fmt::Debug for AccessFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessFile").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl AccessFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it is missing, not an access file, or can be read by others.
    pub fn read(path: &Path) -> Result<Self, AccessError> {
        Self::of(&secret::read(path)?).map_err(|error| error.within(path))
    }

    /// Reads the text of an access file.
    ///
    /// # Errors
    /// If it is none.
    pub fn of(text: &[u8]) -> Result<Self, AccessError> {
        let Sections { before: chain, key, after: authorities } = Sections::of(text)?;
        let (Some(first), Some(key), false) = (chain.first(), key, authorities.is_empty()) else {
            return Err(AccessError::Malformed(
                "it is not an access file, which has a certificate, its key, and the certificate of the authority, in this order"
                    .to_owned(),
            ));
        };
        let identity = Identity::of(first).map_err(|error| AccessError::Malformed(error.to_string()))?;
        let text = String::from_utf8_lossy(text);
        let server_name = text.lines().find_map(|line| line.trim().strip_prefix(SERVER_NAME)).map(str::trim);
        let server_name = server_name.map(|name| ServerName::try_from(name.to_owned())).transpose();
        let server_name = server_name.map_err(|_| {
            AccessError::Malformed(format!("the name behind `{SERVER_NAME}` is not one of a host"))
        })?;
        Ok(Self { chain, key, authorities, server_name, identity })
    }

    /// Whose it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Refuses a file that has ended.
    ///
    /// # Errors
    /// If it has.
    pub fn check_not_expired(&self, now: Moment) -> Result<(), AccessError> {
        if self.identity.until <= now { Err(AccessError::Expired(self.identity.until)) } else { Ok(()) }
    }
}

/// The text of an access file.
pub(crate) fn render(authorities: &[Authority], grant: &Grant, issued: &Issued, until: Moment) -> String {
    let may = match grant.role() {
        Role::Look => "see everything at the coordinator",
        Role::Operate => "submit, change and remove sweeps, which can run programs on workers",
        Role::Work => "be a worker of the coordinator",
    };
    let mut text = format!(
        "# An access file of colearn, for {grant}, until {until}; serial {}.\n\
         # Keep it secret: whoever has it can {may}.\n",
        issued.serial
    );
    if let Some(authority) = authorities.first() {
        text += &format!("{SERVER_NAME} {}\n", authority.server_name());
    }
    text += &issued.certificate;
    text += &issued.key;
    for authority in authorities {
        // An authority's text begins with its certificate.
        let certificate =
            authority.pem().split_inclusive("-----END CERTIFICATE-----").next().unwrap_or_default();
        text += certificate;
        text.push('\n');
    }
    text
}
