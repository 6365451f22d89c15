//! Finds the configuration that a person names.

use std::fmt;

use serde_json::Value;

use super::{Named, Names, words};
use crate::{
    id::{ConfigurationId, SweepName},
    settings,
    sweep::{Configuration, Sweep, did_you_mean},
    table::{ConfigurationRow, ResultsTable},
    text::{counted_len, one_line},
};

/// Numbers of digits that are taken for the beginning of an id: fewer are more likely a typing error.
const DIGITS: std::ops::RangeInclusive<usize> = 4..=16;
/// Maximum number of names in an error.
const MAX_LISTED: usize = 10;

/// A text that names no configuration, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindError {
    message: String,
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FindError {}

/// A text that names configurations: values, such as `audio=0.8,video=0.8` or `unimodal`, or the beginning of an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Criteria(String);

impl Criteria {
    /// A text with at least one word; `None` for another.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (!words::split(text).is_empty()).then(|| Self(text.trim().to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as the beginning of an id, if it can be one.
    fn as_id(&self) -> Option<String> {
        let text = self.0.strip_prefix("id=").unwrap_or(&self.0);
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        (digits && DIGITS.contains(&text.len())).then(|| text.to_ascii_lowercase())
    }
}

/// The configurations or rows of a sweep among which one is named.
#[derive(Clone, Copy)]
struct Candidates<'a> {
    sweep: &'a SweepName,
    all: &'a [Named<'a>],
}

/// One demand of a person: that a setting has a value.
struct Demand<'t> {
    /// The position of the column; `None` for a setting in which configurations do not differ.
    column: Option<usize>,
    path: String,
    value: &'t str,
}

