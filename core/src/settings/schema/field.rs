//! One row of the settings table: the type, bounds and default of a field, and the models that have it.

use std::fmt;

use serde_json::Value;

/// One field of the settings.
#[derive(Debug)]
pub struct Field {
    /// Dotted path, as in `parameters:`.
    pub path: &'static str,
    /// The allowed values.
    pub kind: Kind,
    /// The value if the file does not give one; a field without a default must be given.
    pub default: Option<Preset>,
    /// The meaning, in one line.
    pub doc: &'static str,
    /// What a number counts or measures, such as `epochs`; empty for other kinds.
    pub unit: &'static str,
    /// Whether all members of a cohort must have the same value, because it decides shapes or the length of the loop.
    pub shared_in_cohort: bool,
    /// The kinds of models that have this field; empty for all.
    pub models: &'static [&'static str],
}

/// The allowed values of a field.
#[derive(Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// An integer from `min` to `max`.
    Integer {
        /// The smallest value.
        min: u64,
        /// The largest value.
        max: u64,
    },
    /// A finite number within bounds.
    Number {
        /// Lower bound.
        min: Bound,
        /// Upper bound.
        max: Bound,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// The name of a modality: a letter or `_`, then letters, digits, `_` or `-`; at most 64 bytes.
    Modality,
    /// A text that is not empty; at most [`MAX_TEXT_BYTES`] bytes.
    Text,
    /// A list of non-empty sets of modalities; at most [`MAX_SUBSETS`].
    Subsets,
    /// A set of modalities, which may be empty.
    Modalities,
}

/// A bound of a number's range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// No bound.
    None,
    /// This value, which is part of the range.
    Including(f64),
    /// This value, which is not part of the range.
    Excluding(f64),
}

/// A default.
#[derive(Clone, Copy, Debug)]
pub enum Preset {
    /// The default of a [`Kind::Bool`].
    Bool(bool),
    /// The default of a [`Kind::Integer`].
    Integer(u64),
    /// The default of a [`Kind::Number`].
    Number(f64),
    /// The default of a [`Kind::Word`].
    Word(&'static str),
    /// The default of [`Kind::Subsets`] and [`Kind::Modalities`]: none.
    Empty,
}

/// The largest integer of a setting without its own bound.
pub(crate) const MAX_INTEGER: u64 = u32::MAX as u64;

/// Maximum length of a text setting, in bytes.
pub const MAX_TEXT_BYTES: usize = 1024;

/// Maximum number of subsets of modalities that one configuration is tested with.
pub const MAX_SUBSETS: usize = 16;

/// Maximum length of the joined names in one subset, in bytes.
pub const MAX_SUBSET_BYTES: usize = 900;

/// Maximum number of modalities that one sweep can name.
pub const MAX_MODALITIES: usize = 64;

/// Prefix of the paths of modality dropouts; the name of the modality follows.
pub const MODALITY_DROPOUT: &str = "modality_dropout.";

impl Field {
    /// Whether a model of this kind has the field.
    #[must_use]
    pub fn belongs_to(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.contains(&model)
    }

    /// For a row that describes one setting per modality: the prefix of the paths; the name of the modality follows.
    /// A modality that is not named has the default.
    #[must_use]
    pub fn by_modality(&self) -> Option<&'static str> {
        self.path.strip_suffix(MODALITY)
    }

    /// The modality in a path of this row, if the row describes one setting per modality.
    #[must_use]
    pub fn modality<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(self.by_modality()?)
    }

    /// The section of the sweep file that has the field, if any.
    #[must_use]
    pub fn section(&self) -> Option<&'static str> {
        self.path.split_once('.').map(|(section, _)| section)
    }
}

/// The placeholder of a modality's name in the path of a row.
pub(super) const MODALITY: &str = "<modality>";

impl Preset {
    /// The value as JSON.
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

/// The expected value as text that continues "expected ...".
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
            Self::Modalities => f.write_str("a list of modalities"),
        }
    }
}
