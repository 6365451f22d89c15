//! The parts of an access file, for programs that take each from a file of its own.

use std::path::{Path, PathBuf};

use crate::{AccessError, AccessFile, secret};

/// The parts of an access file, as PEM.
pub struct Parts {
    certificate: String,
    key: String,
    authorities: String,
    /// The name in the coordinator's certificate; `None` if it is the host of the address.
    pub server_name: Option<String>,
}

/// The files that parts were written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartFiles {
    /// The client's certificate, and those between it and the authority.
    pub certificate: PathBuf,
    /// Its key, which nobody else can read.
    pub key: PathBuf,
    /// The certificates of the authorities.
    pub authorities: PathBuf,
}

impl Parts {
    /// Reads an access file.
    ///
    /// # Errors
    /// As [`AccessFile::read`].
    pub fn read(path: &Path) -> Result<Self, AccessError> {
        let content = secret::read(path)?;
        let file = AccessFile::of(&content).map_err(|error| error.within(path))?;
        let server_name = file.server_name.as_ref().map(|name| name.to_str().into_owned());
        let text = String::from_utf8_lossy(&content);
        let (mut certificate, mut key, mut authorities) = (String::new(), String::new(), String::new());
        let mut begun: Option<&mut String> = None;
        for line in text.lines().map(str::trim_end) {
            if line.starts_with("-----BEGIN ") {
                begun = Some(match (line.contains("PRIVATE KEY"), key.is_empty()) {
                    (true, _) => &mut key,
                    (false, true) => &mut certificate,
                    (false, false) => &mut authorities,
                });
            }
            let Some(into) = &mut begun else { continue };
            into.push_str(line);
            into.push('\n');
            if line.starts_with("-----END ") {
                begun = None;
            }
        }
        Ok(Self { certificate, key, authorities, server_name })
    }

    /// Writes them to files of this folder, readable for their owner only. Existing files are replaced.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&self, folder: &Path) -> Result<PartFiles, AccessError> {
        let files = PartFiles {
            certificate: folder.join("cert.pem"),
            key: folder.join("key.pem"),
            authorities: folder.join("ca.pem"),
        };
        secret::write(&files.certificate, self.certificate.as_bytes())?;
        secret::write(&files.key, self.key.as_bytes())?;
        secret::write(&files.authorities, self.authorities.as_bytes())?;
        Ok(files)
    }
}

/// Reads a file with a secret.
///
/// # Errors
/// If it is missing, cannot be read, or others can read it.
pub fn read_secret(path: &Path) -> Result<String, AccessError> {
    secret::read(path).map(|content| String::from_utf8_lossy(&content).into_owned())
}
