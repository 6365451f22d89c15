//! Names of configurations: the values in which they differ, such as `audio=0.8 video=0.8`, or `unimodal`.
//!
//! Tables, lists, logs and reports use the same name for a configuration, and commands accept it; see [`Names::find`].

mod find;
#[cfg(test)]
mod tests;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use serde_json::Value;

pub use self::{
    find::{Criteria, FindError},
    words::{as_argument, short_path, word},
};
use crate::{
    id::ConfigurationId,
    settings::TaskSettings,
    sweep::{Configuration, Sweep},
    table::ResultsTable,
};

/// The name of a configuration that sets no value in which others differ.
pub const AS_IN_FILE: &str = "as-in-file";

/// The longest name, in bytes. A longer one is cut, and the id is added.
const LONGEST: usize = 200;

/// Maximum number of settings that are added to names that would be equal.
const MAX_ADDED: usize = 3;

/// The names of the configurations of a sweep, or of the rows of its table. It holds what names are made of, not the
/// names: a sweep may have a million configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    columns: Vec<Column>,
    /// Names that their values alone do not tell apart.
    others: HashMap<ConfigurationId, String>,
}

/// A path in whose values configurations differ.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    path: String,
    /// Its last word, if no other column ends in that.
    short: String,
}

/// What a name is made of.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// The id.
    pub id: ConfigurationId,
    /// The values that the sweep file gives to the configuration.
    pub values: &'a BTreeMap<String, Value>,
    /// The resolved settings.
    pub settings: &'a TaskSettings,
}

impl<'a> From<&'a Configuration> for Named<'a> {
    fn from(configuration: &'a Configuration) -> Self {
        Self { id: configuration.id, values: &configuration.values, settings: &configuration.settings }
    }
}

impl Names {
    /// The names of a sweep's configurations.
    #[must_use]
    pub fn of(sweep: &Sweep) -> Self {
        Self::among(&sweep.parameters, &sweep.report.replicates, sweep.configurations.iter().map(Named::from))
    }

    /// The names of the rows of a table.
    #[must_use]
    pub fn of_rows(table: &ResultsTable) -> Self {
        Self::among(&table.parameters, &[], table.configurations.iter().map(Named::from))
    }

    /// The names of these configurations. Values are named in the order of `parameters`, then other paths, and those of
    /// `replicates` last, with their full paths.
    #[must_use]
    pub fn among<'a>(
        parameters: &[String],
        replicates: &[String],
        configurations: impl Iterator<Item = Named<'a>> + Clone,
    ) -> Self {
        let mut paths = differing(parameters, replicates, configurations.clone());
        let (last, rest): (Vec<_>, Vec<_>) = paths.drain(..).partition(|path| replicates.contains(path));
        let all: Vec<String> = rest.iter().chain(&last).cloned().collect();
        let short = |path: String| Column { short: short_path(&path, &all).to_owned(), path };
        let mut columns: Vec<Column> = rest.into_iter().map(short).collect();
        columns.extend(last.into_iter().map(|path| Column { short: path.clone(), path }));
        let mut names = Self { columns, others: HashMap::new() };
        names.others = names.told_apart(configurations);
        names
    }

    /// The name of a configuration, unique among those of the sweep.
    #[must_use]
    pub fn name<'a>(&self, configuration: impl Into<Named<'a>>) -> String {
        let named = configuration.into();
        self.others.get(&named.id).cloned().unwrap_or_else(|| self.plain(&named))
    }

    /// The name from the values alone.
    fn plain(&self, named: &Named<'_>) -> String {
        let words: Vec<String> = self
            .columns
            .iter()
            .filter_map(|column| Some(words::pair(&column.short, named.values.get(&column.path)?)))
            .collect();
        if words.is_empty() { AS_IN_FILE.to_owned() } else { limited(words.join(" "), named.id) }
    }

    /// Names for configurations that have the same name as another. Values differ where settings do, so that there are
    /// none, except in journals of older versions.
    fn told_apart<'a>(
        &self,
        configurations: impl Iterator<Item = Named<'a>>,
    ) -> HashMap<ConfigurationId, String> {
        let mut by_hash: Vec<(u64, Named<'_>)> =
            configurations.map(|named| (hash(&self.plain(&named)), named)).collect();
        by_hash.sort_by_key(|(hash, _)| *hash);
        let is_taken = |name: &str| by_hash.binary_search_by_key(&hash(name), |(hash, _)| *hash).is_ok();
        let mut others = HashMap::new();
        for group in by_hash.chunk_by(|(left, _), (right, _)| left == right).filter(|group| group.len() > 1) {
            let group: Vec<Named<'_>> = group.iter().map(|(_, named)| *named).collect();
            others.extend(self.with_settings(&group, is_taken));
        }
        others
    }

    /// Names for configurations with equal names: with the settings in which they differ, or else with their ids.
    fn with_settings(
        &self,
        group: &[Named<'_>],
        is_taken: impl Fn(&str) -> bool,
    ) -> Vec<(ConfigurationId, String)> {
        let flat: Vec<BTreeMap<String, Value>> = group.iter().map(|named| named.settings.flat()).collect();
        let paths: BTreeSet<&String> = flat.iter().flat_map(BTreeMap::keys).collect();
        let differs = |path: &&String| flat.windows(2).any(|pair| pair[0].get(*path) != pair[1].get(*path));
        let paths: Vec<&String> = paths.into_iter().filter(differs).take(MAX_ADDED).collect();
        let names: Vec<String> = group
            .iter()
            .zip(&flat)
            .map(|(named, flat)| {
                let words = paths.iter().filter_map(|path| Some(words::pair(path, flat.get(*path)?)));
                let plain = Some(self.plain(named)).filter(|plain| plain != AS_IN_FILE);
                plain.into_iter().chain(words).collect::<Vec<_>>().join(" ")
            })
            .collect();
        let is_good = |name: &String| {
            let alone = names.iter().filter(|other| *other == name).count() == 1;
            alone && !name.is_empty() && name.len() <= LONGEST && !is_taken(name)
        };
        let name = |(named, name): (&Named<'_>, &String)| match is_good(name) {
            true => (named.id, name.clone()),
            false => (named.id, with_id(&self.plain(named), named.id)),
        };
        group.iter().zip(&names).map(name).collect()
    }
}

fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

/// A path that configurations set.
struct Seen<'a> {
    place: usize,
    times: usize,
    value: &'a Value,
    differs: bool,
}

