//! Which data sets a worker has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The data sets of a worker, as far as the worker knows them.
///
/// A worker lists its data folder, which costs nothing, and learns the digest of a data set when a trainer opens it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSets {
    /// By the name that sweeps call them: the SHA-256 digest, in hexadecimal, of those that were opened.
    pub known: BTreeMap<String, Option<String>>,
    /// Whether all data sets of the worker's data folder are in `known`.
    pub complete: bool,
}

impl DataSets {
    /// The most data sets that a coordinator takes from a worker.
    pub const MAX_KNOWN: usize = 1024;
    /// The longest name of one that it takes, in bytes.
    pub const MAX_NAME_BYTES: usize = 256;

    /// Whether tasks of this data set may be trained there. With a digest it has to be the data set of this digest.
    #[must_use]
    pub fn may_have(&self, name: &str, digest: Option<&str>) -> bool {
        match self.known.get(name) {
            Some(Some(known)) => digest.is_none_or(|digest| digest == known),
            Some(None) => true,
            None => !self.complete || !is_in_data_folder(name),
        }
    }

    /// Whether a trainer of the worker has opened this data set. With a digest it has to be the data set of this digest.
    #[must_use]
    pub fn has_opened(&self, name: &str, digest: Option<&str>) -> bool {
        let known = self.known.get(name).and_then(Option::as_deref);
        known.is_some_and(|known| digest.is_none_or(|digest| digest == known))
    }
}

/// Whether a sweep that names this data set means one in the worker's data folder: a bare name, and not a path.
#[must_use]
pub fn is_in_data_folder(name: &str) -> bool {
    !name.contains('/') && !name.ends_with(".safetensors")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_set_may_be_there_unless_it_is_known_not_to_be() {
        let known = [("opened".to_owned(), Some("d1".to_owned())), ("listed".to_owned(), None)].into();
        let listed = DataSets { known, complete: true };
        assert!(listed.may_have("opened", None) && listed.may_have("opened", Some("d1")));
        assert!(!listed.may_have("opened", Some("d2")), "it has another");
        assert!(listed.may_have("listed", Some("d1")), "nobody has opened it yet");
        assert!(!listed.may_have("absent", None));
        assert!(listed.may_have("/elsewhere/absent", None), "the folder does not tell");
        assert!(DataSets { complete: false, ..listed.clone() }.may_have("absent", None));
        assert!(listed.has_opened("opened", None) && listed.has_opened("opened", Some("d1")));
        assert!(!listed.has_opened("opened", Some("d2")) && !listed.has_opened("listed", None));
    }
}
