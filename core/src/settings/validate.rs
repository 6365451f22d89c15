//! Checks whether settings can be trained: each value against its range, and all of them against a data set.
//!
//! The reader of sweep files checks each value against the same table rows, with the position of each error. This
//! module checks settings from other sources, and settings against data.

use serde_json::Value;

use super::{
    ModalityDraw, ModalityReplacement, ModelSettings, NetworkSettings,
    schema::{
        self, Bound, Kind, MAX_MODALITIES, MAX_SUBSET_BYTES, MAX_SUBSETS, MAX_TEXT_BYTES, MODALITY_DROPOUT,
    },
};
use crate::sweep::did_you_mean;

/// A network with more weights is a typing error. The bound also keeps every product of sizes within 64 bits.
const MAX_WEIGHTS: u128 = 1 << 36;

/// The reason why settings cannot be trained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A value is not allowed by its table row.
    #[error("`{path}` must be {expected}, found {found}")]
    Value {
        /// The dotted path of the setting.
        path: String,
        /// The allowed values.
        expected: String,
        /// The given value, as JSON.
        found: String,
    },
    /// With one exclusive draw, more would be dropped than there are draws.
    #[error(
        "with training.modality_draw `exclusive` at most one modality is dropped, so that the levels must sum to at most 1, but {levels} sum to {sum}"
    )]
    Exclusive {
        /// The levels, such as `modality_dropout.audio=0.8 and modality_dropout.video=0.6`.
        levels: String,
        /// Their sum, rounded.
        sum: String,
    },
    /// Kept values are scaled to make up for dropped values, but these are replaced by values of the same mean.
    #[error(
        "`training.modality_rescale` makes up for values that become zero, but `training.modality_replacement` is `{0}`"
    )]
    Rescale(&'static str),
    /// There is no such setting.
    #[error("there is no setting `{0}`")]
    Unknown(String),
    /// The network is larger than anything that could be trained.
    #[error("the network is too large: choose smaller values for `{0}`")]
    TooLarge(&'static str),
    /// The data set lacks a modality.
    #[error("`{key}` names the modality `{name}`, which {data} does not have; it has: {}{}", modalities.join(", "), advice(name, modalities))]
    NoModality {
        /// The setting that names it.
        key: String,
        /// The name of the modality.
        name: String,
        /// The name of the data set.
        data: String,
        /// The modalities of the data set.
        modalities: Vec<String>,
    },
    /// An epoch would have no batches.
    #[error(
        "training.batch_size is {batch_size}, but the training split of {data} has {samples} samples; choose a smaller batch, or set training.drop_last to false"
    )]
    NoBatch {
        /// The batch size.
        batch_size: u32,
        /// The name of the data set.
        data: String,
        /// The number of its training samples.
        samples: usize,
    },
}

fn advice(name: &str, modalities: &[String]) -> String {
    did_you_mean(name, modalities.iter().map(String::as_str))
        .map_or_else(String::new, |advice| format!("; {advice}"))
}

/// Levels whose sum is above 1 by no more than rounding are exclusive.
const ROUNDING: f64 = 1e-9;

/// The properties of a data set that decide whether settings fit it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataShape {
    /// Its name in messages: the path, with a word before it if that helps.
    pub name: String,
    /// The modalities, in the order of the data set.
    pub modalities: Vec<String>,
    /// Number of training samples.
    pub train_samples: usize,
}

impl DataShape {
    /// The position of a modality that a setting names.
    ///
    /// # Errors
    /// If the data set does not have it.
    pub fn modality(&self, key: &str, name: &str) -> Result<usize, SettingsError> {
        self.modalities.iter().position(|modality| modality == name).ok_or_else(|| {
            SettingsError::NoModality {
                key: key.to_owned(),
                name: name.to_owned(),
                data: self.name.clone(),
                modalities: self.modalities.clone(),
            }
        })
    }
}

