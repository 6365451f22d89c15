//! What a worker knows of its data sets.

use std::{collections::BTreeMap, time::SystemTime};

use colearn_core::scheduler::is_in_data_folder;
use colearn_proto::worker::{DataSetShape, DataSets, KnownDataSet};

/// The data sets in a folder by name, each with its file; `None` if the folder cannot be listed.
pub(crate) type Listing = Option<BTreeMap<String, ListedFile>>;

/// The file of a data set. A replaced file gives a different value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    pub(crate) length: u64,
    pub(crate) modified: Option<SystemTime>,
    /// The contents of its header, if it can be read.
    pub(crate) shape: Option<DataSetShape>,
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

    fn listing(files: &[(&str, u64)]) -> Listing {
        Some(files.iter().map(|(name, length)| ((*name).to_owned(), file(*length))).collect())
    }

    fn digests(inventory: &Inventory) -> Vec<(String, Option<String>)> {
        let known = inventory.known().unwrap().known.into_iter();
        known.map(|(name, known)| (name, known.digest)).collect()
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
