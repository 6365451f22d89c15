//! Texts with certificates and keys.

use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{PemObject as _, SectionKind},
};

use crate::AccessError;

/// The sections of a text: certificates before the key, the key, and certificates after it. What is between sections is
/// ignored.
#[derive(Default)]
pub(crate) struct Sections {
    pub(crate) before: Vec<CertificateDer<'static>>,
    pub(crate) key: Option<PrivateKeyDer<'static>>,
    pub(crate) after: Vec<CertificateDer<'static>>,
}

impl Sections {
    /// # Errors
    /// If a section is malformed, or there are two keys.
    pub(crate) fn of(text: &[u8]) -> Result<Self, AccessError> {
        let mut found = Self::default();
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
            // The error could quote a key.
            let (kind, der) =
                section.map_err(|_| AccessError::Malformed("a section of it is not valid PEM".to_owned()))?;
            match kind {
                SectionKind::Certificate if found.key.is_none() => found.before.push(der.into()),
                SectionKind::Certificate => found.after.push(der.into()),
                SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                    let key = PrivateKeyDer::from_pem(kind, der);
                    if found.key.is_some() || key.is_none() {
                        return Err(AccessError::Malformed("it has two keys".to_owned()));
                    }
                    found.key = key;
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// All certificates.
    pub(crate) fn certificates(self) -> Vec<CertificateDer<'static>> {
        self.before.into_iter().chain(self.after).collect()
    }
}