impl Kind {
    /// Whether a value is allowed.
    #[must_use]
    pub fn accepts(&self, value: &Value) -> bool {
        match self {
            Self::Bool => value.is_boolean(),
            Self::Integer { min, max } => value.as_u64().is_some_and(|value| (*min..=*max).contains(&value)),
            Self::Number { min, max } => value.as_f64().is_some_and(|value| within(value, *min, *max)),
            Self::Word(words) => value.as_str().is_some_and(|text| words.contains(&text)),
            Self::Modality => value.as_str().is_some_and(schema::is_modality),
            Self::Text => value.as_str().is_some_and(is_text),
            Self::Subsets => value
                .as_array()
                .is_some_and(|subsets| subsets.len() <= MAX_SUBSETS && subsets.iter().all(is_subset)),
            Self::Modalities => value.as_array().is_some_and(Vec::is_empty) || is_subset(value),
        }
    }
}

fn within(value: f64, min: Bound, max: Bound) -> bool {
    let above = match min {
        Bound::None => true,
        Bound::Including(min) => value >= min,
        Bound::Excluding(min) => value > min,
    };
    let below = match max {
        Bound::None => true,
        Bound::Including(max) => value <= max,
        Bound::Excluding(max) => value < max,
    };
    value.is_finite() && above && below
}

fn is_text(text: &str) -> bool {
    !text.trim().is_empty() && !text.chars().any(crate::text::is_unprintable) && text.len() <= MAX_TEXT_BYTES
}

/// A non-empty list of modalities. Their names become part of metric names, so their length is limited.
fn is_subset(value: &Value) -> bool {
    let Some(names) = value.as_array() else { return false };
    let joined: usize = names.iter().filter_map(Value::as_str).map(|name| name.len() + 1).sum();
    (1..=MAX_MODALITIES).contains(&names.len())
        && names.iter().all(|name| Kind::Modality.accepts(name))
        && joined <= MAX_SUBSET_BYTES
}

impl NetworkSettings {
    /// Checks every value against its row of the table, and the values against each other.
    ///
    /// # Errors
    /// Names the first setting that is out of its range, or settings that do not go together.
    pub fn validate(&self) -> Result<(), SettingsError> {
        for (path, value) in self.flat() {
            let Some(field) = schema::field(&path) else { return Err(SettingsError::Unknown(path)) };
            if !field.kind.accepts(&value) {
                let (expected, found) = (field.kind.to_string(), value.to_string());
                return Err(SettingsError::Value { path, expected, found });
            }
        }
        self.clone().normalized().agree()
    }

    /// Checks the values of [normalized](Self::normalized) settings against each other.
    ///
    /// # Errors
    /// Names settings that do not go together.
    pub(crate) fn agree(&self) -> Result<(), SettingsError> {
        let training = &self.training;
        let sum: f64 = self.modality_dropout.values().sum();
        if training.modality_draw == ModalityDraw::Exclusive && sum > 1.0 + ROUNDING {
            let levels = self.modality_dropout.iter();
            let levels: Vec<String> =
                levels.map(|(name, level)| format!("{MODALITY_DROPOUT}{name}={level}")).collect();
            return Err(SettingsError::Exclusive {
                levels: levels.join(" and "),
                sum: ((sum * 1e6).round() / 1e6).to_string(),
            });
        }
        match training.modality_replacement {
            ModalityReplacement::Mean if training.modality_rescale => Err(SettingsError::Rescale("mean")),
            ModalityReplacement::Noise if training.modality_rescale => Err(SettingsError::Rescale("noise")),
            _ => Ok(()),
        }
    }

