//! The canonical form of settings, and hashes of it. Two settings are equal if their canonical forms are.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Keep, ModalityPart, ModalityReplacement, ModelSettings, NetworkSettings, Schedule, TrainingSettings,
    schema::{Field, MODALITY_DROPOUT, field},
    types::DEFAULT_HIDDEN,
};
use crate::id::ConfigurationId;

/// Part of every hash. Change it if the canonical form of equal settings changes, for example when a default changes:
/// identifiers in old stores then belong to other configurations.
const FORMAT: &str = "colearn settings 2";
/// The same for programs.
const PROGRAM_FORMAT: &str = "colearn program 1";

impl NetworkSettings {
    /// The same settings without values that have no effect: per-modality settings equal to the default, dropouts of
    /// modalities that are never used in training, details of an unused schedule, partial drop or annealing, the
    /// treatment of dropped values where nothing is dropped, modalities in a validation that decides nothing or that a
    /// unimodal network does not see, and the order of the evaluated subsets.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        let (unimodal, primary) = (self.unimodal, self.primary.as_str());
        self.modality_dropout
            .retain(|modality, probability| *probability != 0.0 && (!unimodal || modality == primary));
        if let ModelSettings::Mfn(model) = &mut self.model {
            model.hidden.retain(|_, width| *width != DEFAULT_HIDDEN);
        }
        for subset in &mut self.evaluate {
            subset.sort_unstable();
            subset.dedup();
        }
        self.evaluate.retain(|subset| subset.as_slice() != [primary]);
        self.evaluate.sort_unstable_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        self.evaluate.dedup();
        let (training, usual) = (&mut self.training, TrainingSettings::default());
        if training.schedule == Schedule::Constant {
            training.plateau_factor = usual.plateau_factor;
            training.plateau_patience = usual.plateau_patience;
        }
        if training.modality_part == ModalityPart::All {
            training.modality_fraction = usual.modality_fraction;
        }
        let drops = !self.modality_dropout.is_empty();
        if !drops {
            training.modality_rescale = usual.modality_rescale;
            // Without drops only the absent modalities of the test are replaced; noise is tested with the mean.
            training.modality_replacement = match training.modality_replacement {
                _ if unimodal => ModalityReplacement::Zero,
                ModalityReplacement::Noise => ModalityReplacement::Mean,
                other => other,
            };
        }
        let constant = training.modality_anneal_start == 1.0 && training.modality_anneal_end == 1.0;
        if !drops || constant {
            training.modality_anneal_epochs = usual.modality_anneal_epochs;
        }
        if training.modality_anneal_epochs == 0 {
            training.modality_anneal_start = usual.modality_anneal_start;
            training.modality_anneal_end = usual.modality_anneal_end;
        }
        training.keep_by.sort_unstable();
        training.keep_by.dedup();
        let decides =
            training.keep == Keep::Best || training.patience > 0 || training.schedule == Schedule::Plateau;
        // A unimodal network sees its primary modality alone, whatever else is present.
        if unimodal || !decides || training.keep_by.as_slice() == [primary] {
            training.keep_by.clear();
        }
        self
    }

    /// The modalities that these settings name, each with the key that names it. The data set must have all of them.
    pub fn modalities_named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let hidden = match &self.model {
            ModelSettings::BiEflstm(_) => None,
            ModelSettings::Mfn(model) => Some(model.hidden.keys()),
        };
        std::iter::once(("primary", &self.primary))
            .chain(self.modality_dropout.keys().map(|name| ("modality_dropout", name)))
            .chain(hidden.into_iter().flatten().map(|name| ("model.hidden", name)))
            .chain(self.evaluate.iter().flatten().map(|name| ("evaluate", name)))
            .chain(self.training.keep_by.iter().map(|name| ("training.keep_by", name)))
            .map(|(key, name)| (key, name.as_str()))
    }

    /// The identifier of these settings: the first 8 bytes of the SHA-256 of their canonical form. Equal settings
    /// have the same identifier, however they were written.
    #[must_use]
    pub fn configuration_id(&self) -> ConfigurationId {
        configuration_id(&self.flat())
    }

    /// A hash of the settings that all members of a cohort must share: those that decide shapes and the length of the
    /// loop.
    #[must_use]
    pub fn cohort_key(&self) -> u64 {
        cohort_key(&self.flat())
    }

    /// Every field by its dotted path, [normalized](Self::normalized).
    #[must_use]
    pub fn flat(&self) -> BTreeMap<String, Value> {
        let settings = serde_json::to_value(self.clone().normalized()).expect("settings are plain data");
        let mut flat = BTreeMap::new();
        flatten(String::new(), settings, &mut flat);
        flat
    }
}

