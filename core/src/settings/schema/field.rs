//! What a row of the table of settings says of a field: what it can be, its default, and which models have it.

use std::fmt;

use serde_json::Value;

/// One field of the settings.
#[derive(Debug)]
pub struct Field {
    /// Its dotted path, as in `parameters:`.
    pub path: &'static str,
    /// What it can be.
    pub kind: Kind,
    /// What it is when the file does not say; a field without must be given.
    pub default: Option<Preset>,
    /// What it means, in a line.
    pub doc: &'static str,
    /// Whether all members of a cohort must have the same value: it decides shapes or the length of the loop.
    pub shared_in_cohort: bool,
    /// The kinds of model that have this field; empty for all.
    pub models: &'static [&'static str],
}

/// What a field can be.
#[derive(Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// An integer from `min` to `max`.
    Integer {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A finite number within bounds.
    Number {
        /// Below.
        min: Bound,
        /// Above.
        max: Bound,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// The name of a modality: a letter or `_`, then letters, digits, `_` or `-`; at most 64 bytes.
    Modality,
    /// A text that is not empty; at most [`MAX_TEXT_BYTES`] bytes.
    Text,
    /// A list of sets of modalities, none of them empty; at most [`MAX_SUBSETS`].
    Subsets,
}

/// Where a number's range ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Nowhere.
    None,
    /// At this value, which belongs to the range.
    Including(f64),
    /// At this value, which does not belong to the range.
    Excluding(f64),
}

/// A default.
#[derive(Clone, Copy, Debug)]
pub enum Preset {
    /// Of a [`Kind::Bool`].
    Bool(bool),
    /// Of a [`Kind::Integer`].
    Integer(u64),
    /// Of a [`Kind::Number`].
    Number(f64),
    /// Of a [`Kind::Word`].
    Word(&'static str),
    /// Of [`Kind::Subsets`]: none.
    Empty,
}

/// The largest integer of a setting that has no bound of its own.
pub(crate) const MAX_INTEGER: u64 = u32::MAX as u64;

/// Longest text of a setting, in bytes.
pub const MAX_TEXT_BYTES: usize = 1024;

/// Most subsets of modalities that one configuration can be tested with.
pub const MAX_SUBSETS: usize = 16;

/// Most bytes of the names in one of them, with what joins them.
pub const MAX_SUBSET_BYTES: usize = 900;

/// Most modalities that one sweep can name.
pub const MAX_MODALITIES: usize = 64;

/// What the paths of modality dropouts begin with; the modality's name follows.
pub const MODALITY_DROPOUT: &str = "modality_dropout.";

impl Field {
    /// Whether a model of this kind has the field.
    #[must_use]
    pub fn belongs_to(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.contains(&model)
    }

    /// Of a row that stands for one setting of each modality: what the paths begin with; the modality follows.
    /// A modality that is not named has the default.
    #[must_use]
    pub fn by_modality(&self) -> Option<&'static str> {
        self.path.strip_suffix(MODALITY)
    }

    /// The modality in a path of this row, if it stands for one setting of each.
    #[must_use]
    pub fn modality<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(self.by_modality()?)
    }

    /// The section of the sweep file it stands in, if any.
    #[must_use]
    pub fn section(&self) -> Option<&'static str> {
        self.path.split_once('.').map(|(section, _)| section)
    }
}

/// What stands for a modality's name in the path of a row.
pub(super) const MODALITY: &str = "<modality>";

impl Preset {
    /// As JSON.
    #[must_use]
    pub fn value(self) -> Value {
        match self {
            Self::Bool(value) => value.into(),
            Self::Integer(value) => value.into(),
            Self::Number(value) => value.into(),
            Self::Word(word) => word.into(),
            Self::Empty => Value::Array(Vec::new()),
        }
    }
}

/// What must be written: fits "expected ...".
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Integer { min, max } if *max >= MAX_INTEGER => write!(f, "an integer of at least {min}"),
            Self::Integer { min, max } => write!(f, "an integer from {min} to {max}"),
            Self::Number { min, max } => {
                let (left, from) = match min {
                    Bound::None => ('(', "-inf".to_owned()),
                    Bound::Including(value) => ('[', value.to_string()),
                    Bound::Excluding(value) => ('(', value.to_string()),
                };
                let (right, to) = match max {
                    Bound::None => (')', "inf".to_owned()),
                    Bound::Including(value) => (']', value.to_string()),
                    Bound::Excluding(value) => (')', value.to_string()),
                };
                write!(f, "a number in {left}{from}, {to}{right}")
            }
            Self::Word(words) => {
                for (index, word) in words.iter().enumerate() {
                    let between = match index {
                        0 => "",
                        last if last + 1 == words.len() => " or ",
                        _ => ", ",
                    };
                    write!(f, "{between}`{word}`")?;
                }
                Ok(())
            }
            Self::Modality => f.write_str("the name of a modality"),
            Self::Text => f.write_str("a text"),
            Self::Subsets => f.write_str("a list of lists of modalities"),
        }
    }
}
