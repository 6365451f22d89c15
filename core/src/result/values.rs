//! Values by name: metrics, or the curves of one epoch.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
    ops::Index,
    sync::{Arc, LazyLock},
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
};

use super::epoch::curve;

/// Values by name, in the order of the names. A large sweep has millions of these under the same few names, which they
/// can share: see [`NameSets`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    names: Arc<[Box<str>]>,
    /// As many as there are names.
    values: Vec<f64>,
}

/// The names of a network's curves, without and with that of `training.keep_by`. All values under these names share
/// them, also before [`NameSets::share`].
static NETWORK: LazyLock<[Arc<[Box<str>]>; 2]> = LazyLock::new(|| {
    [&[][..], &[curve::KEEP_LOSS]].map(|further| {
        let names: BTreeSet<&str> = curve::NETWORK.iter().chain(further).copied().collect();
        names.into_iter().map(Box::from).collect()
    })
});

/// The sets of names that many [`Values`] share.
#[derive(Debug, Default)]
pub struct NameSets(HashSet<Arc<[Box<str>]>>);

impl NameSets {
    /// Lets values share the names of others that had the same ones.
    pub fn share(&mut self, values: &mut Values) {
        match self.0.get(&values.names) {
            Some(known) => values.names = known.clone(),
            None => {
                self.0.insert(values.names.clone());
            }
        }
    }
}

impl Values {
    /// The value of a name, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        let at = self.place(name).ok()?;
        self.values.get(at).copied()
    }

    /// Whether there is a value of this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// Sets the value of a name. A new name copies all others: collect the pairs instead if there are many.
    pub fn insert(&mut self, name: &str, value: f64) {
        match self.place(name) {
            Ok(at) => self.values.get_mut(at).into_iter().for_each(|known| *known = value),
            Err(at) => {
                let (before, after) = self.names.split_at(at);
                self.names =
                    before.iter().cloned().chain([name.into()]).chain(after.iter().cloned()).collect();
                self.values.insert(at, value);
            }
        }
    }

    /// Keeps only the values whose names are wanted.
    pub fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        if self.keys().all(&wanted) {
            return;
        }
        *self = std::mem::take(self).into_iter().filter(|(name, _)| wanted(name)).collect();
    }

    /// The names, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// Names and values, in the order of the names.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, f64)> {
        self.keys().zip(self.values.iter().copied())
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The place of a name, or the one it would have.
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.names.binary_search_by(|known| known.as_ref().cmp(name))
    }
}

impl FromIterator<(String, f64)> for Values {
    /// Of several values of one name the last counts.
    fn from_iter<I: IntoIterator<Item = (String, f64)>>(values: I) -> Self {
        let mut pairs: Vec<(String, f64)> = values.into_iter().collect();
        // It keeps the order of equal names.
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        pairs.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = later.1;
            }
            same
        });
        let values = pairs.iter().map(|(_, value)| *value).collect();
        let is =
            |names: &&Arc<[Box<str>]>| names.iter().map(AsRef::as_ref).eq(pairs.iter().map(|(name, _)| name));
        let names = NETWORK.iter().find(is).cloned();
        let own = || pairs.into_iter().map(|(name, _)| name.into_boxed_str()).collect();
        Self { names: names.unwrap_or_else(own), values }
    }
}

impl<const N: usize> From<[(String, f64); N]> for Values {
    fn from(values: [(String, f64); N]) -> Self {
        values.into_iter().collect()
    }
}

impl From<BTreeMap<String, f64>> for Values {
    fn from(values: BTreeMap<String, f64>) -> Self {
        values.into_iter().collect()
    }
}

impl IntoIterator for Values {
    type Item = (String, f64);
    type IntoIter = std::vec::IntoIter<(String, f64)>;

    fn into_iter(self) -> Self::IntoIter {
        let pairs: Vec<_> = self.pairs().map(|(name, value)| (name.to_owned(), value)).collect();
        pairs.into_iter()
    }
}

impl Index<&str> for Values {
    type Output = f64;

    /// # Panics
    /// If there is no such name.
    fn index(&self, name: &str) -> &f64 {
        let at = self.place(name).ok();
        at.and_then(|at| self.values.get(at)).expect("a value of this name")
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.pairs())
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("numbers by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Values, A::Error> {
                std::iter::from_fn(|| entries.next_entry::<String, f64>().transpose()).collect()
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned<const N: usize>(pairs: [(&str, f64); N]) -> [(String, f64); N] {
        pairs.map(|(name, value)| (name.to_owned(), value))
    }

    #[test]
    fn it_is_a_map_in_the_order_of_the_names() {
        let pairs = owned([("valid_loss", 2.0), ("b", 1.0), ("a", 3.0), ("b", 4.0)]);
        let (map, values): (BTreeMap<String, f64>, Values) = (pairs.clone().into(), pairs.into());
        assert!(values.keys().eq(map.keys()) && values.pairs().map(|it| it.1).eq(map.values().copied()));
        assert_eq!((values.len(), values.get("b"), values.get("c"), values["a"]), (3, Some(4.0), None, 3.0));
        assert!(values.contains("b") && !values.contains("c"));
        assert_eq!(values.clone(), Values::from(map.clone()));
        assert_eq!(serde_json::to_string(&values).unwrap(), serde_json::to_string(&map).unwrap());
        assert_eq!(values.into_iter().collect::<BTreeMap<_, _>>(), map);
        let read: Values = serde_json::from_str(r#"{"b": 1, "a": 0.5}"#).unwrap();
        assert!(read.pairs().eq([("a", 0.5), ("b", 1.0)]));
        assert!(Values::default().is_empty() && serde_json::from_str::<Values>(r#"{"a": "b"}"#).is_err());
    }

    #[test]
    fn single_values_are_set_and_removed() {
        let mut values = Values::default();
        for (name, value) in [("b", 1.0), ("a", 2.0), ("c", 3.0), ("b", 4.0)] {
            values.insert(name, value);
        }
        assert_eq!(values, owned([("a", 2.0), ("b", 4.0), ("c", 3.0)]).into());
        values.retain(|name| name != "b");
        assert_eq!(values, owned([("a", 2.0), ("c", 3.0)]).into());
    }

    #[test]
    fn names_are_shared_and_values_are_not() {
        let mut sets = NameSets::default();
        let [mut one, mut two, mut other]: [Values; 3] = [
            owned([("a", 1.0), ("b", 2.0)]).into(),
            owned([("b", 3.0), ("a", 4.0)]).into(),
            owned([("a", 5.0)]).into(),
        ];
        for values in [&mut one, &mut two, &mut other] {
            sets.share(values);
        }
        assert!(Arc::ptr_eq(&one.names, &two.names) && !Arc::ptr_eq(&one.names, &other.names));
        assert_eq!(two, owned([("a", 4.0), ("b", 3.0)]).into());
        two.insert("c", 6.0);
        assert_eq!((one.len(), two.len()), (2, 3));
        for text in [
            r#"{"train_loss": 1, "valid_loss": 2, "valid_accuracy": 3}"#,
            r#"{"train_loss": 1, "valid_loss": 2, "valid_accuracy": 3, "keep_loss": 4}"#,
        ] {
            let [one, two]: [Values; 2] = [(); 2].map(|()| serde_json::from_str(text).unwrap());
            assert!(Arc::ptr_eq(&one.names, &two.names), "curves of a network share them anyway");
            assert_eq!((one["train_loss"], one["valid_loss"], one["valid_accuracy"]), (1.0, 2.0, 3.0));
        }
    }
}
