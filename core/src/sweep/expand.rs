//! Expands a sweep file to its configurations.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;

use super::{
    axes::{axes, grid_size, point, step},
    baselines,
    conflicts::Conflicts,
    definition::Configuration,
    diagnostic::Problems,
    exclude::Excludes,
    file::Outline,
    replicates,
};
use crate::{
    id::ConfigurationId,
    settings::{self, ModalityDraw, ModalityPart, NetworkSettings, TaskSettings, TrainingSettings},
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
    let mut first_merged = None;
    for _ in 0..grid_size(outline, &axes).unwrap_or(0) {
        if !excludes.contain(&at) {
            let values = point(outline, &axes, &at);
            if let Some(same) = expansion.add(values.clone()) {
                merged += 1;
                first_merged.get_or_insert((values, same));
            }
        }
        step(&mut at, &axes);
    }
    excludes.warn_of_unused(problems);
    if expansion.configurations.is_empty() && !outline.exclude.is_empty() {
        problems.error(outline.exclude_span, "every point of the grid is excluded");
    }
    if let Some((values, same)) = first_merged {
        let points = if merged == 1 {
            "1 point of the grid trains".to_owned()
        } else {
            format!("{merged} points of the grid train")
        };
        problems
            .warning(outline.parameters_span, format!("{points} the same as another and was merged with it"))
            .maybe_help(expansion.why_merged(&values, same));
    }
    for extra in &outline.include {
        if expansion.add(extra.values.clone()).is_some() {
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
    expansion.conflicts.report(outline, expansion.configurations.len(), problems);
    expansion.warn_of_missing_replicates(problems);
    baselines::mark(outline, &mut expansion.configurations, problems);
    expansion.configurations
}

/// The configurations so far.
struct Expansion<'o> {
    outline: &'o Outline,
    configurations: Vec<Configuration>,
    /// The configurations by the id of what they train; see [`effective`].
    known: HashMap<ConfigurationId, usize>,
    /// Primary modalities that some configuration always drops.
    blinded: BTreeSet<String>,
    conflicts: Conflicts,
}

impl<'o> Expansion<'o> {
    fn new(outline: &'o Outline) -> Self {
        Self {
            outline,
            configurations: Vec::new(),
            known: HashMap::new(),
            blinded: BTreeSet::new(),
            conflicts: Conflicts::default(),
        }
    }

    /// Adds a configuration, unless one that trains the same is there already; then returns its index.
    fn add(&mut self, values: BTreeMap<String, Value>) -> Option<usize> {
        let mut all = self.outline.base.clone();
        all.extend(values.iter().map(|(path, value)| (path.clone(), value.clone())));
        let settings = self.outline.settings(&all);
        if let Some(network) = settings.network() {
            self.note_blinded(network);
        }
        let flat = settings.flat();
        let id = settings.configuration_id_of(&flat);
        let trains = effective(&settings).map_or(id, |network| network.configuration_id());
        if let Some(same) = self.known.get(&trains) {
            return Some(*same);
        }
        self.known.insert(trains, self.configurations.len());
        if let Some(network) = settings.network() {
            self.conflicts.look_at(network);
        }
        let baseline = match &self.outline.baseline {
            Some(point) => point.values.iter().all(|(path, value)| matches(&flat, path, value)),
            None => settings.network().is_some_and(|network| network.unimodal),
        };
        let cohort_key = settings.cohort_key_of(&flat);
        let compared_with = None;
        let (settings, values) = (settings.into(), values.into());
        self.configurations.push(Configuration { id, settings, values, baseline, compared_with, cohort_key });
        None
    }

    /// The first merged point, and what it was merged with, by the values in which they differ.
    fn why_merged(&self, values: &BTreeMap<String, Value>, same: usize) -> Option<String> {
        let kept = &self.configurations.get(same)?.values;
        let apart = |own: &BTreeMap<String, Value>, other: &BTreeMap<String, Value>| {
            let own = own.iter().filter(|(path, value)| other.get(*path) != Some(value));
            own.map(|(path, value)| format!("{path}={value}")).collect::<Vec<_>>().join(" ")
        };
        let (merged, kept) = (apart(values, kept), apart(kept, values));
        Some(format!("`{merged}` makes no difference to `{kept}` beside the other values of that point"))
    }

    fn note_blinded(&mut self, settings: &NetworkSettings) {
        let training = &settings.training;
        // After the annealing, if there is one.
        let always = training.modality_dropped_share() * training.modality_anneal_factor(u32::MAX) == 1.0;
        if always && settings.modality_dropout.get(&settings.primary) == Some(&1.0) {
            self.blinded.insert(settings.primary.clone());
        }
    }

    /// What a configuration has in common with all others of its row of the table.
    fn row_key(&self, index: usize) -> Vec<(String, String)> {
        replicates::row_key(&self.configurations[index].settings, &self.outline.report.replicates)
    }

    /// Warns of rows of the table that lack replicates which another row has: they are averaged over less, and compared
    /// over fewer pairs.
    fn warn_of_missing_replicates(&self, problems: &mut Problems<'_>) {
        let names = &self.outline.report.replicates;
        if names.is_empty() {
            return;
        }
        let mut rows: Vec<(&Configuration, usize)> = Vec::new();
        let mut known = HashMap::new();
        let mut all = HashSet::new();
        for (index, configuration) in self.configurations.iter().enumerate() {
            let values = replicates::replicate_values(&configuration.settings, names);
            all.insert(values.into_iter().map(|(path, value)| (path, value.to_string())).collect::<Vec<_>>());
            let at = *known.entry(self.row_key(index)).or_insert(rows.len());
            match rows.get_mut(at) {
                Some((_, count)) => *count += 1,
                None => rows.push((configuration, 1)),
            }
        }
        let mut short = rows.iter().filter(|(_, count)| *count < all.len());
        let Some((first, count)) = short.next() else { return };
        let own = first.values.iter().filter(|(path, _)| !names.contains(path));
        let own: Vec<String> = own.map(|(path, value)| format!("{path}={value}")).collect();
        let which = if own.is_empty() { "the settings of the file".to_owned() } else { own.join(" ") };
        let names = names.join(", ");
        problems
            .warning(
                self.outline.replicates_span,
                format!(
                    "{} of {} of the table lack some of the {} of {names}",
                    short.count() + 1,
                    counted_len(rows.len(), "row"),
                    counted_len(all.len(), "value")
                ),
            )
            .help(format!(
                "the first of them has {count}: {which}. An entry of `include` is one configuration: write one for each value of {names}"
            ));
    }
}

/// The settings of a network without details of modality dropout that have no effect on it; `None` if it has none. Two
/// configurations that agree in them train the same, though their identifiers differ.
fn effective(settings: &TaskSettings) -> Option<NetworkSettings> {
    let mut network = settings.network()?.clone().normalized();
    let (training, usual) = (&mut network.training, TrainingSettings::default());
    let whole = training.modality_part == ModalityPart::All;
    if !whole && training.modality_fraction == 0.0 {
        network.modality_dropout.clear();
    }
    let never = network.modality_dropout.is_empty();
    if !whole && (never || training.modality_fraction == 1.0) {
        training.modality_part = ModalityPart::All;
        training.modality_fraction = usual.modality_fraction;
    }
    if never {
        training.modality_draw = usual.modality_draw;
        training.modality_granularity = usual.modality_granularity;
    } else if training.modality_draw == ModalityDraw::Exclusive && network.modality_dropout.len() == 1 {
        training.modality_draw = ModalityDraw::Shared;
    }
    let network = network.normalized();
    Some(network).filter(|network| settings.network() != Some(network))
}

/// Whether the settings have this value at this path. A modality that is not named has the default.
fn matches(flat: &BTreeMap<String, Value>, path: &str, value: &Value) -> bool {
    flat.get(path).map_or_else(|| settings::is_absent(path, value), |own| own == value)
}
