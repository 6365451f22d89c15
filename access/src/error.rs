//! Errors of certificates and their files.

use std::{io, path::PathBuf};

/// The reason why certificates cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A file cannot be read or written.
    #[error("{} cannot be {what}: {cause}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// There is no access file.
    #[error("there is no access file {}: copy one from the folder `access` in the coordinator's state folder", .0.display())]
    Missing(PathBuf),
    /// Others can read a key.
    #[error("{} can be read or changed by others (mode {mode:03o}), and it is a key: chmod 600 {}", .path.display(), .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A key belongs to another user.
    #[error("{} belongs to user id {owner}, who knows the key in it: use a file of your own", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// The contents of a file are wrong.
    #[error("{}: {cause}", .path.display())]
    In {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: Box<AccessError>,
    },
    /// Something is not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// The credential has ended.
    #[error("it has expired on {0}: get a new one, which `colearn access new` makes at the coordinator")]
    Expired(crate::Moment),
    /// A name of a credential, or its role, is wrong, or there is none of that name.
    #[error("{0}")]
    Named(String),
    /// A certificate cannot be made.
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    /// The certificates do not fit each other, or are of a kind that is not supported.
    #[error("the certificates cannot be used: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
    /// No client's certificate could be checked.
    #[error("the certificates of the authority cannot be used: {0}")]
    Verifier(#[from] tokio_rustls::rustls::client::VerifierBuilderError),
}

impl AccessError {
    /// The error, with the file that it is in.
    pub(crate) fn within(self, path: &std::path::Path) -> Self {
        match self {
            Self::Malformed(_) | Self::Make(_) | Self::Tls(_) | Self::Verifier(_) | Self::Expired(_) => {
                Self::In { path: path.to_owned(), cause: Box::new(self) }
            }
            _ => self,
        }
    }
}
