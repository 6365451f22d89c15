//! The settings of a task: of a built-in network, or of a program.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{
        DeserializeSeed, Error as _, IntoDeserializer as _, MapAccess, Visitor, value::MapAccessDeserializer,
    },
};
use serde_json::Value;

use super::{DataShape, NetworkSettings, ProgramSettings, SettingsError, canonical};
use crate::{id::ConfigurationId, needs::TrainerKind};

/// All settings of a task except the seed.
///
/// As JSON, those of a network are an object with the fields of [`NetworkSettings`], those of a program an object with
/// the one field `program`.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskSettings {
    /// A built-in network.
    Network(NetworkSettings),
    /// A program of the user's own.
    Program(ProgramSettings),
}

/// The only field of the settings of a program.
const PROGRAM: &str = "program";

impl TaskSettings {
    /// The settings, if they are those of a network.
    #[must_use]
    pub fn network(&self) -> Option<&NetworkSettings> {
        match self {
            Self::Network(settings) => Some(settings),
            Self::Program(_) => None,
        }
    }

    /// The settings, if they are those of a network, to change them.
    pub fn network_mut(&mut self) -> Option<&mut NetworkSettings> {
        match self {
            Self::Network(settings) => Some(settings),
            Self::Program(_) => None,
        }
    }

    /// The settings, if they are those of a program.
    #[must_use]
    pub fn program(&self) -> Option<&ProgramSettings> {
        match self {
            Self::Network(_) => None,
            Self::Program(settings) => Some(settings),
        }
    }

    /// The kind of trainer for these settings.
    #[must_use]
    pub fn trainer(&self) -> TrainerKind {
        match self {
            Self::Network(_) => TrainerKind::Networks,
            Self::Program(_) => TrainerKind::Programs,
        }
    }

    /// A name for the files that have to be the same on all workers: the name or path of the data set; for a program
    /// its folder and command.
    #[must_use]
    pub fn data_set(&self) -> Cow<'_, str> {
        match self {
            Self::Network(settings) => Cow::Borrowed(&settings.dataset),
            Self::Program(settings) => Cow::Owned(settings.name()),
        }
    }

    /// The number of epochs; `None` for a program, which does not say it.
    #[must_use]
    pub fn epochs(&self) -> Option<u32> {
        self.network().map(|settings| settings.training.epochs)
    }

    /// The modalities that these settings name, each with the key that names it. The data set must have all of them.
    pub fn modalities_named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.network().into_iter().flat_map(NetworkSettings::modalities_named)
    }

    /// Checks that valid settings can be trained on a data set.
    ///
    /// # Errors
    /// As [`NetworkSettings::fits`]; a program opens its data by itself.
    pub fn fits(&self, data: &DataShape) -> Result<(), SettingsError> {
        self.network().map_or(Ok(()), |settings| settings.fits(data))
    }

    /// The identifier of these settings: the first 8 bytes of a SHA-256. Equal settings have the same identifier,
    /// however they were written. That of a program covers its command and the user's own settings.
    #[must_use]
    pub fn configuration_id(&self) -> ConfigurationId {
        match self {
            Self::Network(settings) => settings.configuration_id(),
            Self::Program(settings) => canonical::program_id(&settings.identity()),
        }
    }

    /// The same, given [`Self::flat`].
    pub(crate) fn configuration_id_of(&self, flat: &BTreeMap<String, Value>) -> ConfigurationId {
        match self {
            Self::Network(_) => canonical::configuration_id(flat),
            Self::Program(_) => self.configuration_id(),
        }
    }

    /// The same as [`Self::cohort_key`], given [`Self::flat`].
    pub(crate) fn cohort_key_of(&self, flat: &BTreeMap<String, Value>) -> u64 {
        match self {
            Self::Network(_) => canonical::cohort_key(flat),
            Self::Program(_) => self.cohort_key(),
        }
    }

    /// A hash of the settings that all members of a cohort must share. Programs run alone: see
    /// [`Self::max_cohort`].
    #[must_use]
    pub fn cohort_key(&self) -> u64 {
        match self {
            Self::Network(settings) => settings.cohort_key(),
            Self::Program(settings) => canonical::program_id(&settings.identity()).0,
        }
    }

    /// Maximum number of tasks with these settings in one cohort.
    #[must_use]
    pub fn max_cohort(&self) -> u32 {
        match self {
            Self::Network(_) => u32::MAX,
            Self::Program(_) => 1,
        }
    }

    /// Every setting by its dotted path.
    #[must_use]
    pub fn flat(&self) -> BTreeMap<String, Value> {
        match self {
            Self::Network(settings) => settings.flat(),
            Self::Program(settings) => settings.flat(),
        }
    }
}

