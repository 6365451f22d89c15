//! A coordinator that lets in only who has a credential, and credentials of all kinds.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use colearn_access::{AccessFolder, DAY, Grant, Moment, Role, ServerAccess, Source, Way, connect, denied};
use colearn_coordinator::{Config, RunningCoordinator};
use tempfile::TempDir;
use tonic::transport::Channel;

use super::{config, start_with};

/// A coordinator with TLS on a free port.
pub(crate) struct Secured {
    pub(crate) folder: TempDir,
    pub(crate) access: AccessFolder,
    pub(crate) coordinator: RunningCoordinator,
}

impl Secured {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    pub(crate) async fn start_in(folder: TempDir) -> Self {
        let access = AccessFolder::of(folder.path());
        let opened = ServerAccess::open(Source::Folder(access.clone())).unwrap();
        let config = Config { access: Some(opened), ..config(folder.path()) };
        Self { coordinator: start_with(config).await.unwrap(), folder, access }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.coordinator.address())
    }

    /// An access file, valid for a day.
    pub(crate) fn file(&self, role: Role, name: &str) -> PathBuf {
        self.file_valid(role, name, Moment::now()..Moment::now().after(DAY))
    }

    pub(crate) fn file_valid(&self, role: Role, name: &str, valid: Range<Moment>) -> PathBuf {
        let grant = Grant::new(role, name).unwrap();
        self.access.issue(&grant, valid, None).unwrap().file
    }

    pub(crate) async fn channel(&self, file: &Path) -> Channel {
        self.try_channel(file).await.unwrap()
    }

    /// A channel, or the text for people why there is none.
    pub(crate) async fn try_channel(&self, file: &Path) -> Result<Channel, String> {
        try_connect(&self.url(), Some(file)).await
    }
}

/// A channel to an address, or the text for people why there is none.
pub(crate) async fn try_connect(url: &str, file: Option<&Path>) -> Result<Channel, String> {
    let way = Way::to(url, file, Role::Operate).map_err(|error| error.to_string())?;
    connect(way, |endpoint| endpoint).await.map_err(|error| match denied(&error) {
        Some(denied) => denied.to_string(),
        None => format!("not for lack of access: {error:?}"),
    })
}

/// The access file with the credential of one and the authorities of another.
pub(crate) fn mixed(credential: &Path, authorities: &Path, into: &Path) -> PathBuf {
    let [credential, authorities] = [credential, authorities].map(|path| fs::read_to_string(path).unwrap());
    const KEY: &str = "-----END PRIVATE KEY-----\n";
    let own = credential.split_inclusive(KEY).next().unwrap();
    let (before, trusted) = authorities.split_once(KEY).unwrap();
    let name = |text: &str| text.lines().find(|line| line.starts_with("Server-Name:")).unwrap().to_owned();
    let own = own.replace(&name(own), &name(before));
    fs::write(into, own + trusted).unwrap();
    fs::set_permissions(into, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    into.to_owned()
}
