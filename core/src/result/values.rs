//! The values of one epoch.

use std::{borrow::Cow, collections::BTreeMap, fmt, ops::Index};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

use super::epoch::curve;

/// A name: those of the networks' curves are not allocated.
type Name = Cow<'static, str>;

fn named(name: String) -> Name {
    let known = curve::NETWORK.into_iter().chain([curve::KEEP_LOSS]).find(|known| *known == name);
    known.map_or(Cow::Owned(name), Cow::Borrowed)
}

/// The values of one epoch by the names of their curves, in the order of the names. A large sweep has millions of these:
/// each takes a third of a map's memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(Vec<(Name, f64)>);

impl Values {
    /// The value of a curve, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        let at = self.place(name).ok()?;
        self.0.get(at).map(|(_, value)| *value)
    }

    /// Sets the value of a curve.
    pub fn insert(&mut self, name: String, value: f64) {
        match self.place(&name) {
            Ok(at) => self.0.get_mut(at).into_iter().for_each(|(_, known)| *known = value),
            Err(at) => {
                if self.0.len() == self.0.capacity() {
                    self.0.reserve_exact(1);
                }
                self.0.insert(at, (named(name), value));
            }
        }
    }

    /// The names of the curves, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_ref())
    }

    /// Names and values, in the order of the names.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// Number of curves.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The place of a curve, or the one it would have.
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_ref().cmp(name))
    }
}

impl Extend<(String, f64)> for Values {
    fn extend<I: IntoIterator<Item = (String, f64)>>(&mut self, values: I) {
        for (name, value) in values {
            self.insert(name, value);
        }
    }
}

impl FromIterator<(String, f64)> for Values {
    fn from_iter<I: IntoIterator<Item = (String, f64)>>(values: I) -> Self {
        let values = values.into_iter();
        let mut all = Self(Vec::with_capacity(values.size_hint().0));
        all.extend(values);
        all
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
    type IntoIter = std::iter::Map<std::vec::IntoIter<(Name, f64)>, fn((Name, f64)) -> (String, f64)>;

    fn into_iter(self) -> Self::IntoIter {
        let owned: fn((Name, f64)) -> (String, f64) = |(name, value)| (name.into_owned(), value);
        self.0.into_iter().map(owned)
    }
}

impl Index<&str> for Values {
    type Output = f64;

    /// # Panics
    /// If there is no such curve.
    fn index(&self, name: &str) -> &f64 {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value).expect("a curve of this name")
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
                let mut values = Values::default();
                while let Some((name, value)) = entries.next_entry::<String, f64>()? {
                    values.insert(name, value);
                }
                Ok(values)
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_map_in_the_order_of_the_names() {
        let pairs = [("valid_loss", 2.0), ("b", 1.0), ("a", 3.0), ("b", 4.0)];
        let map: BTreeMap<String, f64> = pairs.map(|(name, value)| (name.to_owned(), value)).into();
        let values: Values = pairs.map(|(name, value)| (name.to_owned(), value)).into();
        assert!(values.keys().eq(map.keys()) && values.pairs().map(|it| it.1).eq(map.values().copied()));
        assert_eq!((values.len(), values.get("b"), values.get("c"), values["a"]), (3, Some(4.0), None, 3.0));
        assert_eq!(values.clone(), Values::from(map.clone()));
        assert_eq!(values.into_iter().collect::<BTreeMap<_, _>>(), map);
        let read: Values = serde_json::from_str(r#"{"b": 1, "a": 0.5}"#).unwrap();
        assert!(read.pairs().eq([("a", 0.5), ("b", 1.0)]));
        assert!(Values::default().is_empty() && serde_json::from_str::<Values>(r#"{"a": "b"}"#).is_err());
    }

    #[test]
    fn the_names_of_networks_are_not_allocated() {
        let read: Values = serde_json::from_str(r#"{"train_loss": 1, "keep_loss": 2, "own": 3}"#).unwrap();
        let owned: Vec<&str> = read
            .0
            .iter()
            .filter(|(name, _)| matches!(name, Cow::Owned(_)))
            .map(|(name, _)| name.as_ref())
            .collect();
        assert_eq!(owned, ["own"]);
    }
}
