//! The place of access files in the user's configuration folder.

use std::path::{Path, PathBuf};

use crate::{AccessError, folder::AccessFolder, grant::Role, secret};

/// The folder `colearn` in the user's configuration folder.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let absolute =
        |name| colearn_command_line::variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    Some(base?.join("colearn"))
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Work => "worker",
        Role::Look | Role::Operate => "people",
    }
}

/// The access file that is used unless another is named.
#[must_use]
pub fn default_file(role: Role) -> Option<PathBuf> {
    Some(folder()?.join(format!("{}.access", name(role))))
}

/// What became of an access file that was to be put to the default place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It is there: workers and commands of this user find it.
    There,
    /// A file that this coordinator gave to somebody, who is named, is there. It is found too, and left alone.
    Given(String),
    /// A file of another coordinator is there, which is left alone.
    Other,
}

/// Copies the access files of a coordinator to where its user's commands and workers look for them, unless there are
/// others, which may be those of another coordinator.
///
/// # Errors
/// If they cannot be read or written.
pub fn install(access: &AccessFolder, into: &Path) -> Result<Vec<(PathBuf, Placed)>, AccessError> {
    secret::folder(into)?;
    let mut placed = Vec::new();
    for role in [Role::Work, Role::Operate] {
        let from = access.file(name(role));
        let to = into.join(format!("{}.access", name(role)));
        let content = secret::read(&from)?;
        let there = match std::fs::read(&to) {
            Ok(there) if there == content => Placed::There,
            Ok(there) => match holder(access, &there)? {
                // One that this coordinator made before, and replaced since.
                Some(holder) if holder == name(role) => {
                    secret::write(&to, &content)?;
                    Placed::There
                }
                Some(holder) => Placed::Given(holder),
                None => Placed::Other,
            },
            Err(_) => {
                secret::write(&to, &content)?;
                Placed::There
            }
        };
        placed.push((to, there));
    }
    Ok(placed)
}

/// Replaces files that [`install`] has put there and that were made again since; returns these.
///
/// # Errors
/// If they cannot be read or written.
pub fn refresh(access: &AccessFolder, into: &Path) -> Result<Vec<PathBuf>, AccessError> {
    let mut written = Vec::new();
    for role in [Role::Work, Role::Operate] {
        let to = into.join(format!("{}.access", name(role)));
        let Ok(there) = std::fs::read(&to) else { continue };
        if holder(access, &there)?.is_none_or(|holder| holder != name(role)) {
            continue;
        }
        let content = secret::read(&access.file(name(role)))?;
        if there != content {
            secret::write(&to, &content)?;
            written.push(to);
        }
    }
    Ok(written)
}

/// To whom the coordinator of a folder gave an access file; `None` if it did not make it.
fn holder(access: &AccessFolder, file: &[u8]) -> Result<Option<String>, AccessError> {
    let Ok(file) = crate::AccessFile::of(file) else { return Ok(None) };
    let given = access.given()?;
    let found = given.iter().find(|given| given.serial == file.identity().serial);
    Ok(found.map(|given| given.holder().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grant, Moment};

    #[test]
    fn files_of_another_coordinator_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let [one, two] = [one, two].map(|state| AccessFolder::of(&state));
        let now = Moment::now();
        one.open(now).unwrap();
        two.open(now).unwrap();
        let into = folder.path().join("config");
        let how = |access: &AccessFolder| {
            install(access, &into).unwrap().into_iter().map(|(_, placed)| placed).collect::<Vec<_>>()
        };
        assert_eq!(how(&one), [Placed::There, Placed::There]);
        assert_eq!(how(&two), [Placed::Other, Placed::Other]);
        assert_eq!(
            std::fs::read(into.join("worker.access")).unwrap(),
            std::fs::read(one.file("worker")).unwrap()
        );
        // What somebody was given is not replaced by what everybody has.
        let anna = Grant::new(Role::Operate, "anna").unwrap();
        let valid = now..now.after(crate::VALID_FOR);
        one.issue(&anna, valid, None).unwrap();
        let people = into.join("people.access");
        std::fs::copy(one.file("anna"), &people).unwrap();
        one.rotate(now).unwrap();
        assert_eq!(how(&one), [Placed::There, Placed::Given("anna".to_owned())]);
        std::fs::remove_file(&people).unwrap();
        assert_eq!(how(&one), [Placed::There, Placed::There]);
        // The coordinator's own are renewed, at once or at its next start.
        one.rotate(now).unwrap();
        assert_eq!(refresh(&two, &into).unwrap(), Vec::<PathBuf>::new());
        assert_eq!(refresh(&one, &into).unwrap(), [into.join("worker.access"), people]);
        assert_eq!(refresh(&one, &into).unwrap(), Vec::<PathBuf>::new());
        one.rotate(now).unwrap();
        assert_eq!(how(&one), [Placed::There, Placed::There]);
        assert_eq!(
            std::fs::read(into.join("people.access")).unwrap(),
            std::fs::read(one.file("people")).unwrap()
        );
    }
}
