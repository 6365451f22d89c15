//! The table of settings: one row a field, with its path in a sweep file, its bounds, default and meaning.
//!
//! Everything that knows the fields by name reads this table: the reader of sweep files, what can be swept,
//! "did you mean", the identity of a cohort and the printed reference. The rows and the types of
//! [`TaskSettings`](super::TaskSettings) are two views of the same thing; a test compares them.

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
    /// A text that is not empty; at most [`LONGEST_TEXT`] bytes.
    Text,
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
}

/// Longest text of a setting, in bytes.
pub const LONGEST_TEXT: usize = 1024;

/// Most modalities that one sweep can name.
pub const MOST_MODALITIES: usize = 64;

/// What the paths of modality dropouts begin with; the modality's name follows.
pub const MODALITY_DROPOUT: &str = "modality_dropout.";

/// Kinds of model, as `model.kind` names them.
pub const MODEL_KINDS: &[&str] = &["bi-eflstm"];

const LARGEST: u64 = u32::MAX as u64;
const PROBABILITY: Kind = Kind::Number { min: Bound::Including(0.0), max: Bound::Including(1.0) };

/// Every field, in the order people read them.
pub const FIELDS: &[Field] = &[
    Field {
        path: "dataset",
        kind: Kind::Text,
        default: None,
        doc: "name of a data set in the data folder, or a path to a .safetensors file",
        shared_in_cohort: true,
        models: &[],
    },
    Field {
        path: "primary",
        kind: Kind::Modality,
        default: None,
        doc: "the modality that is present at validation and test time",
        shared_in_cohort: true,
        models: &[],
    },
    Field {
        path: "unimodal",
        kind: Kind::Bool,
        default: Some(Preset::Bool(false)),
        doc: "train on the primary modality alone",
        shared_in_cohort: false,
        models: &[],
    },
    Field {
        path: "model.kind",
        kind: Kind::Word(MODEL_KINDS),
        default: Some(Preset::Word("bi-eflstm")),
        doc: "the network",
        shared_in_cohort: true,
        models: &[],
    },
    Field {
        path: "model.hidden",
        kind: Kind::Integer { min: 1, max: 65_536 },
        default: Some(Preset::Integer(128)),
        doc: "hidden units per direction and layer, and width of the head",
        shared_in_cohort: true,
        models: &["bi-eflstm"],
    },
    Field {
        path: "model.layers",
        kind: Kind::Integer { min: 1, max: 64 },
        default: Some(Preset::Integer(2)),
        doc: "stacked bidirectional layers",
        shared_in_cohort: true,
        models: &["bi-eflstm"],
    },
    Field {
        path: "model.dropout",
        kind: Kind::Number { min: Bound::Including(0.0), max: Bound::Excluding(1.0) },
        default: Some(Preset::Number(0.5)),
        doc: "dropout between the layers and in the head",
        shared_in_cohort: false,
        models: &["bi-eflstm"],
    },
    Field {
        path: "training.epochs",
        kind: Kind::Integer { min: 1, max: 1_000_000 },
        default: Some(Preset::Integer(40)),
        doc: "passes over the training split",
        shared_in_cohort: true,
        models: &[],
    },
    Field {
        path: "training.batch_size",
        // Batch normalisation has no variance to divide by in a batch of one.
        kind: Kind::Integer { min: 2, max: LARGEST },
        default: Some(Preset::Integer(15)),
        doc: "samples per optimizer step",
        shared_in_cohort: true,
        models: &[],
    },
    Field {
        path: "training.learning_rate",
        kind: Kind::Number { min: Bound::Excluding(0.0), max: Bound::None },
        default: Some(Preset::Number(0.001)),
        doc: "Adam's step size",
        shared_in_cohort: false,
        models: &[],
    },
    Field {
        path: "training.shuffle",
        kind: Kind::Word(&["once", "every_epoch"]),
        default: Some(Preset::Word("every_epoch")),
        doc: "when the training split is shuffled",
        shared_in_cohort: true,
        models: &[],
    },
    Field {
        path: "training.drop_last",
        kind: Kind::Bool,
        default: Some(Preset::Bool(true)),
        doc: "leave out the last batch of an epoch when it is not full",
        shared_in_cohort: true,
        models: &[],
    },
    Field {
        path: "training.modality_draw",
        kind: Kind::Word(&["shared", "independent"]),
        default: Some(Preset::Word("independent")),
        doc: "one draw a batch for all modalities, or one for each",
        shared_in_cohort: false,
        models: &[],
    },
    Field {
        path: "modality_dropout.<modality>",
        kind: PROBABILITY,
        default: Some(Preset::Number(0.0)),
        doc: "probability with which a modality's features are zeroed in training",
        shared_in_cohort: false,
        models: &[],
    },
];

impl Field {
    /// Whether a model of this kind has the field.
    #[must_use]
    pub fn belongs_to(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.contains(&model)
    }

    /// Whether this row stands for the dropout of any modality.
    #[must_use]
    pub fn is_modality_dropout(&self) -> bool {
        self.path.starts_with(MODALITY_DROPOUT)
    }

    /// The section of the sweep file it stands in, if any.
    #[must_use]
    pub fn section(&self) -> Option<&'static str> {
        self.path.split_once('.').map(|(section, _)| section)
    }
}

/// The row of a dotted path, such as `training.epochs` or `modality_dropout.audio`.
#[must_use]
pub fn field(path: &str) -> Option<&'static Field> {
    let modality = path.strip_prefix(MODALITY_DROPOUT);
    FIELDS.iter().find(|field| match modality {
        Some(modality) => field.is_modality_dropout() && is_modality(modality),
        None => field.path == path,
    })
}

/// Whether this can be the name of a modality.
#[must_use]
pub fn is_modality(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && name.len() <= 64 && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

impl Preset {
    /// As JSON.
    #[must_use]
    pub fn value(self) -> Value {
        match self {
            Self::Bool(value) => value.into(),
            Self::Integer(value) => value.into(),
            Self::Number(value) => value.into(),
            Self::Word(word) => word.into(),
        }
    }
}

/// What must be written: fits "expected ...".
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Integer { min, max } if *max >= LARGEST => write!(f, "an integer of at least {min}"),
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
        }
    }
}

/// The table as text, a field a line, for people.
#[must_use]
pub fn reference() -> String {
    use fmt::Write as _;
    let mut text = String::new();
    let widest = FIELDS.iter().map(|field| field.path.len()).max().unwrap_or(0);
    for field in FIELDS {
        let default = match field.default.map(Preset::value) {
            None => "required".to_owned(),
            Some(Value::String(word)) => format!("default {word}"),
            Some(value) => format!("default {value}"),
        };
        // Writing to a String can not fail.
        let _ = writeln!(text, "{:widest$}  {}; {} ({default})", field.path, field.doc, field.kind);
    }
    text
}
