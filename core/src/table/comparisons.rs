//! Configurations against the baseline.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::ConfigurationRow;
use crate::{
    result::{Direction, TaskResult, metric},
    statistics::{Comparison, holm},
    sweep::{Configuration, ReportSettings},
};

/// How a configuration compares with the baseline, by metric, given the results of both at each replicate that both have.
pub(super) fn comparisons(
    configuration: &Configuration,
    baseline: &Configuration,
    pairs: &[(&TaskResult, &TaskResult)],
    report: &ReportSettings,
) -> BTreeMap<String, Comparison> {
    let mut comparisons = of_pairs(pairs, report);
    // Otherwise the difference is kept, but co-learning is not its only cause.
    let is_co_learning = same_but_for_modalities(baseline, configuration);
    for (name, comparison) in &mut comparisons {
        // A unimodal baseline gets only its primary modality, for every subset. The difference is therefore caused by
        // the input as well as by the training.
        let is_of_a_subset = metric::split(name).1.is_some();
        if !is_co_learning || is_of_a_subset {
            comparison.verdict = None;
        }
    }
    comparisons
}

/// Whether two configurations train the same network in the same way, except for the modalities it sees.
fn same_but_for_modalities(left: &Configuration, right: &Configuration) -> bool {
    let bare = |configuration: &Configuration| {
        let settings = configuration.settings.network()?.clone();
        Some(settings.without_modalities())
    };
    bare(left).is_some_and(|settings| Some(settings) == bare(right))
}

/// Comparisons of every metric that both results of all pairs (configuration, baseline) have.
fn of_pairs(pairs: &[(&TaskResult, &TaskResult)], report: &ReportSettings) -> BTreeMap<String, Comparison> {
    let Some((first, _)) = pairs.first() else { return BTreeMap::new() };
    first
        .metrics
        .keys()
        .filter_map(|name| {
            let values: Option<Vec<(f64, f64)>> = pairs
                .iter()
                .map(|(ours, baseline)| Some((*ours.metrics.get(name)?, *baseline.metrics.get(name)?)))
                .collect();
            let higher_is_better = Direction::of(name, &report.better) == Direction::Higher;
            let comparison = Comparison::of(&values?, higher_is_better, report.confidence)?;
            Some((name.clone(), comparison))
        })
        .collect()
}

/// Fills in the corrected p-values. One family is one metric and one test over all compared rows.
pub(super) fn correct(rows: &mut [ConfigurationRow]) {
    let names: BTreeSet<String> = rows.iter().flat_map(|row| row.comparisons.keys().cloned()).collect();
    let plain: [fn(&Comparison) -> Option<f64>; 2] = [|it| it.t_p, |it| it.wilcoxon_p];
    let corrected: [fn(&mut Comparison) -> &mut Option<f64>; 2] =
        [|it| &mut it.t_p_holm, |it| &mut it.wilcoxon_p_holm];
    for name in names {
        for (plain, corrected) in plain.iter().zip(corrected) {
            let mut family: Vec<&mut Comparison> = rows
                .iter_mut()
                .filter_map(|row| row.comparisons.get_mut(&name))
                .filter(|comparison| plain(comparison).is_some())
                .collect();
            let p_values: Vec<f64> = family.iter().filter_map(|comparison| plain(comparison)).collect();
            for (comparison, p) in family.iter_mut().zip(holm(&p_values)) {
                *corrected(comparison) = Some(p);
            }
        }
    }
}
