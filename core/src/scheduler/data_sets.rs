//! The data sets of a worker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The data sets of a worker, as far as the worker knows them.
///
/// A worker lists its data folder, which costs nothing, and learns the digest of a data set when a trainer opens it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSets {
    /// The data sets by the name that sweeps use.
    pub known: BTreeMap<String, KnownDataSet>,
    /// Whether all data sets of the worker's data folder are in `known`.
    pub complete: bool,
}

/// A data set, as far as a worker knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownDataSet {
    /// Its SHA-256 digest, in hexadecimal, if a trainer has opened it.
    pub digest: Option<String>,
    /// Its modalities and samples, if its header could be read.
    pub shape: Option<DataSetShape>,
}

/// The properties of a data set that decide whether settings fit it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSetShape {
    /// The modalities, in the order of the data set; at least one.
    pub modalities: Vec<String>,
    /// Number of samples of the training split.
    pub train_samples: u64,
}

impl DataSets {
    /// Maximum number of data sets that a coordinator accepts from a worker.
    pub const MAX_KNOWN: usize = 1024;
    /// Maximum length of an accepted name, in bytes.
    pub const MAX_NAME_BYTES: usize = 256;
    /// Maximum number of modalities of an accepted data set.
    pub const MAX_MODALITIES: usize = 32;

    /// Whether tasks of this data set may be trained on the worker. If a digest is given, the data set must have it.
    #[must_use]
    pub fn may_have(&self, name: &str, digest: Option<&str>) -> bool {
        match self.known.get(name) {
            Some(KnownDataSet { digest: Some(known), .. }) => digest.is_none_or(|digest| digest == known),
            Some(KnownDataSet { digest: None, .. }) => true,
            None => !self.complete || !is_in_data_folder(name),
        }
    }

    /// Whether a trainer of the worker has opened this data set. If a digest is given, the data set must have it.
    #[must_use]
    pub fn has_opened(&self, name: &str, digest: Option<&str>) -> bool {
        let known = self.known.get(name).and_then(|known| known.digest.as_deref());
        known.is_some_and(|known| digest.is_none_or(|digest| digest == known))
    }
}

/// Whether this name of a data set means one in the worker's data folder: it is a bare name, not a path.
#[must_use]
pub fn is_in_data_folder(name: &str) -> bool {
    !name.contains('/') && !name.ends_with(".safetensors")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_set_may_be_there_unless_it_is_known_not_to_be() {
        let known = |digest: Option<&str>| KnownDataSet { digest: digest.map(str::to_owned), shape: None };
        let known = [("opened".to_owned(), known(Some("d1"))), ("listed".to_owned(), known(None))].into();
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
