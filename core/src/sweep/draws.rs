//! What the draws of modality dropout mean: how often which modalities are present in training.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use serde::Serialize;

use super::definition::Sweep;
use crate::settings::{
    DataShape, ModalityDraw, ModalityGranularity, ModalityPart, ModalityReplacement, NetworkSettings,
    TrainingSettings,
};

/// The distinct settings of modality dropout of a sweep, in the order of their first configuration. `Display` is for
/// people, `Serialize` for scripts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct PlannedDraws(pub Vec<PlannedDropout>);

/// One setting of modality dropout.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedDropout {
    /// Number of configurations that have it.
    pub configurations: usize,
    /// The level of each modality that is dropped.
    pub levels: BTreeMap<String, f64>,
    /// The other settings that decide what is dropped and what becomes of it, in words.
    pub details: Vec<String>,
    /// The unit that a draw decides for, in the plural.
    pub unit: &'static str,
    /// The outcomes of the draws; two entries if the levels are annealed.
    pub stages: Vec<DrawStage>,
}

/// The outcomes of the draws in one epoch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DrawStage {
    /// The epoch.
    pub epoch: u32,
    /// Whether all later epochs are the same.
    pub lasts: bool,
    /// What is present, and its share of all units; the shares sum to 1.
    pub outcomes: Vec<(String, f64)>,
    /// The share of units from which every modality is dropped.
    pub nothing_left: f64,
}

/// Number of lines for settings that are shown to people, and the length of a line.
const SHOWN_LINES: usize = 10;
const LINE: usize = 80;
/// Number of outcomes with some modalities that are told apart.
const TOLD_APART: usize = 3;
/// Inverse of the smallest share that is not rounding.
const PRECISION: f64 = 1e12;

impl PlannedDraws {
    /// The draws of a sweep, given those of its data sets that are known, by name. Without its data set, a configuration
    /// is taken to have the modalities that the sweep names.
    #[must_use]
    pub fn of(sweep: &Sweep, shapes: &BTreeMap<String, DataShape>) -> Self {
        let named = sweep.modalities_named();
        let mut all: Vec<PlannedDropout> = Vec::new();
        let mut known = HashMap::new();
        for network in sweep.configurations.iter().filter_map(|it| it.settings.network()) {
            if network.modality_dropout.is_empty() {
                continue;
            }
            let shape = shapes.get(&network.dataset);
            let in_data = shape.map(|shape| shape.modalities.iter().map(String::as_str).collect());
            let found = PlannedDropout::of(network, in_data.as_ref().unwrap_or(&named), in_data.is_some());
            let index = *known.entry(format!("{found:?}")).or_insert(all.len());
            match all.get_mut(index) {
                Some(setting) => setting.configurations += 1,
                None => all.push(found),
            }
        }
        Self(all)
    }
}

impl PlannedDropout {
    /// `are_all` says whether these are certainly all modalities of the data set.
    fn of(settings: &NetworkSettings, modalities: &BTreeSet<&str>, are_all: bool) -> Self {
        let training = &settings.training;
        let mut epochs = vec![1, training.modality_anneal_epochs.saturating_add(1).min(training.epochs)];
        epochs.dedup();
        let stages = epochs.into_iter().map(|epoch| stage(settings, modalities, are_all, epoch)).collect();
        Self {
            configurations: 1,
            levels: settings.modality_dropout.clone(),
            details: details(settings),
            unit: match training.modality_granularity {
                ModalityGranularity::Batch => "batches",
                ModalityGranularity::Sample => "samples",
                ModalityGranularity::Step => "time steps of samples",
                ModalityGranularity::BatchStep => "time steps of batches",
            },
            stages,
        }
    }

    fn levels(&self) -> String {
        let levels = self.levels.iter().map(|(name, level)| format!("{name}={level}"));
        levels.collect::<Vec<_>>().join(" ")
    }

    /// The largest share of units without any modality.
    fn nothing_left(&self) -> f64 {
        self.stages.iter().map(|stage| stage.nothing_left).fold(0.0, f64::max)
    }
}

/// The settings beside the levels, in words.
fn details(settings: &NetworkSettings) -> Vec<String> {
    let training = &settings.training;
    let draw = match training.modality_draw {
        ModalityDraw::Shared => "shared draw",
        ModalityDraw::Independent => "independent draws",
        ModalityDraw::Exclusive => "exclusive draw",
    };
    let unit = match training.modality_granularity {
        ModalityGranularity::Batch => "per batch",
        ModalityGranularity::Sample => "per sample",
        ModalityGranularity::Step => "per time step of a sample",
        ModalityGranularity::BatchStep => "per time step of a batch",
    };
    let mut details = vec![draw.to_owned(), unit.to_owned()];
    let fraction = training.modality_fraction;
    match training.modality_part {
        ModalityPart::All => {}
        ModalityPart::Features => {
            details.push(format!("a drop takes each feature with probability {fraction}"));
        }
        ModalityPart::Steps => {
            details.push(format!("a drop takes each time step with probability {fraction}"));
        }
    }
    match training.modality_replacement {
        ModalityReplacement::Zero => {}
        ModalityReplacement::Mean => details.push("replaced by the mean".to_owned()),
        ModalityReplacement::Noise => details.push("replaced by noise".to_owned()),
    }
    if training.modality_rescale {
        details.push("rescaled".to_owned());
    }
    if settings.unimodal {
        details.push("unimodal".to_owned());
    }
    details
}

