//! The folder `access` in the state folder of a coordinator: its authority, and the credentials that it gave.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io,
    ops::Range,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    AccessError,
    authority::Authority,
    file,
    grant::{Grant, Role},
    moment::Moment,
    secret,
};

/// How long a credential is valid, unless somebody says otherwise.
pub const VALID_FOR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const AUTHORITY: &str = "authority.pem";
const FORMER: &str = "authority-";
const ISSUED: &str = "issued";
const REVOKED: &str = "revoked";

/// The files that every folder has, with what they grant.
const GENERAL: [(&str, Role, Option<&str>); 3] = [
    ("worker", Role::Work, None),
    ("people", Role::Operate, Some("people")),
    ("look", Role::Look, Some("look")),
];

/// A credential that was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// The serial number of its certificate.
    pub serial: String,
    /// Its role.
    pub role: String,
    /// Its holder; `None` for the one that workers share.
    pub name: Option<String>,
    /// When it was given.
    pub from: Moment,
    /// Its end.
    pub until: Moment,
    /// The authority that gave it.
    pub authority: String,
    /// Where it was written.
    pub file: PathBuf,
}

impl Given {
    /// The holder, for people.
    #[must_use]
    pub fn holder(&self) -> &str {
        self.name.as_deref().unwrap_or("worker")
    }
}

/// The state of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It opens the door.
    Valid,
    /// It was taken back.
    Revoked,
    /// It has ended.
    Expired,
    /// Its authority is not trusted any more.
    Forgotten,
}

/// The folder.
#[derive(Clone, Debug)]
pub struct AccessFolder {
    path: PathBuf,
}

impl AccessFolder {
    /// The folder of a state folder.
    #[must_use]
    pub fn of(state: &Path) -> Self {
        Self { path: state.join("access") }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The access file of this name in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.access"))
    }

    /// Makes what is missing: the authority, and the files for workers, for people, and for looking. Those that end
    /// soon, were revoked, or are of a former authority are made again.
    ///
    /// # Errors
    /// If something cannot be read or written.
    pub fn open(&self, now: Moment) -> Result<(), AccessError> {
        let _lock = self.lock()?;
        if !self.path.join(AUTHORITY).exists() {
            let authority = Authority::make(now)?;
            secret::write(&self.path.join(AUTHORITY), authority.pem().as_bytes())?;
        }
        self.renew_general(now)
    }

    fn renew_general(&self, now: Moment) -> Result<(), AccessError> {
        let authorities = self.authorities()?;
        let current = authorities.first().map(Authority::id).unwrap_or_default();
        let (given, revoked) = (self.given()?, self.revoked()?);
        for (file, role, name) in GENERAL {
            let newest = given.iter().rev().find(|it| it.role == role.word() && it.name.as_deref() == name);
            let is_good = newest.is_some_and(|newest| {
                let usable = !newest.until.is_soon(now) && !revoked.contains(&newest.serial);
                usable && newest.authority == current && self.file(file).exists()
            });
            if !is_good {
                let grant = match name {
                    None => Grant::SHARED_WORK,
                    Some(name) => Grant::new(role, name).map_err(AccessError::Named)?,
                };
                self.give(&authorities, &grant, now..now.after(VALID_FOR), &self.file(file))?;
            }
        }
        Ok(())
    }

    /// The authorities: the one that gives credentials, then former ones that are still trusted.
    ///
    /// # Errors
    /// If one cannot be read, or there is none.
    pub fn authorities(&self) -> Result<Vec<Authority>, AccessError> {
        let read = |path: &Path| {
            let text = String::from_utf8_lossy(&secret::read(path)?).into_owned();
            Authority::of_pem(&text).map_err(|error| error.within(path))
        };
        let current = self.path.join(AUTHORITY);
        if !current.exists() {
            return Err(AccessError::Named(format!(
                "there is no authority in {}: a coordinator that listens on a network, or with --secure, makes one at its first start",
                self.path.display()
            )));
        }
        let mut all = vec![read(&current)?];
        for former in self.formers()? {
            all.push(read(&former)?);
        }
        Ok(all)
    }

