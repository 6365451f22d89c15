//! Who a client is: what its certificate says.

use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

use crate::{grant::Grant, moment::Moment};

/// The holder of a certificate. Whether the certificate is to be believed is checked elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What it allows.
    pub grant: Grant,
    /// The serial number of the certificate, in hexadecimal.
    pub serial: String,
    /// The end of its validity.
    pub until: Moment,
}

/// The reason why a certificate is no credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoIdentity {
    /// It cannot be read.
    #[error("it is no certificate")]
    Malformed,
    /// It says no role.
    #[error(
        "its certificate says no role: it needs exactly one URI such as colearn:operate/NAME among its alternative names"
    )]
    NoGrant,
    /// It says a role that cannot be understood.
    #[error("its certificate says no usable role: {0}")]
    Grant(String),
}

impl Identity {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// If it is malformed, or does not say exactly one role.
    pub fn of(certificate: &[u8]) -> Result<Self, NoIdentity> {
        let (rest, certificate) =
            X509Certificate::from_der(certificate).map_err(|_| NoIdentity::Malformed)?;
        if !rest.is_empty() {
            return Err(NoIdentity::Malformed);
        }
        let names = certificate.subject_alternative_name().map_err(|_| NoIdentity::Malformed)?;
        let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
        let mut grants = names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Grant::of_uri(uri),
            _ => None,
        });
        let (Some(grant), None) = (grants.next(), grants.next()) else { return Err(NoIdentity::NoGrant) };
        let grant = grant.map_err(NoIdentity::Grant)?;
        let until = Moment(certificate.validity().not_after.timestamp());
        Ok(Self { grant, serial: hexadecimal(certificate.raw_serial()), until })
    }
}

/// The digits of a number, without zeros before it.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        number => number.to_owned(),
    }
}
