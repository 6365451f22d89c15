//! `report.replicates`: parameters, such as the fold of a cross-validation, that the table averages over as it does
//! over seeds.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{
    definition::{Configuration, Sweep},
    diagnostic::{Problems, Span},
    file::Outline,
    scalar::did_you_mean,
};
use crate::settings::TaskSettings;

impl Sweep {
    /// The configurations of each row of the table, in the order of the grid: those that agree in every setting except
    /// `report.replicates`. Without replicates each configuration is a row.
    #[must_use]
    pub fn rows(&self) -> Vec<Vec<&Configuration>> {
        let replicates = &self.report.replicates;
        if replicates.is_empty() {
            return self.configurations.iter().map(|configuration| vec![configuration]).collect();
        }
        let mut rows: Vec<Vec<&Configuration>> = Vec::new();
        let mut known = HashMap::new();
        for configuration in &self.configurations {
            let at = *known.entry(row_key(&configuration.settings, replicates)).or_insert(rows.len());
            match rows.get_mut(at) {
                Some(row) => row.push(configuration),
                None => rows.push(vec![configuration]),
            }
        }
        rows
    }
}

/// The settings in which the configurations of one row of the table agree.
pub(super) fn row_key(settings: &TaskSettings, replicates: &[String]) -> Vec<(String, String)> {
    let flat = settings.flat().into_iter().filter(|(path, _)| !replicates.contains(path));
    flat.map(|(path, value)| (path, value.to_string())).collect()
}

/// The values that tell a configuration from the others of its row.
pub(crate) fn replicate_values(settings: &TaskSettings, replicates: &[String]) -> BTreeMap<String, Value> {
    if replicates.is_empty() {
        return BTreeMap::new();
    }
    settings.flat().into_iter().filter(|(path, _)| replicates.contains(path)).collect()
}

/// Checks the names in `report.replicates`, given with their positions, against the parameters.
pub(super) fn check(outline: &mut Outline, named: &[(String, Span)], problems: &mut Problems<'_>) {
    for (at, (name, span)) in named.iter().enumerate() {
        if let Some((_, first)) = named.iter().take(at).find(|(earlier, _)| earlier == name) {
            problems
                .error(*span, format!("`{name}` is given twice in `report.replicates`"))
                .note(*first, "the first one is here");
        } else if matches!(name.as_str(), "seed" | "seeds") {
            problems
                .error(*span, "the seeds are replicates without being named")
                .help("leave it out of `report.replicates`");
        } else if !outline.parameters.iter().any(|parameter| parameter.path == *name) {
            let known = outline.parameters.iter().map(|parameter| parameter.path.as_str());
            let help = did_you_mean(name, known)
                .unwrap_or_else(|| format!("sweep over it: `parameters: {{{name}: [...]}}`"));
            problems
                .error(*span, format!("`report.replicates` names `{name}`, which is not in `parameters`"))
                .help(help);
        }
    }
    for (name, span) in outline.baseline.iter().flat_map(|point| &point.names) {
        if named.iter().any(|(replicate, _)| replicate == name) {
            problems
                .error(*span, format!("`{name}` is in `report.replicates`, so it cannot select the baseline"))
                .help("leave it out: each replicate is compared with the same replicate of the baseline");
        }
    }
    outline.replicates_span = named.first().map_or(Span::default(), |(_, span)| *span);
    outline.report.replicates = named.iter().map(|(name, _)| name.clone()).collect();
}
