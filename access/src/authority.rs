//! The authority of a coordinator: makes the certificates of the coordinator and of its clients.

use std::ops::Range;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::{
    AccessError,
    grant::Grant,
    identity::hexadecimal,
    moment::{DAY, Moment},
    pem::Sections,
};

/// How long an authority is valid.
const YEARS: u32 = 20;
/// Certificates begin this much earlier, for hosts whose clocks differ.
const EARLIER: std::time::Duration = DAY;

/// The authority of a coordinator.
pub struct Authority {
    id: String,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    /// Certificate and key.
    pem: String,
}

/// A certificate that an authority made, with its key.
pub(crate) struct Issued {
    pub(crate) serial: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn make(now: Moment) -> Result<Self, AccessError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        let id = id_of(&params, &key);
        params.distinguished_name = called(&format!("colearn authority {id}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let valid = now.before(EARLIER)..now.after(DAY * 365 * YEARS);
        let (_, params) = dated(params, &valid);
        let certificate = params.self_signed(&key)?;
        let pem = format!("{}{}", certificate.pem(), key.serialize_pem());
        Ok(Self { id, certificate: certificate.der().clone(), issuer: Issuer::new(params, key), pem })
    }

    /// The authority whose certificate and key are in a text.
    ///
    /// # Errors
    /// If they are not.
    pub fn of_pem(text: &str) -> Result<Self, AccessError> {
        let Sections { before: certificates, key, .. } = Sections::of(text.as_bytes())?;
        let ([certificate], Some(key)) = (certificates.as_slice(), key) else {
            return Err(AccessError::Malformed("an authority is one certificate and its key".to_owned()));
        };
        let key = KeyPair::try_from(&key)?;
        let id = id_of(&CertificateParams::default(), &key);
        let issuer = Issuer::from_ca_cert_der(certificate, key)?;
        Ok(Self { id, certificate: certificate.clone(), issuer, pem: text.to_owned() })
    }

    /// The text with its certificate and key.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A short digest of its key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The name in the certificate of its coordinator. It is not that of a host: a coordinator is recognised by its
    /// authority, under whatever address it is reached.
    #[must_use]
    pub fn server_name(&self) -> String {
        format!("{}.coordinator.colearn.internal", self.id)
    }

    /// A credential of a client.
    pub(crate) fn issue(&self, grant: &Grant, valid: &Range<Moment>) -> Result<Issued, AccessError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = called(grant.holder());
        let uri = grant.uri().try_into()?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, &(valid.start.before(EARLIER)..valid.end))
    }

    /// The certificate of its coordinator.
    pub(crate) fn server(
        &self,
        valid: &Range<Moment>,
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), AccessError> {
        let mut params = CertificateParams::new([self.server_name()])?;
        params.distinguished_name = called("colearn coordinator");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let (_, params) = self.prepared(params, &(valid.start.before(EARLIER)..valid.end));
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()).into()))
    }

    fn sign(&self, params: CertificateParams, valid: &Range<Moment>) -> Result<Issued, AccessError> {
        let key = KeyPair::generate()?;
        let (serial, params) = self.prepared(params, valid);
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued { serial, certificate: certificate.pem(), key: key.serialize_pem() })
    }

    fn prepared(&self, mut params: CertificateParams, valid: &Range<Moment>) -> (String, CertificateParams) {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        dated(params, valid)
    }
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

fn id_of(params: &CertificateParams, key: &KeyPair) -> String {
    let mut id: String = params.key_identifier(key).iter().map(|byte| format!("{byte:02x}")).collect();
    id.truncate(16);
    id
}

/// The parameters with dates and a random serial number, which is returned too.
fn dated(mut params: CertificateParams, valid: &Range<Moment>) -> (String, CertificateParams) {
    params.not_before = valid.start.date_time();
    params.not_after = valid.end.date_time();
    let mut serial = uuid::Uuid::new_v4().into_bytes();
    // The number is positive, and always of the same length.
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    (hexadecimal(&serial), params)
}