impl Names {
    /// The configuration that `wanted` names: the only one that has all of its values, or whose id begins with it. A
    /// setting is given by its path, or by the end of it. If several have the values, it is the one that has no others.
    ///
    /// # Errors
    /// If there is none or several; the error lists the names.
    pub fn find<'s>(&self, sweep: &'s Sweep, wanted: &Criteria) -> Result<&'s Configuration, FindError> {
        let all: Vec<Named<'_>> = sweep.configurations.iter().map(Named::from).collect();
        let of = Candidates { sweep: &sweep.name, all: &all };
        let id = self.find_among(of, wanted)?;
        let found = sweep.configurations.iter().find(|it| it.id == id);
        found.ok_or_else(|| self.unknown(of, wanted, "it is not there"))
    }

    /// The row of a table that `wanted` names, as [`Self::find`].
    ///
    /// # Errors
    /// As for [`Self::find`].
    pub fn find_row<'t>(
        &self,
        table: &'t ResultsTable,
        wanted: &Criteria,
    ) -> Result<&'t ConfigurationRow, FindError> {
        let all: Vec<Named<'_>> = table.configurations.iter().map(Named::from).collect();
        let of = Candidates { sweep: &table.sweep, all: &all };
        let id = self.find_among(of, wanted)?;
        let found = table.configurations.iter().find(|row| row.id == id);
        found.ok_or_else(|| self.unknown(of, wanted, "it is not there"))
    }

    fn find_among(&self, of: Candidates<'_>, wanted: &Criteria) -> Result<ConfigurationId, FindError> {
        let given = words::split(wanted.as_str());
        let mut others = of.all.iter().filter_map(|named| Some((named.id, self.others.get(&named.id)?)));
        if let Some((id, _)) = others.find(|(_, name)| words::split(name) == given) {
            return Ok(id);
        }
        let demands = match self.demands(of, wanted.as_str()) {
            Ok(demands) => demands,
            Err(unknown) => return self.by_id_or_name(of, wanted, &unknown),
        };
        let fits = |named: &&Named<'_>| demands.iter().all(|demand| demand.fits(named));
        let mut found: Vec<&Named<'_>> = of.all.iter().filter(fits).collect();
        // A value that the file gives is rather meant than a default, and the number 1 rather than the text "1".
        for is_rather_meant in [Demand::is_given_in, Demand::is_written_in] {
            let rather = |named: &&Named<'_>| demands.iter().all(|demand| is_rather_meant(demand, named));
            if found.iter().any(rather) {
                found.retain(rather);
            }
        }
        match found.as_slice() {
            [] => self.by_id_or_name(of, wanted, "no configuration has these values together"),
            [only] => Ok(only.id),
            several => {
                let mut whole = several.iter().filter(|named| self.is_all_of(named, &demands));
                match (whole.next(), whole.next()) {
                    (Some(named), None) => Ok(named.id),
                    _ => Err(self.ambiguous(of, wanted, several)),
                }
            }
        }
    }

    fn demands<'t>(&self, of: Candidates<'_>, text: &'t str) -> Result<Vec<Demand<'t>>, String> {
        let demand = |word: &'t str| {
            let (path, value) = word.split_once('=').unwrap_or((word, "true"));
            let (column, path) = self.path(of, path)?;
            Ok(Demand { column, path, value })
        };
        words::split(text).into_iter().map(demand).collect()
    }

    /// The setting that a person names.
    fn path(&self, of: Candidates<'_>, given: &str) -> Result<(Option<usize>, String), String> {
        let column = |at: usize| (Some(at), self.columns[at].path.clone());
        if let Some(at) = self.columns.iter().position(|it| it.path == given || it.short == given) {
            return Ok(column(at));
        }
        let ends = |path: &str| path.strip_suffix(given).is_some_and(|before| before.ends_with('.'));
        let ending: Vec<usize> = (0..self.columns.len()).filter(|at| ends(&self.columns[*at].path)).collect();
        match ending.as_slice() {
            [at] => return Ok(column(*at)),
            [] => {}
            several => {
                let paths: Vec<&str> = several.iter().map(|at| self.columns[*at].path.as_str()).collect();
                return Err(format!("`{}` may be {}", one_line(given), paths.join(" or ")));
            }
        }
        let has = |named: &Named<'_>| named.settings.flat().contains_key(given);
        if settings::schema::field(given).is_some() || of.all.iter().any(has) {
            return Ok((None, given.to_owned()));
        }
        let known = self.columns.iter().flat_map(|column| [column.short.as_str(), column.path.as_str()]);
        let like = did_you_mean(given, known).map(|like| format!("; {like}")).unwrap_or_default();
        Err(format!("no setting is called `{}`{like}", one_line(given)))
    }

    /// Whether a configuration's name has no words beyond these demands.
    fn is_all_of(&self, named: &Named<'_>, demands: &[Demand<'_>]) -> bool {
        let demanded = |at: usize| demands.iter().any(|demand| demand.column == Some(at));
        let own = |at: &usize| named.values.contains_key(&self.columns[*at].path);
        (0..self.columns.len()).filter(own).all(demanded)
    }

    /// The configuration with this name or beginning of an id. Only names that were cut or have an id are found here.
    fn by_id_or_name(
        &self,
        of: Candidates<'_>,
        wanted: &Criteria,
        why: &str,
    ) -> Result<ConfigurationId, FindError> {
        if let Some(digits) = wanted.as_id() {
            let begins = |named: &&Named<'_>| named.id.to_string().starts_with(&digits);
            let found: Vec<&Named<'_>> = of.all.iter().filter(begins).collect();
            match found.as_slice() {
                [] => {}
                [only] => return Ok(only.id),
                several => return Err(self.ambiguous(of, wanted, several)),
            }
        }
        let words = words::split(wanted.as_str());
        let is_it = |named: &&Named<'_>| words::split(&self.name(**named)) == words;
        let found = of.all.iter().find(is_it).map(|named| named.id);
        found.ok_or_else(|| self.unknown(of, wanted, why))
    }

    fn ambiguous(&self, of: Candidates<'_>, wanted: &Criteria, found: &[&Named<'_>]) -> FindError {
        let message = format!(
            "{} has {} that `{}` may mean: {}; name more of their values",
            of.sweep,
            counted_len(found.len(), "configuration"),
            one_line(wanted.as_str()),
            self.listed(found.iter().copied())
        );
        FindError { message }
    }

    fn unknown(&self, of: Candidates<'_>, wanted: &Criteria, why: &str) -> FindError {
        let message = format!(
            "{} has no configuration `{}`: {why}; its configurations are {}",
            of.sweep,
            one_line(wanted.as_str()),
            self.listed(of.all.iter())
        );
        FindError { message }
    }

    /// The first names, as they can be given to a command.
    fn listed<'n>(&self, configurations: impl ExactSizeIterator<Item = &'n Named<'n>>) -> String {
        let more = configurations.len().saturating_sub(MAX_LISTED);
        let names = configurations.take(MAX_LISTED).map(|it| words::as_argument(&self.name(*it)));
        let mut text = names.collect::<Vec<_>>().join("; ");
        if more > 0 {
            text += &format!("; and {more} more");
        }
        text
    }
}

impl Demand<'_> {
    fn fits(&self, named: &Named<'_>) -> bool {
        match named.values.get(&self.path) {
            Some(own) => self.is(own),
            None => match named.settings.flat().get(&self.path) {
                Some(own) => self.is(own),
                // A modality that is not named has the default.
                None => {
                    let value: Value = serde_json::from_str(self.value).unwrap_or_default();
                    settings::is_absent(&self.path, &value)
                        || value.as_f64() == Some(0.0) && settings::is_absent(&self.path, &0.0.into())
                }
            },
        }
    }

    fn is_given_in(&self, named: &Named<'_>) -> bool {
        self.column.is_none() || named.values.contains_key(&self.path)
    }

    fn is_written_in(&self, named: &Named<'_>) -> bool {
        named.values.get(&self.path).is_none_or(|own| words::word(own) == self.value)
    }

    /// Whether a value is what the person wrote: `0.80` is 0.8, and `5` is also the text "5".
    fn is(&self, own: &Value) -> bool {
        if words::word(own) == self.value || own.as_str() == Some(self.value) {
            return true;
        }
        serde_json::from_str::<Value>(self.value).is_ok_and(|value| {
            value == *own || value.as_f64().is_some_and(|value| own.as_f64() == Some(value))
        })
    }
}