    /// Checks that valid settings can be trained on a data set.
    ///
    /// # Errors
    /// If the data set lacks a named modality or has too few samples for a batch, or if the network is too large for
    /// any memory.
    pub fn fits(&self, data: &DataShape) -> Result<(), SettingsError> {
        for (key, name) in self.modalities_named() {
            data.modality(key, name)?;
        }
        let (weights, sizes) = match &self.model {
            ModelSettings::BiEflstm(model) => {
                (u128::from(model.hidden).pow(2) * u128::from(model.layers), "model.hidden or model.layers")
            }
            ModelSettings::Mfn(model) => {
                let hidden = data.modalities.iter().map(|name| u128::from(model.hidden_of(name)));
                let widths = [model.memory, model.nn1, model.nn2, model.gamma1, model.gamma2, model.out];
                let inner: u128 = widths.into_iter().map(u128::from).sum();
                ((2 * hidden.sum::<u128>() + inner).pow(2), "model.hidden and the widths beside it")
            }
        };
        if weights > MAX_WEIGHTS {
            return Err(SettingsError::TooLarge(sizes));
        }
        if self.batch_sizes(data.train_samples).is_empty() {
            return Err(SettingsError::NoBatch {
                batch_size: self.training.batch_size,
                data: data.name.clone(),
                samples: data.train_samples,
            });
        }
        Ok(())
    }

