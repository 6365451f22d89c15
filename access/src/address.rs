//! Addresses of coordinators as people write them, and how they are reached.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tonic::transport::Uri;

use crate::{client::Denied, grant::Role, place};

/// A coordinator, and how to reach it.
#[derive(Clone, Debug)]
pub struct Way {
    host: String,
    port: u16,
    access: Option<PathBuf>,
    /// A coordinator has refused plain text.
    sign: Sign,
}

/// Something that was noticed on a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sign(Arc<AtomicBool>);

impl Sign {
    pub(crate) fn set(&self, seen: bool) {
        self.0.store(seen, Ordering::Relaxed);
    }
}

/// An address that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It has not the form of an address.
    #[error("`{address}` {why}: write it as host:port, such as 127.0.0.1:7117 or https://login1:7117")]
    Form {
        /// As written.
        address: String,
        /// What is wrong.
        why: &'static str,
    },
    /// It needs an access file, and there is none.
    #[error(
        "{address} needs an access file: name it with --access FILE or COLEARN_ACCESS, or copy it to {}; the coordinator wrote it to the folder `access` in its state folder (http:// is for a coordinator with --insecure)",
        .place.as_ref().map_or_else(|| "~/.config/colearn".to_owned(), |place| place.display().to_string())
    )]
    NoAccessFile {
        /// As written.
        address: String,
        /// Where an access file would be found.
        place: Option<PathBuf>,
    },
    /// It asks for plain text to another machine, and an access file is given.
    #[error(
        "http:// asks for plain text, and an access file was given: write https://{0}, or leave out --access"
    )]
    Contradiction(String),
}

impl Way {
    /// Finds out how to reach `address`. `https://` needs an access file; `http://` is plain text; without either, it
    /// is plain text on this machine, unless an access file is `given`. An access file that is not given is looked for
    /// in the user's configuration folder, under the name for the role.
    ///
    /// # Errors
    /// If the address is malformed, or there is no access file where one is needed.
    pub fn to(address: &str, given: Option<&Path>, role: Role) -> Result<Self, AddressError> {
        Self::with_place(address, given, place::default_file(role))
    }

    fn with_place(address: &str, given: Option<&Path>, place: Option<PathBuf>) -> Result<Self, AddressError> {
        let (scheme, rest) = match address.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, address),
        };
        let wrong = |why| AddressError::Form { address: address.to_owned(), why };
        let uri: Uri = format!("http://{rest}").parse().map_err(|_| wrong("is not an address"))?;
        if !matches!(scheme, None | Some("http" | "https")) {
            return Err(wrong("begins with neither http:// nor https://"));
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| wrong("has no host"))?;
        let port = uri.port_u16().ok_or_else(|| wrong("has no port"))?;
        if uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
            return Err(wrong("has a path"));
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(wrong("has a user"));
        }
        let way = |access| Ok(Self { host: host.to_owned(), port, access, sign: Sign::default() });
        let found = || given.map(Path::to_owned).or_else(|| place.clone().filter(|place| place.exists()));
        let missing = || AddressError::NoAccessFile { address: address.to_owned(), place: place.clone() };
        match scheme {
            Some("http") if given.is_some() && !is_loopback(host) => {
                Err(AddressError::Contradiction(rest.to_owned()))
            }
            Some("http") => way(None),
            Some(_) => way(Some(found().ok_or_else(missing)?)),
            None if is_loopback(host) => way(given.map(Path::to_owned)),
            None => way(Some(found().ok_or_else(missing)?)),
        }
    }

    /// Host and port.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The host, without the brackets of an IPv6 address.
    pub(crate) fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The access file; `None` for plain text.
    #[must_use]
    pub fn access(&self) -> Option<&Path> {
        self.access.as_deref()
    }

    pub(crate) fn sign(&self) -> Sign {
        self.sign.clone()
    }

    /// What to do, if a coordinator has answered plain text by asking for TLS.
    #[must_use]
    pub fn wants_tls(&self) -> Option<Denied> {
        self.sign.0.load(Ordering::Relaxed).then(|| Denied::NeedsTls(self.authority()))
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.access.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }

    /// The warning about plain text to another machine.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        (self.access.is_none() && !is_loopback(&self.host)).then(|| {
            format!(
                "the connection to {} is neither encrypted nor protected: everybody on the network can read and change it",
                self.authority()
            )
        })
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_address_is_refused_with_the_form() {
        for (bad, why) in [
            ("", "is not an address"),
            ("localhost", "has no port"),
            ("http://localhost", "has no port"),
            ("http://localhost:1/x", "has a path"),
            ("ftp://localhost:1", "begins with neither"),
            ("http://a b:1", "is not an address"),
            ("http://x@localhost:1", "has a user"),
        ] {
            let error = Way::with_place(bad, None, None).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("host:port"), "{bad}: {error}");
        }
    }

    #[test]
    fn other_machines_are_reached_by_tls_unless_plain_text_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let (there, nowhere) = (folder.path().join("there"), folder.path().join("nowhere"));
        std::fs::write(&there, "").unwrap();
        let given = Path::new("given");
        let way = |address: &str, given: Option<&Path>, place: &Path| {
            Way::with_place(address, given, Some(place.to_owned())).map(|way| way.access)
        };
        for address in ["127.0.0.1:1", "localhost:1", "[::1]:1", "http://127.0.0.1:1", "http://login1:1"] {
            assert_eq!(way(address, None, &there), Ok(None), "{address}");
        }
        for address in ["login1:1", "10.0.0.7:1", "https://login1:1", "https://127.0.0.1:1"] {
            assert_eq!(way(address, None, &there), Ok(Some(there.clone())), "{address}");
            let error = way(address, None, &nowhere).unwrap_err().to_string();
            assert!(error.contains("--access FILE") && error.contains("nowhere"), "{error}");
        }
        for address in ["127.0.0.1:1", "login1:1", "https://login1:1"] {
            assert_eq!(way(address, Some(given), &there), Ok(Some(given.to_owned())), "{address}");
        }
        assert!(matches!(way("http://login1:1", Some(given), &there), Err(AddressError::Contradiction(_))));
        // As the worker of `colearn run` where COLEARN_ACCESS is set.
        assert_eq!(way("http://127.0.0.1:1", Some(given), &there), Ok(None));
    }

    #[test]
    fn plain_text_to_another_machine_is_warned_of() {
        let warning = |address| Way::with_place(address, None, None).unwrap().warning();
        assert_eq!(warning("127.0.0.1:1"), None);
        assert_eq!(warning("http://[::1]:1"), None);
        assert!(warning("http://login1:7117").unwrap().contains("login1:7117"));
    }
}