/// The paths in whose values configurations differ, and the replicates; all if there are none.
fn differing<'a>(
    parameters: &[String],
    replicates: &[String],
    configurations: impl Iterator<Item = Named<'a>> + Clone,
) -> Vec<String> {
    let mut seen: HashMap<&str, Seen<'_>> = HashMap::new();
    let mut count = 0;
    for named in configurations.clone() {
        count += 1;
        for (path, value) in named.values {
            let next = parameters.len() + seen.len();
            let seen = seen.entry(path).or_insert_with(|| {
                let place = parameters.iter().position(|parameter| parameter == path).unwrap_or(next);
                Seen { place, times: 0, value, differs: false }
            });
            seen.times += 1;
            seen.differs |= seen.value != value;
        }
    }
    // Configurations of `include` that do not set a path may have the same value from the file.
    let mut paths: Vec<(&str, Seen<'_>)> = seen.into_iter().collect();
    let partly = |seen: &Seen<'_>| !seen.differs && seen.times < count;
    if paths.iter().any(|(_, seen)| partly(seen)) {
        for named in configurations {
            let open =
                |(path, seen): &&mut (&str, Seen<'_>)| partly(seen) && !named.values.contains_key(*path);
            let mut open = paths.iter_mut().filter(open).peekable();
            if open.peek().is_some() {
                let flat = named.settings.flat();
                open.for_each(|(path, seen)| seen.differs = flat.get(*path) != Some(seen.value));
            }
        }
    }
    paths.sort_by_key(|(_, seen)| seen.place);
    let is_replicate = |path: &str| replicates.iter().any(|replicate| replicate == path);
    let none = !paths.iter().any(|(path, seen)| seen.differs && !is_replicate(path));
    let kept = paths.into_iter().filter(|(path, seen)| none || seen.differs || is_replicate(path));
    kept.map(|(path, _)| path.to_owned()).collect()
}

fn limited(name: String, id: ConfigurationId) -> String {
    if name.len() <= LONGEST { name } else { with_id(&name, id) }
}

/// A name with an id; the name is cut if it is long.
fn with_id(name: &str, id: ConfigurationId) -> String {
    const ROOM: usize = LONGEST - "... id=0123456789abcdef".len();
    let cut = if name.len() <= ROOM { name.to_owned() } else { crate::text::shortened(name, ROOM) + "..." };
    format!("{cut} id={id}")
}