/// [`NetworkSettings::configuration_id`] for flat settings.
pub(crate) fn configuration_id(flat: &BTreeMap<String, Value>) -> ConfigurationId {
    ConfigurationId(hash(FORMAT, &canonical(flat, |path, value| !is_default_at(path, value))))
}

/// The identifier of a program's configuration, by what identifies it.
pub(super) fn program_id(identity: &BTreeMap<String, Value>) -> ConfigurationId {
    ConfigurationId(hash(PROGRAM_FORMAT, &canonical(identity, |_, _| true)))
}

/// [`NetworkSettings::cohort_key`] for flat settings.
pub(crate) fn cohort_key(flat: &BTreeMap<String, Value>) -> u64 {
    let is_shared = |path: &str| field(path).is_none_or(|field| field.shared_in_cohort);
    hash(FORMAT, &canonical(flat, |path, value| is_shared(path) && !is_default_at(path, value)))
}

/// Whether the setting at this path is about what a network sees of its modalities, which a unimodal network has no use
/// for. All others must agree for a difference to be one of co-learning.
pub(crate) fn is_of_modalities(path: &str) -> bool {
    path == "unimodal"
        || path == "training.keep_by"
        || path.starts_with(MODALITY_DROPOUT)
        || path.starts_with("training.modality_")
}

/// Whether flat settings without this path have this value: a modality that is not named has the default.
pub(crate) fn is_absent(path: &str, value: &Value) -> bool {
    field(path).is_some_and(|field| field.by_modality().is_some() && is_default(field, value))
}

fn is_default(field: &Field, value: &Value) -> bool {
    field.default.is_some_and(|preset| preset.value() == *value)
}

fn flatten(path: String, value: Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name } else { format!("{path}.{name}") };
                flatten(path, value, into);
            }
        }
        value => {
            into.insert(path, value);
        }
    }
}

/// Whether the value is the default of its field. Such values are not part of a hash, so that fields can be added
/// later without changing identifiers.
fn is_default_at(path: &str, value: &Value) -> bool {
    field(path).is_some_and(|field| is_default(field, value))
}

/// One JSON object with sorted keys. Floats are written as the shortest decimal that is read back as the same float,
/// always with an exponent, so that each float has one spelling.
fn canonical(flat: &BTreeMap<String, Value>, keep: impl Fn(&str, &Value) -> bool) -> String {
    let mut text = String::with_capacity(512);
    for (path, value) in flat.iter().filter(|(path, value)| keep(path, value)) {
        text.push(if text.is_empty() { '{' } else { ',' });
        quote(path, &mut text);
        text.push(':');
        match value {
            Value::String(word) => quote(word, &mut text),
            Value::Number(number) if number.is_f64() => {
                // -0.0 + 0.0 is 0.0. Writing to a String cannot fail.
                let _ = write!(text, "{:e}", number.as_f64().unwrap_or_default() + 0.0);
            }
            value => {
                let _ = write!(text, "{value}");
            }
        }
    }
    text.push('}');
    text
}

/// Quotes as in JSON, but escapes only what is needed to keep different texts different.
fn quote(text: &str, into: &mut String) {
    into.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            into.push('\\');
        }
        into.push(c);
    }
    into.push('"');
}

fn hash(format: &str, canonical: &str) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(format);
    hasher.update(b"\n");
    hasher.update(canonical);
    let digest = hasher.finalize();
    digest.iter().take(8).fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}
