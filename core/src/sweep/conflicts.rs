//! Values that do not go together, such as levels of an exclusive draw with a sum above 1.

use serde_json::Value;

use super::{
    diagnostic::{Problems, Span},
    file::Outline,
};
use crate::{
    settings::{NetworkSettings, SettingsError, schema::MODALITY_DROPOUT},
    text::counted_len,
};

const DRAW: &str = "training.modality_draw";
const REPLACEMENT: &str = "training.modality_replacement";
const RESCALE: &str = "training.modality_rescale";

/// Whether the value of this setting is checked against others.
pub(crate) fn is_checked(path: &str) -> bool {
    path.starts_with(MODALITY_DROPOUT) || [DRAW, REPLACEMENT, RESCALE].contains(&path)
}

/// The first configuration with each kind of conflict, and the number of such configurations.
#[derive(Debug, Default)]
pub(crate) struct Conflicts {
    found: Vec<Found>,
}

#[derive(Debug)]
struct Found {
    error: SettingsError,
    /// The setting to point at, and those that it conflicts with, each with its value.
    place: (&'static str, Value),
    others: Vec<(String, Value)>,
    help: &'static str,
    count: usize,
}

impl Found {
    fn new(error: SettingsError, settings: &NetworkSettings) -> Self {
        let (place, others, help) = match &error {
            SettingsError::Rescale(word) => (
                (RESCALE, true.into()),
                vec![(REPLACEMENT.to_owned(), (*word).into())],
                "remove one of the two, or leave such points out with `exclude`",
            ),
            _ => {
                let levels = settings.modality_dropout.iter();
                let levels =
                    levels.map(|(name, level)| (format!("{MODALITY_DROPOUT}{name}"), (*level).into()));
                (
                    (DRAW, "exclusive".into()),
                    levels.collect(),
                    "lower the levels, leave such points out with `exclude`, or draw `independent` or `shared`",
                )
            }
        };
        Self { error, place, others, help, count: 1 }
    }
}

impl Conflicts {
    /// Checks a new configuration.
    pub(crate) fn look_at(&mut self, settings: &NetworkSettings) {
        let Err(error) = settings.agree() else { return };
        let is_same =
            |found: &&mut Found| std::mem::discriminant(&found.error) == std::mem::discriminant(&error);
        match self.found.iter_mut().find(is_same) {
            Some(found) => found.count += 1,
            None => self.found.push(Found::new(error, settings)),
        }
    }

    /// Adds an error for each kind of conflict, at the values of its first configuration.
    pub(crate) fn report(&self, outline: &Outline, configurations: usize, problems: &mut Problems<'_>) {
        let place_of = |path: &str, value: &Value| -> Option<Span> {
            let mut mentioned = outline.checked.iter();
            mentioned.find(|(own, is, _)| own == path && is == value).map(|(_, _, span)| *span)
        };
        for Found { error, place: (path, value), others, help, count } in &self.found {
            let mut message = error.to_string();
            if *count < configurations {
                message =
                    format!("{message} (in {count} of {})", counted_len(configurations, "configuration"));
            }
            let span = place_of(path, value).unwrap_or(outline.parameters_span);
            let mut report = problems.error(span, message).help(*help);
            for (path, value) in others {
                if let Some(span) = place_of(path, value) {
                    report = report.note(span, format!("{path}={value}").replace('"', ""));
                }
            }
        }
    }
}
