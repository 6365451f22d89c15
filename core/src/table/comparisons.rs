//! Configurations against the baseline.

use std::collections::{BTreeMap, HashMap};

use super::rows::ConfigurationRow;
use crate::{
    id::ConfigurationId,
    result::{Direction, TaskResult, metric},
    settings::is_of_modalities,
    statistics::{Comparison, CriticalValues, Group, Pair, Question, Row, judge},
    sweep::{Adjustment, Configuration, ReportSettings},
};

/// A row against that of its baseline.
pub(super) struct Compared {
    /// The id of the baseline's row.
    pub(super) baseline: ConfigurationId,
    /// Whether the modalities are all that differs. Otherwise the difference is kept, but co-learning is not its only
    /// cause.
    is_co_learning: bool,
    is_of_network: bool,
    /// The pairs of every metric that both results of all replicates have.
    pairs: BTreeMap<String, Vec<Pair>>,
}

impl Compared {
    /// Compares two configurations, given the results of both at each replicate that both have, and the id of the
    /// baseline's row.
    pub(super) fn of(
        row: ConfigurationId,
        configuration: &Configuration,
        baseline: &Configuration,
        results: &[((usize, u64), &TaskResult, &TaskResult)],
    ) -> Self {
        Self {
            baseline: row,
            is_co_learning: same_but_for_modalities(baseline, configuration),
            is_of_network: configuration.settings.network().is_some(),
            pairs: Self::pairs(results),
        }
    }

    /// Compares with the same baseline what was chosen among `candidates`. It is co-learning if each of them is.
    ///
    /// The metric of the choice, and of a network all others of the validation split, are not compared: what was chosen
    /// by a split is too good on that split.
    pub(super) fn of_chosen(
        candidates: &[&Self],
        results: &[((usize, u64), &TaskResult, &TaskResult)],
        by: &str,
    ) -> Option<Self> {
        let is_of_network = candidates.iter().all(|it| it.is_of_network);
        let is_biased = |name: &str| name == by || (is_of_network && metric::of_validation(name).is_some());
        let mut pairs = Self::pairs(results);
        pairs.retain(|name, _| !is_biased(name));
        Some(Self {
            baseline: candidates.first()?.baseline,
            is_co_learning: candidates.iter().all(|it| it.is_co_learning),
            is_of_network,
            pairs,
        })
    }

    fn pairs(results: &[((usize, u64), &TaskResult, &TaskResult)]) -> BTreeMap<String, Vec<Pair>> {
        let names = results.first().map(|(_, first, _)| first.metrics.keys()).into_iter().flatten();
        let pairs = |name: &str| {
            let pair = |(replicate, ours, baseline): &((usize, u64), &TaskResult, &TaskResult)| {
                let (ours, baseline) = (ours.metrics.get(name)?, baseline.metrics.get(name)?);
                Some(Pair { replicate: *replicate, ours, baseline })
            };
            let pairs: Option<Vec<Pair>> = results.iter().map(pair).collect();
            Some((name.to_owned(), pairs?))
        };
        names.filter_map(pairs).collect()
    }

    /// The comparisons as far as they depend on this row alone.
    pub(super) fn comparisons(&self, confidence: f64) -> BTreeMap<String, Comparison> {
        let of = |(name, pairs): (&String, &Vec<Pair>)| {
            let values: Vec<(f64, f64)> = pairs.iter().map(|pair| (pair.ours, pair.baseline)).collect();
            Some((name.clone(), Comparison::of(&values, confidence)?))
        };
        self.pairs.iter().filter_map(of).collect()
    }

    /// A unimodal baseline gets only its primary modality, for every subset. Under a subset, the difference is
    /// therefore caused by the input as well as by the training.
    fn has_verdict(&self, name: &str) -> bool {
        self.is_co_learning && metric::split(name).1.is_none()
    }
}

/// Whether two configurations train the same network in the same way, except for the modalities it sees.
fn same_but_for_modalities(left: &Configuration, right: &Configuration) -> bool {
    let bare = |configuration: &Configuration| {
        let mut flat = configuration.settings.network()?.flat();
        flat.retain(|path, _| !is_of_modalities(path));
        Some(flat)
    };
    bare(left).is_some_and(|settings| Some(settings) == bare(right))
}

/// Judges the comparisons of all rows. One family is one metric over all compared rows, and the rows of one baseline are
/// a group of it. Returns how each group was judged, by metric.
pub(super) fn judge_all(
    rows: &mut [ConfigurationRow],
    compared: &[Option<Compared>],
    report: &ReportSettings,
) -> BTreeMap<String, Vec<Group>> {
    let mut names: Vec<&String> = compared.iter().flatten().flat_map(|it| it.pairs.keys()).collect();
    names.sort();
    names.dedup();
    let mut known = CriticalValues::default();
    let mut judged = BTreeMap::new();
    for name in names {
        let mut of_baseline: HashMap<ConfigurationId, usize> = HashMap::new();
        let mut groups: Vec<Vec<Row<'_>>> = Vec::new();
        for (row, compared) in rows.iter_mut().zip(compared) {
            let Some(compared) = compared else { continue };
            let (Some(comparison), Some(pairs)) = (row.comparisons.get_mut(name), compared.pairs.get(name))
            else {
                continue;
            };
            let row = Row { comparison, pairs, has_verdict: compared.has_verdict(name) };
            let at = *of_baseline.entry(compared.baseline).or_insert(groups.len());
            match groups.get_mut(at) {
                Some(group) => group.push(row),
                None => groups.push(vec![row]),
            }
        }
        let question = Question {
            confidence: report.confidence,
            higher_is_better: Direction::of(name, &report.better) == Direction::Higher,
            margin: report.margin.get(name).copied(),
            simultaneous: report.adjustment == Adjustment::Simultaneous,
        };
        judged.insert(name.clone(), judge(&mut groups, &question, &mut known));
        clip(rows, compared, name);
    }
    judged
}

/// Cuts intervals of differences at those that a network's metric can have.
fn clip(rows: &mut [ConfigurationRow], compared: &[Option<Compared>], name: &str) {
    let Some(bounds) = metric::bounds(name) else { return };
    let networks = compared.iter().map(|it| it.as_ref().is_some_and(|it| it.is_of_network));
    for (row, _) in rows.iter_mut().zip(networks).filter(|(_, network)| *network) {
        if let Some(comparison) = row.comparisons.get_mut(name) {
            *comparison = comparison.clipped(bounds);
        }
    }
}