/// The outcomes of a draw, as sets of what is dropped.
struct Outcomes<'s> {
    primary: &'s str,
    /// All modalities that are seen in training.
    seen: BTreeSet<&'s str>,
    /// Whether the data set may have further modalities, which are never dropped.
    may_be_more: bool,
    is_partial: bool,
    /// Sets of dropped modalities with their probabilities.
    sets: Vec<(BTreeSet<&'s str>, f64)>,
    /// The probability of sets that are not told apart.
    mixed: f64,
}

fn stage(settings: &NetworkSettings, modalities: &BTreeSet<&str>, are_all: bool, epoch: u32) -> DrawStage {
    let training = &settings.training;
    let factor = training.modality_anneal_factor(epoch);
    let levels: BTreeMap<&str, f64> =
        settings.modality_dropout.iter().map(|(name, level)| (name.as_str(), level * factor)).collect();
    let mut seen: BTreeSet<&str> = if settings.unimodal { BTreeSet::new() } else { modalities.clone() };
    seen.extend(levels.keys());
    seen.insert(&settings.primary);
    let (sets, mixed) = match training.modality_draw {
        ModalityDraw::Shared => (shared(&levels), 0.0),
        ModalityDraw::Exclusive => (exclusive(&levels), 0.0),
        ModalityDraw::Independent => independent(&levels, &settings.primary),
    };
    let outcomes = Outcomes {
        primary: &settings.primary,
        // A sweep that names several modalities is taken to name all.
        may_be_more: !are_all && !settings.unimodal && seen.len() == 1,
        seen,
        is_partial: training.modality_part != ModalityPart::All,
        sets,
        mixed,
    };
    DrawStage {
        epoch,
        lasts: epoch > training.modality_anneal_epochs,
        nothing_left: outcomes.nothing_left(training),
        outcomes: outcomes.told(),
    }
}

/// One draw u drops every modality with a level above u: the dropped sets grow with the distinct levels.
fn shared<'s>(levels: &BTreeMap<&'s str, f64>) -> Vec<(BTreeSet<&'s str>, f64)> {
    let mut ends: Vec<f64> = levels.values().copied().chain([0.0, 1.0]).collect();
    ends.sort_by(f64::total_cmp);
    let above = |end: f64| levels.iter().filter(|(_, level)| **level >= end).map(|(name, _)| *name).collect();
    // The last interval, in which nothing is dropped, comes first.
    ends.windows(2).rev().map(|ends| (above(ends[1]), ends[1] - ends[0])).collect()
}

/// The intervals of the levels lie beside each other; the rest of [0, 1) drops nothing.
fn exclusive<'s>(levels: &BTreeMap<&'s str, f64>) -> Vec<(BTreeSet<&'s str>, f64)> {
    let rest = (BTreeSet::new(), 1.0 - levels.values().sum::<f64>());
    let each = levels.iter().map(|(name, level)| (BTreeSet::from([*name]), *level));
    std::iter::once(rest).chain(each).collect()
}

/// The sets without a drop, with all drops and with all but the primary modality's; all others are one outcome, because
/// their number doubles with every modality.
fn independent<'s>(levels: &BTreeMap<&'s str, f64>, primary: &str) -> (Vec<(BTreeSet<&'s str>, f64)>, f64) {
    let probability = |dropped: &BTreeSet<&str>| -> f64 {
        levels.iter().map(|(name, level)| if dropped.contains(name) { *level } else { 1.0 - level }).product()
    };
    let all: BTreeSet<&str> = levels.keys().copied().collect();
    let others: BTreeSet<&str> = all.iter().copied().filter(|name| *name != primary).collect();
    let mut sets = vec![BTreeSet::new(), others, all];
    sets.dedup();
    let sets: Vec<_> =
        sets.into_iter().map(|set| (probability(&set), set)).map(|(p, set)| (set, p)).collect();
    let told: f64 = sets.iter().map(|(_, share)| share).sum();
    (sets, 1.0 - told)
}

impl Outcomes<'_> {
    fn nothing_left(&self, training: &TrainingSettings) -> f64 {
        if training.modality_dropped_share() < 1.0 || self.may_be_more {
            return 0.0;
        }
        rounded(self.sets.iter().filter(|(set, _)| *set == self.seen).map(|(_, share)| share).sum())
    }

    /// The outcomes in words, those without a chance left out.
    fn told(&self) -> Vec<(String, f64)> {
        let (mut told, mut parts, mut mixed) = (Vec::new(), Vec::new(), self.mixed);
        for (set, share) in self.sets.iter().filter(|(_, share)| rounded(*share) > 0.0) {
            match self.name(set) {
                Some(name) => told.push((name, *share)),
                None => parts.push((set, *share)),
            }
        }
        if parts.len() > TOLD_APART {
            mixed += parts.drain(..).map(|(_, share)| share).sum::<f64>();
        }
        let without = |set: &BTreeSet<&str>| {
            let names = set.iter().copied().collect::<Vec<_>>().join(" and ");
            if self.is_partial { format!("without parts of {names}") } else { format!("without {names}") }
        };
        let parts = parts.into_iter().map(|(set, share)| (without(set), share));
        // After the outcome without a drop, which is the first of the sets.
        let at = usize::from(
            self.sets.first().is_some_and(|(set, share)| set.is_empty() && rounded(*share) > 0.0),
        );
        told.splice(at..at, parts.chain([("mixed".to_owned(), mixed)]));
        told.into_iter()
            .map(|(what, share)| (what, rounded(share)))
            .filter(|(_, share)| *share > 0.0)
            .collect()
    }

    /// The name of an outcome that has one of its own.
    fn name(&self, dropped: &BTreeSet<&str>) -> Option<String> {
        let kept: Vec<&&str> = self.seen.difference(dropped).collect();
        if self.may_be_more && !dropped.is_empty() {
            return None;
        }
        match (kept.as_slice(), dropped.is_empty(), self.is_partial) {
            (_, true, false) => Some("all present".to_owned()),
            (_, true, true) => Some("all whole".to_owned()),
            ([], _, false) => Some("nothing".to_owned()),
            ([], _, true) => Some("parts of all".to_owned()),
            ([only], _, false) if **only == self.primary => Some(format!("{only} alone")),
            ([only], _, true) if **only == self.primary => Some(format!("only {only} whole")),
            _ => None,
        }
    }
}

