//! The names that a sweep file uses in several places, for checks across them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    conflicts,
    diagnostic::{Problems, Span},
    vocabulary::SettingType,
};
use crate::{
    result::metric,
    settings::schema::{self, FIELDS, Field, MAX_MODALITIES, MODALITY_DROPOUT},
};

/// The names in settings, parameters and extra configurations, such as modalities and models.
#[derive(Debug, Default)]
pub(crate) struct Mentions {
    modalities: BTreeSet<String>,
    too_many: Option<Span>,
    /// Kinds of models that some configuration may have.
    models: BTreeSet<String>,
    /// Settings that only some kinds of models have.
    of_models: Vec<(&'static Field, Span)>,
    /// Where a modality's dropout is given as 1.
    pub(crate) always_dropped: Vec<(String, Span)>,
    /// The values of settings that are checked against each other, with their positions.
    pub(crate) checked: Vec<(String, Value, Span)>,
    /// Subsets of modalities that some configuration is tested with, sorted and joined as in metric names.
    subsets: BTreeSet<String>,
    primaries: BTreeSet<String>,
    /// The metrics of `report`, with their positions.
    metrics: Option<Vec<(String, Span)>>,
    /// The metrics whose direction is given, with their positions.
    directed: Vec<(String, Span)>,
    /// The parameters of `report.replicates`, with their positions.
    replicates: Vec<(String, Span)>,
}

impl Mentions {
    fn modality(&mut self, modality: &str, span: Span) {
        self.modalities.insert(modality.to_owned());
        if self.modalities.len() > MAX_MODALITIES {
            self.too_many.get_or_insert(span);
        }
    }

    pub(crate) fn metrics(&mut self, metrics: Vec<(String, Span)>) {
        self.metrics = Some(metrics);
    }

    pub(crate) fn setting(&mut self, kind: SettingType, path: &str, span: Span) {
        let Some(field) = kind.field() else { return };
        if let Some(modality) = field.modality(path) {
            self.modality(modality, span);
        }
        if !field.models.is_empty() {
            self.of_models.push((field, span));
        }
    }

    pub(crate) fn value(&mut self, kind: SettingType, path: &str, value: &Value, span: Span) {
        if kind.field().is_none() {
            return;
        }
        if let (Some(modality), Some(1.0)) = (path.strip_prefix(MODALITY_DROPOUT), value.as_f64()) {
            self.always_dropped.push((modality.to_owned(), span));
        }
        if conflicts::is_checked(path) {
            self.checked.push((path.to_owned(), value.clone(), span));
        }
        if let ("model.kind", Some(kind)) = (path, value.as_str()) {
            self.models.insert(kind.to_owned());
        }
        if let ("primary", Some(primary)) = (path, value.as_str()) {
            self.primaries.insert(primary.to_owned());
        }
        if path == "training.keep_by" {
            value
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .for_each(|it| self.modality(it, span));
        }
        if path == "evaluate" {
            for subset in value.as_array().into_iter().flatten() {
                let names: BTreeSet<&str> =
                    subset.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                names.iter().for_each(|name| self.modality(name, span));
                self.subsets.insert(names.into_iter().collect::<Vec<_>>().join("+"));
            }
        }
    }

    pub(crate) fn direction_of(&mut self, metric: &str, span: Span) {
        self.directed.push((metric.to_owned(), span));
    }

    /// The metrics whose direction `report` names, with their positions.
    pub(crate) fn directed(&self) -> &[(String, Span)] {
        &self.directed
    }

    pub(crate) fn replicate(&mut self, parameter: &str, span: Span) {
        self.replicates.push((parameter.to_owned(), span));
    }

    /// The parameters of `report.replicates`, with their positions.
    pub(crate) fn replicates(&self) -> &[(String, Span)] {
        &self.replicates
    }

    /// The metrics that `report` names, if it names any.
    pub(crate) fn named_metrics(&self) -> Option<Vec<String>> {
        Some(self.metrics.as_ref()?.iter().map(|(name, _)| name.clone()).collect())
    }

    /// The shown metrics: the named ones, or the usual ones and the accuracy for each subset.
    pub(crate) fn shown_metrics(&self, usual: Vec<String>, problems: &mut Problems<'_>) -> Vec<String> {
        // The plain metric names already cover the primary modality alone.
        let alone = |subset: &str| self.primaries.iter().all(|primary| primary == subset);
        let Some(metrics) = &self.metrics else {
            let further = self.subsets.iter().filter(|subset| !alone(subset));
            let further = further.map(|subset| format!("{}@{subset}", metric::ACCURACY));
            return usual.into_iter().chain(further).collect();
        };
        for (name, span) in metrics {
            let (plain, Some(subset)) = metric::split(name) else { continue };
            if alone(subset) {
                problems
                    .error(*span, format!("`{subset}` is the primary modality"))
                    .help(format!("the metric on it alone is called `{plain}`"));
            } else if !self.subsets.contains(subset) {
                let names = subset.replace('+', ", ");
                problems
                    .error(*span, format!("nothing is tested with {names} present"))
                    .help(format!("add `evaluate: [[{names}]]`"));
            }
        }
        metrics.iter().map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn check(&mut self, problems: &mut Problems<'_>) {
        if let Some(span) = self.too_many {
            problems.error(span, format!("more than {MAX_MODALITIES} modalities are named"));
        }
        if self.models.is_empty() {
            let default = schema::field("model.kind").and_then(|field| field.default);
            self.models.extend(default.and_then(|preset| preset.value().as_str().map(str::to_owned)));
        }
        for (field, span) in &self.of_models {
            if !self.models.iter().any(|kind| field.belongs_to(kind)) {
                let kinds: Vec<_> = self.models.iter().map(String::as_str).collect();
                // A setting that one model has once may exist per modality in another.
                let spread = format!("{}.<modality>", field.path);
                let spread = FIELDS.iter().find(|other| other.path == spread);
                let help = match spread.filter(|other| kinds.iter().all(|kind| other.belongs_to(kind))) {
                    Some(_) => "give it for each modality, as a mapping".to_owned(),
                    None => format!("it belongs to {}", field.models.join(", ")),
                };
                problems
                    .error(*span, format!("a {} model has no `{}`", kinds.join(" or "), field.path))
                    .help(help);
            }
        }
    }
}
