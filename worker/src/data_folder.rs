//! The contents of the data folder, listed at intervals.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use colearn_core::scheduler::is_in_data_folder;
use colearn_data_format::{DataFolder, Outline};
use colearn_proto::worker::{DataSetShape, DataSets, KnownDataSet};
use tokio::sync::mpsc;

use super::input::Input;

/// Interval between listings: a data set that is copied to a host is noticed after at most this time.
const BETWEEN_LOOKS: Duration = Duration::from_secs(10);
/// File name extension of a data set.
const ENDING: &str = ".safetensors";

/// The data sets in a folder by name, each with its file; `None` if the folder cannot be listed.
pub(crate) type Listing = Option<BTreeMap<String, ListedFile>>;

/// The file of a data set. A replaced file gives a different value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    length: u64,
    modified: Option<SystemTime>,
    /// The contents of its header, if it can be read.
    shape: Option<DataSetShape>,
}

/// Lists a data folder. A missing folder has no data sets. The result is `None` if the folder is too large or cannot
/// be read. Headers of files that are unchanged since an earlier listing are not read again.
#[must_use]
pub(crate) fn list(folder: &DataFolder, root: &Path, before: &Listing) -> Listing {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(BTreeMap::new()),
        Err(_) => return None,
    };
    let mut listed = BTreeMap::new();
    for entry in entries {
        let entry = entry.ok()?;
        let file_name = entry.file_name();
        let Some(name) = file_name.to_str().and_then(|name| name.strip_suffix(ENDING)) else { continue };
        if name.len() > DataSets::MAX_NAME_BYTES || listed.len() == DataSets::MAX_KNOWN {
            return None;
        }
        let metadata = fs::metadata(entry.path()).ok();
        let length = metadata.as_ref().map_or(0, fs::Metadata::len);
        let modified = metadata.and_then(|metadata| metadata.modified().ok());
        let same = |file: &&ListedFile| file.length == length && file.modified == modified;
        let known = before.as_ref().and_then(|before| before.get(name)).filter(same);
        let shape = match known {
            Some(known) => known.shape.clone(),
            // The folder decides whether a link out of it may be followed.
            None => folder.open(name).and_then(Outline::read).ok().map(shape_of),
        };
        listed.insert(name.to_owned(), ListedFile { length, modified, shape });
    }
    Some(listed)
}

fn shape_of(outline: Outline) -> DataSetShape {
    let mut modalities = outline.modalities;
    // No data set has more modalities, and a coordinator accepts no more.
    modalities.truncate(DataSets::MAX_MODALITIES);
    DataSetShape { modalities, train_samples: outline.train_samples as u64 }
}

/// Sends the listing of a folder whenever it has changed, until the receiver is dropped.
pub(crate) async fn watch(folder: DataFolder, root: PathBuf, mut last: Listing, inputs: mpsc::Sender<Input>) {
    loop {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let (folder, root, before) = (folder.clone(), root.clone(), last.clone());
        // In a separate thread: a network file system may be slow.
        let listed = tokio::task::spawn_blocking(move || list(&folder, &root, &before)).await;
        let Ok(listing) = listed else { return };
        if listing != last {
            last = listing.clone();
            if inputs.send(Input::DataFolder(listing)).await.is_err() {
                return;
            }
        }
    }
}

/// The data sets of a worker, as far as it knows them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inventory {
    listing: Listing,
    /// Digests of the data sets that trainers have opened.
    digests: BTreeMap<String, String>,
}

impl Inventory {
    /// The folder was listed. The digests of removed and replaced files are dropped.
    pub(crate) fn listed(&mut self, listing: Listing) {
        if let Some(now) = &listing {
            let before = self.listing.as_ref();
            self.digests.retain(|name, _| {
                let file = before.and_then(|before| before.get(name));
                let is_there = now.contains_key(name) || !is_in_data_folder(name);
                is_there && file.is_none_or(|file| now.get(name) == Some(file))
            });
        }
        self.listing = listing;
    }

    /// A trainer opened a data set. Returns whether that is news.
    pub(crate) fn opened(&mut self, name: String, digest: String) -> bool {
        let room = self.digests.len() < DataSets::MAX_KNOWN || self.digests.contains_key(&name);
        let room = room && name.len() <= DataSets::MAX_NAME_BYTES;
        if self.digests.get(&name) == Some(&digest) || !room {
            return false;
        }
        self.digests.insert(name, digest);
        true
    }

    /// The report for the coordinator; `None` if nothing is known.
    #[must_use]
    pub(crate) fn known(&self) -> Option<DataSets> {
        if self.listing.is_none() && self.digests.is_empty() {
            return None;
        }
        let listed = self.listing.iter().flatten();
        let listed = listed
            .map(|(name, file)| (name.clone(), KnownDataSet { digest: None, shape: file.shape.clone() }));
        let mut known: BTreeMap<String, KnownDataSet> = listed.collect();
        for (name, digest) in &self.digests {
            if known.len() < DataSets::MAX_KNOWN || known.contains_key(name) {
                known.entry(name.clone()).or_default().digest = Some(digest.clone());
            }
        }
        Some(DataSets { known, complete: self.listing.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(length: u64) -> ListedFile {
        ListedFile { length, modified: None, shape: None }
    }

    fn listed(folder: &Path) -> Listing {
        list(&DataFolder::confined(folder.to_owned()), folder, &None)
    }

    fn listing(files: &[(&str, u64)]) -> Listing {
        Some(files.iter().map(|(name, length)| ((*name).to_owned(), file(*length))).collect())
    }

    fn digests(inventory: &Inventory) -> Vec<(String, Option<String>)> {
        let known = inventory.known().unwrap().known.into_iter();
        known.map(|(name, known)| (name, known.digest)).collect()
    }

    #[test]
    fn data_sets_are_listed_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["demo.safetensors", "waves.v2.safetensors", "notes.txt", ".safetensors.tmp"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let names = listed(folder.path()).unwrap();
        assert_eq!(names.keys().collect::<Vec<_>>(), ["demo", "waves.v2"]);
        fs::write(folder.path().join("demo.safetensors"), "another length").unwrap();
        assert_ne!(listed(folder.path()).unwrap()["demo"], names["demo"]);
        assert_eq!(listed(&folder.path().join("absent")), Some(BTreeMap::new()), "it has none");
        assert_eq!(listed(&folder.path().join("notes.txt")), None, "nobody knows");
    }

    #[test]
    fn headers_are_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("demo.safetensors");
        let demo = colearn_data_format::generate::demo(&Default::default()).unwrap();
        colearn_data_format::write(&path, &demo).unwrap();
        let first = listed(folder.path());
        let shape = first.as_ref().unwrap()["demo"].shape.clone().unwrap();
        assert_eq!(shape.modalities, ["language", "audio", "video"]);
        assert!(shape.train_samples > 100, "{shape:?}");
        // A different header of the same length and time is not noticed, because the file is not opened.
        let confined = DataFolder::confined("/nowhere".into());
        assert_eq!(list(&confined, folder.path(), &first), first);
        assert_eq!(list(&confined, folder.path(), &None).unwrap()["demo"].shape, None);
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
        assert_eq!((known.len(), known["/0"].digest.as_deref()), (DataSets::MAX_KNOWN, Some("new")));
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
