//! What lies in the data folder, looked at now and then.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use colearn_core::scheduler::is_in_data_folder;
use colearn_proto::worker::DataSets;
use tokio::sync::mpsc;

use super::input::Input;

/// How often the folder is looked at: a data set that is copied to a host is used this soon.
const BETWEEN_LOOKS: Duration = Duration::from_secs(10);
/// The ending of a data set's file.
const ENDING: &str = ".safetensors";

/// The data sets in a folder by name, and what tells when a file was replaced; `None` when the folder can not be listed.
pub(crate) type Listing = Option<BTreeMap<String, Stamp>>;

/// Differs when a file was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

/// Lists a data folder. One that is not there has no data sets; one that is too large to tell, or can not be read, says nothing.
#[must_use]
pub(crate) fn list(folder: &Path) -> Listing {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(BTreeMap::new()),
        Err(_) => return None,
    };
    let mut listed = BTreeMap::new();
    for entry in entries {
        let entry = entry.ok()?;
        let file_name = entry.file_name();
        let Some(name) = file_name.to_str().and_then(|name| name.strip_suffix(ENDING)) else { continue };
        // A link leads out of the folder perhaps; whether it may be followed is for the trainer to say.
        let metadata = fs::metadata(entry.path()).ok();
        let stamp = Stamp {
            length: metadata.as_ref().map_or(0, fs::Metadata::len),
            modified: metadata.and_then(|metadata| metadata.modified().ok()),
        };
        if name.len() > DataSets::MAX_NAME_BYTES || listed.len() == DataSets::MAX_KNOWN {
            return None;
        }
        listed.insert(name.to_owned(), stamp);
    }
    Some(listed)
}

/// Tells of a folder whenever what is in it has changed, until nobody listens any more.
pub(crate) async fn watch(folder: PathBuf, mut last: Listing, inputs: mpsc::Sender<Input>) {
    loop {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let folder = folder.clone();
        // A network file system may take its time.
        let Ok(listing) = tokio::task::spawn_blocking(move || list(&folder)).await else { return };
        if listing != last {
            last = listing.clone();
            if inputs.send(Input::DataFolder(listing)).await.is_err() {
                return;
            }
        }
    }
}

/// What a worker knows of its data sets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inventory {
    listing: Listing,
    /// Digests of the data sets that trainers have opened.
    digests: BTreeMap<String, String>,
}

impl Inventory {
    /// The folder was listed. Of files that are gone or were replaced nothing more is known.
    pub(crate) fn listed(&mut self, listing: Listing) {
        if let Some(now) = &listing {
            let before = self.listing.as_ref();
            self.digests.retain(|name, _| {
                let stamp = before.and_then(|before| before.get(name));
                let is_there = now.contains_key(name) || !is_in_data_folder(name);
                is_there && stamp.is_none_or(|stamp| now.get(name) == Some(stamp))
            });
        }
        self.listing = listing;
    }

    /// A trainer opened a data set. Says whether that is news.
    pub(crate) fn opened(&mut self, name: String, digest: String) -> bool {
        let room = self.digests.len() < DataSets::MAX_KNOWN || self.digests.contains_key(&name);
        let room = room && name.len() <= DataSets::MAX_NAME_BYTES;
        if self.digests.get(&name) == Some(&digest) || !room {
            return false;
        }
        self.digests.insert(name, digest);
        true
    }

    /// What the coordinator is told; `None` when there is nothing to tell.
    #[must_use]
    pub(crate) fn known(&self) -> Option<DataSets> {
        if self.listing.is_none() && self.digests.is_empty() {
            return None;
        }
        let listed = self.listing.iter().flatten().map(|(name, _)| (name.clone(), None));
        let mut known: BTreeMap<String, Option<String>> = listed.collect();
        for (name, digest) in &self.digests {
            if known.len() < DataSets::MAX_KNOWN || known.contains_key(name) {
                known.insert(name.clone(), Some(digest.clone()));
            }
        }
        Some(DataSets { known, complete: self.listing.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(length: u64) -> Stamp {
        Stamp { length, modified: None }
    }

    fn listing(files: &[(&str, u64)]) -> Listing {
        Some(files.iter().map(|(name, length)| ((*name).to_owned(), stamp(*length))).collect())
    }

    fn digests(inventory: &Inventory) -> Vec<(String, Option<String>)> {
        inventory.known().unwrap().known.into_iter().collect()
    }

    #[test]
    fn data_sets_are_listed_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["demo.safetensors", "waves.v2.safetensors", "notes.txt", ".safetensors.tmp"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let listed = list(folder.path()).unwrap();
        assert_eq!(listed.keys().collect::<Vec<_>>(), ["demo", "waves.v2"]);
        fs::write(folder.path().join("demo.safetensors"), "another length").unwrap();
        assert_ne!(list(folder.path()).unwrap()["demo"], listed["demo"]);
        assert_eq!(list(&folder.path().join("absent")), Some(BTreeMap::new()), "it has none");
        assert_eq!(list(&folder.path().join("notes.txt")), None, "nobody knows");
    }

    #[test]
    fn a_digest_is_forgotten_when_the_file_is_gone() {
        let mut inventory = Inventory::default();
        inventory.listed(listing(&[]));
        // It came after the folder was listed, and went before it is listed again.
        inventory.opened("demo".to_owned(), "d".to_owned());
        inventory.opened("/elsewhere/x".to_owned(), "x".to_owned());
        inventory.listed(listing(&[]));
        assert_eq!(digests(&inventory), [("/elsewhere/x".to_owned(), Some("x".to_owned()))]);
    }

    #[test]
    fn of_the_most_data_sets_each_can_be_replaced() {
        let mut inventory = Inventory::default();
        for number in 0..DataSets::MAX_KNOWN {
            assert!(inventory.opened(format!("/{number}"), "old".to_owned()));
        }
        assert!(!inventory.opened("/more".to_owned(), "new".to_owned()));
        assert!(inventory.opened("/0".to_owned(), "new".to_owned()));
        let known = inventory.known().unwrap().known;
        assert_eq!((known.len(), known["/0"].as_deref()), (DataSets::MAX_KNOWN, Some("new")));
    }

    #[test]
    fn a_digest_is_forgotten_when_the_file_was_replaced() {
        let mut inventory = Inventory::default();
        assert_eq!(inventory.known(), None);
        inventory.listed(listing(&[("demo", 1), ("waves", 2)]));
        assert!(inventory.opened("demo".to_owned(), "d".to_owned()));
        assert!(!inventory.opened("demo".to_owned(), "d".to_owned()), "that is no news");
        inventory.opened("/elsewhere/x".to_owned(), "x".to_owned());
        let all = |demo: Option<&str>| {
            [("/elsewhere/x", Some("x")), ("demo", demo), ("waves", None)]
                .map(|(name, digest)| (name.to_owned(), digest.map(str::to_owned)))
        };
        assert_eq!(digests(&inventory), all(Some("d")));
        inventory.listed(listing(&[("demo", 1), ("waves", 2)]));
        assert_eq!(digests(&inventory), all(Some("d")));
        inventory.listed(listing(&[("demo", 3), ("waves", 2)]));
        assert_eq!(digests(&inventory), all(None));
        assert!(inventory.known().unwrap().complete);
        inventory.listed(None);
        assert!(!inventory.known().unwrap().complete);
    }
}
