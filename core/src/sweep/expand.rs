//! Expands a sweep file to its configurations.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::{
    axes::{axes, grid_size, point, step},
    definition::Configuration,
    diagnostic::Problems,
    exclude::Excludes,
    file::Outline,
    point::Point,
};
use crate::{
    id::ConfigurationId,
    settings::{self, ModalityPart, NetworkSettings},
    text::counted_len,
};

/// Refuses a sweep with more than `max_tasks` tasks, counted before `exclude`, without expanding it.
pub(crate) fn check_size(outline: &Outline, problems: &mut Problems<'_>) {
    let axes = axes(outline);
    let tasks = grid_size(outline, &axes)
        .and_then(|size| size.checked_add(outline.include.len() as u64))
        .and_then(|configurations| configurations.checked_mul(outline.seeds.len() as u64));
    if tasks.is_some_and(|tasks| tasks <= outline.max_tasks) {
        return;
    }
    let mut factors: Vec<String> = axes
        .iter()
        .map(|axis| {
            let paths: Vec<_> =
                axis.parameters.iter().map(|index| outline.parameters[*index].path.as_str()).collect();
            format!("{} ({})", axis.length, paths.join(" with "))
        })
        .collect();
    // A list of a hundred axes would not explain the size.
    if factors.len() > 8 {
        let more = factors.len() - 8;
        factors.truncate(8);
        factors.push(format!("{more} more"));
    }
    if factors.is_empty() {
        factors.push(u64::from(outline.include.is_empty()).to_string());
    }
    let mut sum = factors.join(" x ");
    if !outline.include.is_empty() {
        sum = format!("({sum} + {} included)", outline.include.len());
    }
    let number = tasks.map_or_else(|| format!("more than {}", u64::MAX), |tasks| tasks.to_string());
    let span = outline.max_tasks_span.unwrap_or(outline.parameters_span);
    problems
        .error(
            span,
            format!(
                "the sweep has {number} tasks, more than the limit of {}: {sum} x {}",
                outline.max_tasks,
                counted_len(outline.seeds.len(), "seed")
            ),
        )
        .help("sweep over fewer values, or set `max_tasks` (at most 1000000); `exclude` is not counted");
}

/// Expands the grid and adds `include`. Duplicates are merged with a warning. The result is in order, the last axis
/// varies fastest, and it is not empty unless an error was added.
///
/// An `include` entry is one extra configuration on top of the settings of the file. GitHub Actions instead merges an
/// entry into every point of the matrix that it does not contradict. Under that rule `include: [{unimodal: true}]`
/// would make the whole grid unimodal.
pub(crate) fn expand(outline: &Outline, problems: &mut Problems<'_>) -> Vec<Configuration> {
    let axes = axes(outline);
    let mut expansion = Expansion::new(outline);
    let mut excludes = Excludes::new(outline, &axes);
    let mut at = vec![0; axes.len()];
    let mut merged = 0_u64;
    for _ in 0..grid_size(outline, &axes).unwrap_or(0) {
        if !excludes.contain(&at) {
            let values = point(outline, &axes, &at);
            if !expansion.add(values) {
                merged += 1;
            }
        }
        step(&mut at, &axes);
    }
    excludes.warn_of_unused(problems);
    if expansion.configurations.is_empty() && !outline.exclude.is_empty() {
        problems.error(outline.exclude_span, "every point of the grid is excluded");
    }
    if merged > 0 {
        let points = if merged == 1 {
            "1 point of the grid trains".to_owned()
        } else {
            format!("{merged} points of the grid train")
        };
        problems
            .warning(outline.parameters_span, format!("{points} the same as another and was merged with it"))
            .help("with `unimodal: true`, dropout of the other modalities makes no difference");
    }
    for extra in &outline.include {
        if !expansion.add(extra.values.clone()) {
            problems.warning(extra.span, "this configuration is already in the grid, and was merged with it");
        }
    }
    for (modality, span) in &outline.always_dropped {
        if expansion.blinded.contains(modality) {
            problems
                .error(*span, format!("the primary modality `{modality}` cannot always be dropped: nothing would be left to learn from"))
                .help("give it a probability below 1, or drop part of it: `training.modality_part`");
        }
    }
    expansion.mark_baseline(problems);
    expansion.configurations
}

/// The configurations so far.
struct Expansion<'o> {
    outline: &'o Outline,
    configurations: Vec<Configuration>,
    known: HashMap<ConfigurationId, usize>,
    /// Primary modalities that some configuration always drops.
    blinded: BTreeSet<String>,
}

impl<'o> Expansion<'o> {
    fn new(outline: &'o Outline) -> Self {
        Self { outline, configurations: Vec::new(), known: HashMap::new(), blinded: BTreeSet::new() }
    }