impl Serialize for TaskSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Network(settings) => settings.serialize(serializer),
            Self::Program(settings) => serializer.collect_map([(PROGRAM, settings)]),
        }
    }
}

impl<'de> Deserialize<'de> for TaskSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

/// Decides by the first field. Nothing is read into a [`Value`] first: a sweep may have a million settings.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = TaskSettings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("settings of a task")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<TaskSettings, A::Error> {
        let first: Option<String> = fields.next_key()?;
        if first.as_deref() != Some(PROGRAM) {
            let fields = MapAccessDeserializer::new(WithFirst { first, fields });
            return NetworkSettings::deserialize(fields).map(TaskSettings::Network);
        }
        let program = fields.next_value()?;
        match fields.next_key::<String>()? {
            None => Ok(TaskSettings::Program(program)),
            Some(other) => Err(A::Error::custom(format!("unknown field `{other}` beside `{PROGRAM}`"))),
        }
    }
}

/// Fields of which the name of the first one was read already.
struct WithFirst<A> {
    first: Option<String>,
    fields: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for WithFirst<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.first.take() {
            Some(first) => seed.deserialize(first.into_deserializer()).map(Some),
            None => self.fields.next_key_seed(seed),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.fields.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Parameter;

    fn program(parameters: &[(&str, Value)]) -> ProgramSettings {
        ProgramSettings {
            command: vec!["python3".into(), "train.py".into(), "${args}".into()],
            parameters: parameters.iter().map(|(n, v)| Parameter((*n).to_owned(), v.clone())).collect(),
            directory: "/home/me/net".into(),
            metrics: vec!["accuracy".into()],
            ..ProgramSettings::default()
        }
    }

    #[test]
    fn settings_of_a_program_survive_json() {
        let settings = TaskSettings::Program(program(&[
            ("lr", 0.1.into()),
            ("layers", serde_json::json!([64, 64])),
            ("warmup", Value::Null),
        ]));
        let text = serde_json::to_string(&settings).unwrap();
        assert!(text.starts_with(r#"{"program":{"command":["python3","train.py","${args}"]"#), "{text}");
        assert_eq!(serde_json::from_str::<TaskSettings>(&text).unwrap(), settings);
        let odd = text.replacen('{', r#"{"dataset":"x","#, 1);
        let error = serde_json::from_str::<TaskSettings>(&odd).unwrap_err().to_string();
        assert!(error.contains("`dataset`"), "{error}");
    }

    #[test]
    fn the_identity_of_a_program_is_its_command_and_its_own_settings() {
        let id = |settings: &ProgramSettings| TaskSettings::Program(settings.clone()).configuration_id();
        let one = program(&[("lr", 0.1.into()), ("depth", 2.into())]);
        let same = ProgramSettings {
            directory: "/elsewhere".into(),
            metrics: vec![],
            parameters: one.parameters.iter().rev().cloned().collect(),
            ..one.clone()
        };
        assert_eq!(id(&one), id(&same));
        assert_ne!(id(&one), id(&program(&[("lr", 0.2.into()), ("depth", 2.into())])));
        assert_ne!(id(&one), id(&program(&[("lr", 0.1.into()), ("depth", "2".into())])));
        let other = ProgramSettings { command: vec!["true".into()], ..one.clone() };
        assert_ne!(id(&one), id(&other));
    }
}
