//! Checks whether a sweep can be trained on its data sets.

use std::collections::BTreeSet;

use super::definition::{Configuration, Sweep};
use crate::{
    settings::{DataShape, SettingsError, schema::field},
    text::counted_len,
};

impl Configuration {
    /// Checks the settings, and every modality that the swept values name, against a data set.
    ///
    /// # Errors
    /// As [`crate::settings::TaskSettings::fits`]; also if a swept value names a modality that the data set lacks,
    /// even if the value has no effect, such as a dropout of 0.
    pub fn fits(&self, data: &DataShape) -> Result<(), SettingsError> {
        for path in self.values.keys() {
            let Some(field) = field(path) else { continue };
            if let (Some(key), Some(name)) = (field.by_modality(), field.modality(path)) {
                data.modality(key.trim_end_matches('.'), name)?;
            }
        }
        self.settings.fits(data)
    }
}

impl Sweep {
    /// The names or paths of its data sets. Programs open theirs by themselves.
    #[must_use]
    pub fn data_sets(&self) -> BTreeSet<&str> {
        let networks =
            self.configurations.iter().filter_map(|configuration| configuration.settings.network());
        networks.map(|settings| settings.dataset.as_str()).collect()
    }

    /// The mistakes in the configurations of one data set: each mistake once, with the number of its configurations
    /// unless it is in all of them.
    #[must_use]
    pub fn misfits(&self, data_set: &str, data: &DataShape) -> Vec<String> {
        let mut mistakes: Vec<(String, usize)> = Vec::new();
        for configuration in self.configurations.iter().filter(|c| c.settings.data_set() == data_set) {
            let Err(mistake) = configuration.fits(data).map_err(|error| error.to_string()) else { continue };
            match mistakes.iter_mut().find(|(text, _)| *text == mistake) {
                Some((_, times)) => *times += 1,
                None => mistakes.push((mistake, 1)),
            }
        }
        let all = self.configurations.len();
        let told = |(mistake, times): (String, usize)| {
            if times == all {
                return mistake;
            }
            format!("{mistake} (in {times} of {})", counted_len(all, "configuration"))
        };
        mistakes.into_iter().map(told).collect()
    }
}