    /// Adds a configuration; returns false if it exists already.
    fn add(&mut self, values: BTreeMap<String, Value>) -> bool {
        let mut all = self.outline.base.clone();
        all.extend(values.iter().map(|(path, value)| (path.clone(), value.clone())));
        let settings = self.outline.settings(&all);
        if let Some(network) = settings.network() {
            self.note_blinded(network);
        }
        let flat = settings.flat();
        let id = settings.configuration_id_of(&flat);
        if self.known.contains_key(&id) {
            return false;
        }
        self.known.insert(id, self.configurations.len());
        let baseline = match &self.outline.baseline {
            Some(point) => point.values.iter().all(|(path, value)| matches(&flat, path, value)),
            None => settings.network().is_some_and(|network| network.unimodal),
        };
        let cohort_key = settings.cohort_key_of(&flat);
        let compared_with = None;
        self.configurations.push(Configuration { id, settings, values, baseline, compared_with, cohort_key });
        true
    }

    fn note_blinded(&mut self, settings: &NetworkSettings) {
        let training = &settings.training;
        let whole = training.modality_part == ModalityPart::All || training.modality_fraction == 1.0;
        if whole && settings.modality_dropout.get(&settings.primary) == Some(&1.0) {
            self.blinded.insert(settings.primary.clone());
        }
    }

    /// With several baselines, a configuration is compared with the one that has the same settings except for those
    /// that `report.baseline` names.
    fn match_baselines(&mut self, point: &Point, problems: &mut Problems<'_>) {
        let rest = |configuration: &Configuration| {
            let mut flat = configuration.settings.flat();
            flat.retain(|path, _| !point.values.contains_key(path));
            flat.into_iter().map(|(path, value)| (path, value.to_string())).collect::<Vec<_>>()
        };
        let (baselines, others): (Vec<_>, Vec<_>) =
            self.configurations.iter_mut().partition(|configuration| configuration.baseline);
        let by_rest: HashMap<_, _> = baselines.iter().map(|baseline| (rest(baseline), baseline.id)).collect();
        let mut unmatched = 0;
        for configuration in others {
            configuration.compared_with = by_rest.get(&rest(configuration)).copied();
            unmatched += usize::from(configuration.compared_with.is_none());
        }
        if unmatched > 0 {
            problems
                .warning(
                    point.span,
                    format!(
                        "{} without a baseline that has the same other settings",
                        counted_len(unmatched, "configuration")
                    ),
                )
                .help("they are shown, but compared with nothing; name more values to select one baseline for all");
        }
    }

    /// Checks that there is at most one baseline, and marks it.
    fn mark_baseline(&mut self, problems: &mut Problems<'_>) {
        let candidates: Vec<usize> =
            (0..self.configurations.len()).filter(|index| self.configurations[*index].baseline).collect();
        match (&self.outline.baseline, candidates.as_slice()) {
            (_, [_]) | (None, []) => {}
            (Some(point), [_, ..]) if self.outline.program.is_some() => self.match_baselines(point, problems),
            (Some(point), []) => {
                problems
                    .error(point.span, "no configuration matches `report.baseline`")
                    .help("add it to the grid or to `include`");
            }
            (explicit, [first, second, ..]) => {
                let count = candidates.len();
                let apart = self.difference(*first, *second);
                match explicit {
                    Some(Point { span, .. }) => problems
                        .error(
                            *span,
                            format!("{count} configurations match `report.baseline`, but only one can be it"),
                        )
                        .maybe_help(apart.map(|path| format!("they differ in `{path}`: name its value too"))),
                    None => problems
                        .warning(
                            self.outline.parameters_span,
                            format!(
                                "{count} configurations are unimodal, so that none of them is the baseline"
                            ),
                        )
                        .maybe_help(apart.map(|path| {
                            format!("name one by `report: {{baseline: {{unimodal: true, {path}: ...}}}}`")
                        })),
                };
                for index in candidates {
                    self.configurations[index].baseline = false;
                }
            }
        }
    }

    /// A setting in which two configurations differ.
    fn difference(&self, first: usize, second: usize) -> Option<String> {
        let (a, b) =
            (self.configurations[first].settings.flat(), self.configurations[second].settings.flat());
        let paths: BTreeSet<_> = a.keys().chain(b.keys()).collect();
        paths.into_iter().find(|path| a.get(*path) != b.get(*path)).cloned()
    }
}

/// Whether the settings have this value at this path. A modality that is not named has the default.
fn matches(flat: &BTreeMap<String, Value>, path: &str, value: &Value) -> bool {
    flat.get(path).map_or_else(|| settings::is_absent(path, value), |own| own == value)
}