    /// The number of samples of each batch of an epoch. Batch norm needs two samples: with batch norm a last batch of
    /// one sample is left out.
    #[must_use]
    pub fn batch_sizes(&self, samples: usize) -> Vec<usize> {
        let least = match self.model {
            ModelSettings::BiEflstm(_) => 2,
            ModelSettings::Mfn(_) => 1,
        };
        let size = self.training.batch_size as usize;
        let mut batches = vec![size; samples.checked_div(size).unwrap_or(0)];
        let rest = samples.checked_rem(size).unwrap_or(0);
        if !self.training.drop_last && rest >= least {
            batches.push(rest);
        }
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{BiEflstmSettings, TrainingSettings};

    fn settings() -> NetworkSettings {
        NetworkSettings {
            dataset: "d".into(),
            primary: "language".into(),
            unimodal: false,
            model: ModelSettings::BiEflstm(BiEflstmSettings { hidden: 4, layers: 1, dropout: 0.0 }),
            training: TrainingSettings { batch_size: 4, drop_last: false, ..TrainingSettings::default() },
            modality_dropout: [("audio".to_owned(), 0.5)].into(),
            evaluate: Vec::new(),
        }
    }

    fn data() -> DataShape {
        DataShape {
            name: "d.safetensors".into(),
            modalities: ["language", "audio"].map(str::to_owned).into(),
            train_samples: 10,
        }
    }

    fn invalid(change: impl FnOnce(&mut NetworkSettings)) -> String {
        let mut settings = settings();
        change(&mut settings);
        settings.validate().unwrap_err().to_string()
    }

    fn unfit(change: impl FnOnce(&mut NetworkSettings)) -> String {
        let mut settings = settings();
        change(&mut settings);
        settings.validate().unwrap();
        settings.fits(&data()).unwrap_err().to_string()
    }

    #[test]
    fn each_value_is_held_against_its_row() {
        assert_eq!(settings().validate(), Ok(()));
        assert_eq!(
            invalid(|s| s.training.learning_rate = 0.0),
            "`training.learning_rate` must be a number in (0, inf), found 0.0"
        );
        assert!(invalid(|s| s.training.learning_rate = f64::NAN).contains("found null"));
        assert!(invalid(|s| s.training.learning_rate = f64::INFINITY).contains("learning_rate"));
        assert!(invalid(|s| s.training.batch_size = 1).contains("`training.batch_size`"));
        assert!(invalid(|s| s.training.epochs = 0).contains("`training.epochs`"));
        assert!(invalid(|s| s.training.beta2 = 1.0).contains("`training.beta2` must be a number in [0, 1)"));
        assert!(
            invalid(|s| s.modality_dropout = [("audio".into(), 1.5)].into())
                .contains("`modality_dropout.audio` must be a number in [0, 1], found 1.5")
        );
        assert!(
            invalid(|s| s.primary = "two words".into()).contains("`primary` must be the name of a modality")
        );
        assert!(invalid(|s| s.evaluate = vec![vec![]]).contains("`evaluate`"));
        for dropout in [1.0, -0.1, f64::NAN] {
            let model = ModelSettings::BiEflstm(BiEflstmSettings { hidden: 4, layers: 1, dropout });
            assert!(invalid(|s| s.model = model).contains("`model.dropout` must be a number in [0, 1)"));
        }
        let model = ModelSettings::BiEflstm(BiEflstmSettings { hidden: 0, layers: 1, dropout: 0.0 });
        assert!(invalid(|s| s.model = model).contains("`model.hidden`"));
    }

    #[test]
    fn values_are_held_against_each_other() {
        let exclusive = |levels: &[(&str, f64)], unimodal| {
            let mut settings = settings();
            settings.unimodal = unimodal;
            settings.training.modality_draw = ModalityDraw::Exclusive;
            settings.modality_dropout = levels.iter().map(|(name, p)| ((*name).to_owned(), *p)).collect();
            settings.validate()
        };
        let error = exclusive(&[("audio", 0.8), ("video", 0.3)], false).unwrap_err().to_string();
        assert!(
            error.ends_with("modality_dropout.audio=0.8 and modality_dropout.video=0.3 sum to 1.1"),
            "{error}"
        );
        assert_eq!(exclusive(&[("audio", 0.8), ("video", 0.3)], true), Ok(()), "it drops neither");
        // The sum of the floats is above 1.
        assert_eq!(exclusive(&[("a", 0.34), ("b", 0.56), ("c", 0.1)], false), Ok(()));
        for (replacement, refused) in [
            (ModalityReplacement::Zero, false),
            (ModalityReplacement::Mean, true),
            (ModalityReplacement::Noise, true),
        ] {
            let mut settings = settings();
            settings.training.modality_replacement = replacement;
            settings.training.modality_rescale = true;
            assert_eq!(settings.validate().is_err(), refused, "{replacement:?}");
            settings.modality_dropout.clear();
            assert_eq!(settings.validate(), Ok(()), "nothing is dropped");
        }
        let annealed = |s: &mut NetworkSettings| {
            s.training.modality_anneal_epochs = 2;
            s.training.modality_anneal_start = 1.5;
        };
        assert!(invalid(annealed).contains("`training.modality_anneal_start` must be a number in [0, 1]"));
    }

    #[test]
    fn settings_must_fit_their_data() {
        assert_eq!(settings().fits(&data()), Ok(()));
        assert_eq!(
            unfit(|s| s.primary = "langage".into()),
            "`primary` names the modality `langage`, which d.safetensors does not have; it has: language, audio; did you mean `language`?"
        );
        assert!(
            unfit(|s| s.modality_dropout = [("smell".into(), 0.5)].into()).contains("`modality_dropout`")
        );
        assert!(unfit(|s| s.evaluate = vec![vec!["audio".into(), "video".into()]]).contains("`video`"));
        assert!(
            unfit(|s| s.training.keep_by = vec!["audio".into(), "vide".into()])
                .contains("`training.keep_by` names the modality `vide`")
        );
        assert!(
            unfit(|s| {
                s.training.batch_size = 11;
                s.training.drop_last = true;
            })
            .contains("training.batch_size is 11, but the training split of d.safetensors has 10 samples")
        );
        let wide = BiEflstmSettings { hidden: 65_536, layers: 17, dropout: 0.0 };
        assert!(unfit(|s| s.model = ModelSettings::BiEflstm(wide)).contains("too large"));
    }

    #[test]
    fn batches_of_an_epoch() {
        let mut settings = settings();
        assert_eq!(settings.batch_sizes(10), [4, 4, 2]);
        assert_eq!(settings.batch_sizes(9), [4, 4], "batch norm needs two samples");
        assert_eq!(settings.batch_sizes(8), [4, 4]);
        settings.training.drop_last = true;
        assert_eq!(settings.batch_sizes(10), [4, 4]);
        settings.training.batch_size = 0;
        assert!(settings.batch_sizes(10).is_empty());
    }
}