    fn formers(&self) -> Result<Vec<PathBuf>, AccessError> {
        let failed = |cause| AccessError::File { path: self.path.clone(), what: "read", cause };
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let is_former =
                name.to_str().is_some_and(|name| name.starts_with(FORMER) && name.ends_with(".pem"));
            if is_former {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }

    /// Makes a credential, and writes it to a file.
    ///
    /// # Errors
    /// If the file exists, or something cannot be read or written.
    pub fn issue(
        &self,
        grant: &Grant,
        valid: Range<Moment>,
        file: Option<&Path>,
    ) -> Result<Given, AccessError> {
        let authorities = self.authorities()?;
        let _lock = self.lock()?;
        let file = file.map_or_else(|| self.file(grant.holder()), Path::to_owned);
        if file.symlink_metadata().is_ok() {
            return Err(AccessError::Named(format!(
                "{} exists already: name another file with --out, or remove it",
                file.display()
            )));
        }
        self.give(&authorities, grant, valid, &file)
    }

    fn give(
        &self,
        authorities: &[Authority],
        grant: &Grant,
        valid: Range<Moment>,
        file: &Path,
    ) -> Result<Given, AccessError> {
        let Some(authority) = authorities.first() else {
            return Err(AccessError::Named("there is no authority".to_owned()));
        };
        let issued = authority.issue(grant, &valid)?;
        let given = Given {
            serial: issued.serial.clone(),
            role: grant.role().word().to_owned(),
            name: grant.name().map(str::to_owned),
            from: valid.start,
            until: valid.end,
            authority: authority.id().to_owned(),
            file: file.to_owned(),
        };
        // First the record: a credential without one could not be revoked by its name.
        let mut all = self.given()?;
        all.push(given.clone());
        self.record(&all)?;
        secret::write(file, file::render(authorities, grant, &issued, valid.end).as_bytes())?;
        Ok(given)
    }

    fn record(&self, all: &[Given]) -> Result<(), AccessError> {
        let line = |given: &Given| serde_json::to_string(given).map(|line| line + "\n");
        let text: Result<String, _> = all.iter().map(line).collect();
        let text = text.map_err(|error| AccessError::Malformed(error.to_string()))?;
        secret::write(&self.path.join(ISSUED), text.as_bytes())
    }

    /// All credentials that were given, in this order.
    ///
    /// # Errors
    /// If their list cannot be read.
    pub fn given(&self) -> Result<Vec<Given>, AccessError> {
        let path = self.path.join(ISSUED);
        let text = read_if_there(&path)?;
        let parsed = text.lines().map(serde_json::from_str).collect::<Result<Vec<Given>, _>>();
        parsed.map_err(|error| AccessError::Malformed(format!("it is damaged: {error}")).within(&path))
    }

    /// The serial numbers of revoked certificates.
    ///
    /// # Errors
    /// If their list cannot be read.
    pub fn revoked(&self) -> Result<BTreeSet<String>, AccessError> {
        let text = read_if_there(&self.path.join(REVOKED))?;
        let first = |line: &str| line.split_whitespace().next().map(str::to_lowercase);
        Ok(text.lines().filter_map(first).filter(|word| !word.starts_with('#')).collect())
    }

    /// The names of workers with a credential of their own.
    ///
    /// # Errors
    /// If the list of credentials cannot be read.
    pub fn names_of_workers(&self) -> Result<BTreeSet<String>, AccessError> {
        let work = |it: &Given| it.role == Role::Work.word();
        Ok(self.given()?.into_iter().filter(work).filter_map(|it| it.name).collect())
    }

    /// The state of a credential.
    #[must_use]
    pub fn standing(
        given: &Given,
        revoked: &BTreeSet<String>,
        authorities: &[Authority],
        now: Moment,
    ) -> Standing {
        if revoked.contains(&given.serial) {
            Standing::Revoked
        } else if given.until <= now {
            Standing::Expired
        } else if authorities.iter().any(|authority| authority.id() == given.authority) {
            Standing::Valid
        } else {
            Standing::Forgotten
        }
    }

    /// Revokes the credentials of a holder, or the one whose serial number begins so. Returns those that are revoked now.
    /// A file that every folder has is made again.
    ///
    /// # Errors
    /// If nothing fits, or something cannot be read or written.
    pub fn revoke(&self, what: &str, now: Moment) -> Result<Vec<Given>, AccessError> {
        let _lock = self.lock()?;
        let serial = what.to_lowercase();
        let (given, mut revoked) = (self.given()?, self.revoked()?);
        let is_number = serial.len() >= 6 && serial.chars().all(|c| c.is_ascii_hexdigit());
        let named = |it: &&Given| it.holder() == what;
        let numbered = |it: &&Given| is_number && it.serial.starts_with(&serial);
        let mut meant: Vec<Given> = given.iter().filter(named).cloned().collect();
        if meant.is_empty() {
            meant = given.iter().filter(numbered).cloned().collect();
        }
        // A certificate of another authority is in no list.
        let unknown = meant.is_empty() && is_number && serial.len() >= 16;
        if meant.is_empty() && !unknown {
            return Err(AccessError::Named(format!(
                "there is no credential of `{what}`: `colearn access list` lists their names and serial numbers"
            )));
        }
        revoked.extend(meant.iter().map(|it| it.serial.clone()));
        if unknown {
            revoked.insert(serial);
        }
        self.write_revoked(&revoked, &given)?;
        if self.path.join(AUTHORITY).exists() {
            self.renew_general(now)?;
        }
        Ok(meant)
    }

    fn write_revoked(&self, revoked: &BTreeSet<String>, given: &[Given]) -> Result<(), AccessError> {
        let mut text =
            "# Serial numbers of certificates that are refused. A running coordinator reads this file.\n"
                .to_owned();
        for serial in revoked {
            let known = given.iter().find(|it| it.serial == *serial);
            let about = known.map(|it| format!(" {} ({})", it.holder(), it.role)).unwrap_or_default();
            text += &format!("{serial}{about}\n");
        }
        secret::write(&self.path.join(REVOKED), text.as_bytes())
    }

    /// Makes a new authority, which gives credentials from now on, and the general files again. The old authority stays
    /// trusted, so that credentials that it gave still work, until [`AccessFolder::forget_former`].
    ///
    /// # Errors
    /// If something cannot be read or written.
    pub fn rotate(&self, now: Moment) -> Result<Authority, AccessError> {
        let authorities = self.authorities()?;
        let _lock = self.lock()?;
        let new = Authority::make(now)?;
        if let Some(old) = authorities.first() {
            secret::write(&self.path.join(format!("{FORMER}{}.pem", old.id())), old.pem().as_bytes())?;
        }
        secret::write(&self.path.join(AUTHORITY), new.pem().as_bytes())?;
        self.renew_general(now)?;
        Ok(new)
    }

    /// Trusts only the newest authority from now on. Returns how many were trusted besides.
    ///
    /// # Errors
    /// If they cannot be removed.
    pub fn forget_former(&self, now: Moment) -> Result<usize, AccessError> {
        let _lock = self.lock()?;
        let formers = self.formers()?;
        for path in &formers {
            let failed = |cause| AccessError::File { path: path.clone(), what: "removed", cause };
            fs::remove_file(path).map_err(failed)?;
        }
        if !formers.is_empty() {
            // They name former authorities, which would be trusted by their holders.
            for (file, ..) in GENERAL {
                let _ = fs::remove_file(self.file(file));
            }
            self.renew_general(now)?;
        }
        Ok(formers.len())
    }

    /// A value that differs after a change of the folder.
    pub(crate) fn stamp(&self) -> Vec<(u64, i64, i64)> {
        use std::os::unix::fs::MetadataExt as _;
        let of =
            |path: PathBuf| path.metadata().map_or((0, 0, 0), |it| (it.ino(), it.mtime(), it.mtime_nsec()));
        // A former authority is made or removed only by a change of the folder itself.
        [AUTHORITY, ISSUED, REVOKED]
            .map(|name| of(self.path.join(name)))
            .into_iter()
            .chain([of(self.path.clone())])
            .collect()
    }

    /// One process at a time changes the folder.
    fn lock(&self) -> Result<File, AccessError> {
        secret::folder(&self.path)?;
        let path = self.path.join("lock");
        let failed = |cause| AccessError::File { path: path.clone(), what: "locked", cause };
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }
}

/// The text of a file; empty if there is none.
fn read_if_there(path: &Path) -> Result<String, AccessError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(cause) => Err(AccessError::File { path: path.to_owned(), what: "read", cause }),
    }
}
