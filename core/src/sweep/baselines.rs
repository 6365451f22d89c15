//! The baselines: which configurations they are, and which one each other configuration is compared with.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    definition::Configuration,
    diagnostic::{Problems, Span},
    file::Outline,
    replicates,
};
use crate::{id::ConfigurationId, settings::is_of_modalities, text::counted_len};

/// Finds the baseline of each configuration among those that are marked as baselines, or unmarks them all.
///
/// A network is compared with the baseline that agrees in every setting, except for those that select the baseline
/// and, if `unimodal` is one of them, all settings of modality dropout. A program is compared so if there are several
/// baselines, and otherwise with the only one.
pub(super) fn mark(outline: &Outline, configurations: &mut [Configuration], problems: &mut Problems<'_>) {
    let matching = Matching::of(outline);
    let baselines: Vec<&Configuration> = configurations.iter().filter(|it| it.baseline).collect();
    if baselines.is_empty() {
        if let Some(point) = &outline.baseline {
            problems
                .error(point.span, "no configuration matches `report.baseline`")
                .help("add it to the grid or to `include`");
        }
        return;
    }
    let rows: BTreeSet<_> = baselines.iter().map(|it| matching.row_key(it)).collect();
    if outline.program.is_some() && (rows.len() == 1 && baselines.len() == 1) {
        return;
    }
    if outline.program.is_none()
        && let Some((first, second)) = matching.ambiguous(&baselines)
    {
        refuse(&matching, first, second, problems);
        configurations.iter_mut().for_each(|it| it.baseline = false);
        return;
    }
    let partners = Partners::of(&matching, &baselines);
    let found: Vec<Option<ConfigurationId>> = configurations
        .iter()
        .map(|it| if it.baseline { None } else { partners.find(&matching, it) })
        .collect();
    for (configuration, found) in configurations.iter_mut().zip(found) {
        configuration.compared_with = found;
    }
    // A program's rows without a partner are compared with the only row of baselines.
    if outline.program.is_none() || rows.len() > 1 {
        warn_of_unmatched(&matching, configurations, problems);
    }
}

/// Whether the table compares each configuration with the baseline of [`Configuration::compared_with`] only, and not
/// with the only baseline if that is unset.
pub(super) fn are_matched(outline: &Outline) -> bool {
    outline.program.is_none()
}

/// What a configuration and its baseline agree in.
struct Matching<'o> {
    outline: &'o Outline,
    /// The paths that select the baseline.
    selecting: BTreeSet<&'o str>,
    /// Whether the baseline is the unimodal network, which has no use for settings of modality dropout.
    unimodal: bool,
}

impl<'o> Matching<'o> {
    fn of(outline: &'o Outline) -> Self {
        let named = outline.baseline.iter().flat_map(|point| point.values.keys().map(String::as_str));
        let mut selecting: BTreeSet<&str> = named.collect();
        if outline.baseline.is_none() {
            selecting.insert("unimodal");
        }
        let unimodal = outline.program.is_none() && selecting.contains("unimodal");
        Self { outline, selecting, unimodal }
    }

    fn is_free(&self, path: &str) -> bool {
        self.selecting.contains(path) || (self.unimodal && is_of_modalities(path))
    }

    /// The settings in which a configuration agrees with its baseline, leaving out `without`.
    fn key(&self, configuration: &Configuration, without: &[String]) -> Vec<(String, String)> {
        let mut key = replicates::row_key(&configuration.settings, without);
        key.retain(|(path, _)| !self.is_free(path));
        key
    }

    /// What a configuration has in common with all others of its row of the table.
    fn row_key(&self, configuration: &Configuration) -> Vec<(String, String)> {
        replicates::row_key(&configuration.settings, &self.outline.report.replicates)
    }

    /// Two baselines between which a configuration could not choose.
    fn ambiguous<'c>(
        &self,
        baselines: &[&'c Configuration],
    ) -> Option<(&'c Configuration, &'c Configuration)> {
        let mut known: HashMap<_, &Configuration> = HashMap::new();
        baselines.iter().find_map(|it| known.insert(self.key(it, &[]), *it).map(|first| (first, *it)))
    }

    fn span(&self) -> Span {
        self.outline.baseline.as_ref().map_or(self.outline.parameters_span, |point| point.span)
    }
}

/// The baselines by what their configurations agree with them in.
struct Partners {
    exact: HashMap<Vec<(String, String)>, ConfigurationId>,
    /// The same without `report.replicates`.
    of_rows: HashMap<Vec<(String, String)>, ConfigurationId>,
}

impl Partners {
    fn of(matching: &Matching<'_>, baselines: &[&Configuration]) -> Self {
        let names = &matching.outline.report.replicates;
        // The first one of equal ones is kept.
        let by_key = |without: &[String]| {
            baselines.iter().rev().map(|it| (matching.key(it, without), it.id)).collect::<HashMap<_, _>>()
        };
        let of_rows = if names.is_empty() { HashMap::new() } else { by_key(names) };
        Self { exact: by_key(&[]), of_rows }
    }

    fn find(&self, matching: &Matching<'_>, configuration: &Configuration) -> Option<ConfigurationId> {
        let of_row = || self.of_rows.get(&matching.key(configuration, &matching.outline.report.replicates));
        self.exact.get(&matching.key(configuration, &[])).or_else(of_row).copied()
    }
}

/// Two baselines of a network agree in everything that is not free.
fn refuse(
    matching: &Matching<'_>,
    first: &Configuration,
    second: &Configuration,
    problems: &mut Problems<'_>,
) {
    let [a, b] = [first, second].map(|it| BTreeMap::from_iter(matching.row_key(it)));
    let paths: BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let apart = paths.into_iter().find(|path| a.get(*path) != b.get(*path)).cloned();
    match &matching.outline.baseline {
        Some(point) => problems
            .error(point.span, "two configurations that match `report.baseline` agree in all other settings")
            .maybe_help(apart.map(|path| format!("they differ in `{path}`: name its value too"))),
        None => {
            problems
                .warning(
                    matching.outline.parameters_span,
                    "two unimodal configurations agree in all other settings, so that none is the baseline",
                )
                .maybe_help(apart.map(|path| {
                    format!("name one by `report: {{baseline: {{unimodal: true, {path}: ...}}}}`")
                }))
        }
    };
}

fn warn_of_unmatched(matching: &Matching<'_>, configurations: &[Configuration], problems: &mut Problems<'_>) {
    let mut unmatched = configurations.iter().filter(|it| !it.baseline && it.compared_with.is_none());
    let Some(first) = unmatched.next() else { return };
    let count = 1 + unmatched.count();
    let message = format!(
        "{} without a baseline that has the same other settings",
        counted_len(count, "configuration")
    );
    let own = first.values.iter().filter(|(path, _)| !matching.is_free(path));
    let mut missing: Vec<String> = own.map(|(path, value)| format!("{path}: {value}")).collect();
    if matching.unimodal {
        missing.insert(0, "unimodal: true".to_owned());
    }
    let example = missing.join(", ");
    let help = match matching.unimodal {
        true => format!(
            "they are shown, but compared with nothing; add their baselines, such as `include: [{{{example}}}]`, or name more values in `report.baseline` to select one for all"
        ),
        false => "they are shown, but compared with nothing; name more values to select one baseline for all"
            .to_owned(),
    };
    problems.warning(matching.span(), message).help(help);
}