fn rounded(share: f64) -> f64 {
    (share * PRECISION).round() / PRECISION + 0.0
}

/// A share as a percentage with up to two decimals, never rounded to none or all.
fn percent(share: f64) -> String {
    let rounded = (share * 1e4).round() / 1e2;
    match share {
        _ if rounded == 0.0 && share > 0.0 => "< 0.01 %".to_owned(),
        _ if rounded == 100.0 && share < 1.0 => "> 99.99 %".to_owned(),
        _ => format!("{rounded} %"),
    }
}

impl fmt::Display for DrawStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcomes: Vec<String> =
            self.outcomes.iter().map(|(what, share)| format!("{} {what}", percent(*share))).collect();
        f.write_str(&outcomes.join(", "))
    }
}

/// The stages as text for people.
fn outcomes(stages: &[DrawStage]) -> String {
    let annealed = |stage: &DrawStage| {
        let on = if stage.lasts { " on" } else { "" };
        format!("epoch {}{on}: {stage}", stage.epoch)
    };
    match stages {
        [only] => only.to_string(),
        stages => stages.iter().map(annealed).collect::<Vec<_>>().join("; "),
    }
}

impl fmt::Display for PlannedDraws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.0.first() else { return Ok(()) };
        let is_common = |detail: &&String| self.0.iter().all(|other| other.details.contains(detail));
        let common: Vec<&str> = first.details.iter().filter(is_common).map(String::as_str).collect();
        match common.as_slice() {
            [] => writeln!(f, "modality dropout:")?,
            common => writeln!(f, "modality dropout ({}):", common.join(", "))?,
        }
        let label = |setting: &PlannedDropout| {
            let own = setting.details.iter().filter(|detail| !common.contains(&detail.as_str()));
            let parts: Vec<String> = std::iter::once(setting.levels()).chain(own.cloned()).collect();
            parts.join(", ")
        };
        let mut shown: Vec<(String, String)> = self
            .0
            .iter()
            .take(SHOWN_LINES)
            .map(|setting| (label(setting), outcomes(&setting.stages)))
            .collect();
        let widest = |of: fn(&(String, String)) -> &String| {
            shown.iter().map(|line| of(line).chars().count()).max().unwrap_or(0)
        };
        let widest_label = widest(|(label, _)| label);
        if widest_label + widest(|(_, outcomes)| outcomes) + 4 <= LINE {
            for (label, outcomes) in &shown {
                writeln!(f, "  {label:widest_label$}  {outcomes}")?;
            }
        } else {
            shown.truncate(SHOWN_LINES / 2);
            for (label, outcomes) in &shown {
                writeln!(f, "  {label}\n    {outcomes}")?;
            }
        }
        if self.0.len() > shown.len() {
            writeln!(f, "  ... and {} more", self.0.len() - shown.len())?;
        }
        let worst = self.0.iter().max_by(|a, b| a.nothing_left().total_cmp(&b.nothing_left()));
        let Some(worst) = worst.filter(|worst| worst.nothing_left() > 0.0) else { return Ok(()) };
        let number = self.0.iter().filter(|setting| setting.nothing_left() > 0.0).count();
        let most = if number > 1 { "up to " } else { "" };
        writeln!(
            f,
            "  warning: every modality is dropped at once from {most}{} of the {} ({})",
            percent(worst.nothing_left()),
            worst.unit,
            worst.levels()
        )
    }
}
