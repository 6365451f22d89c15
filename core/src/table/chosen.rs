//! Configurations that are chosen on the validation split, and what the choice is worth on the test split.
//!
//! The best of several test results looks better than it is: with eight equal configurations, five seeds and a standard
//! deviation of 0.03, by about 0.02. A choice that does not look at the test split has no such error.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    averages::{Group, Known, summaries},
    comparisons::{Compared, judge_all},
    replicate::Replicate,
    rows::{ConfigurationRow, ResultsTable, RowState, TaskOutcome},
};
use crate::{
    id::ConfigurationId,
    result::{Direction, TaskResult, metric},
    sweep::ReportSettings,
};

/// A procedure instead of a configuration: at each replicate, the one that is best on validation among those that are
/// compared with one baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChosenRow {
    /// The row of the baseline.
    pub baseline: ConfigurationId,
    /// The metric of the choice.
    pub by: String,
    /// The configurations that were chosen at least once, in the order of the grid.
    pub choices: Vec<Choice>,
    /// The choice at each replicate.
    pub picks: BTreeMap<Replicate, ConfigurationId>,
    /// The results of the chosen ones, averaged over the replicates, and compared with the baseline. Its intervals and
    /// p-values are those of one comparison: it is no part of the family of the configurations. It has no values; its
    /// id and settings are those of the baseline.
    pub row: ConfigurationRow,
}

/// How often a configuration was chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The row.
    pub id: ConfigurationId,
    /// Its name.
    pub name: String,
    /// At how many replicates it was chosen.
    pub times: usize,
}

/// The metric by which configurations of a sweep are chosen; `None` for a program without `report.choose_by`. The
/// default is the first shown metric on the validation split.
pub(super) fn choosing_metric(report: &ReportSettings, of_networks: bool) -> Option<String> {
    let default = || {
        let first = report.metrics.first().filter(|_| of_networks)?;
        Some(match metric::of_validation(first) {
            Some(_) => first.clone(),
            None => metric::on_validation(first),
        })
    };
    report.choose_by.clone().or_else(default)
}

/// The result of one replicate of one candidate; `None` if its task failed.
type Outcome<'a> = Option<&'a TaskResult>;

/// A configuration that may be chosen.
struct Candidate<'a> {
    id: ConfigurationId,
    name: String,
    /// Number of its replicates.
    expected: usize,
    /// The outcomes that are known, by replicate.
    outcomes: BTreeMap<Replicate, Outcome<'a>>,
    /// How it is compared with the baseline.
    compared: &'a Compared,
}

/// The results of the choices, before they are averaged.
struct Chosen<'a> {
    choices: Vec<Choice>,
    picks: BTreeMap<Replicate, ConfigurationId>,
    results: Vec<(Replicate, &'a TaskResult)>,
}

/// Chooses at each replicate. A replicate counts once the outcomes of all candidates are known; one whose task failed
/// is not chosen. Of equal candidates the first one is taken. `None` if there is nothing to choose, or if a result does
/// not have the metric: a choice among the others would be another one.
fn choose<'a>(
    candidates: &[Candidate<'a>],
    by: &str,
    better: &BTreeMap<String, Direction>,
) -> Option<Chosen<'a>> {
    let direction = Direction::of(by, better);
    if candidates.len() < 2 {
        return None;
    }
    let replicates: BTreeSet<&Replicate> = candidates.iter().flat_map(|it| it.outcomes.keys()).collect();
    let mut times = vec![0; candidates.len()];
    let mut chosen = Chosen { choices: Vec::new(), picks: BTreeMap::new(), results: Vec::new() };
    for replicate in replicates {
        let outcomes: Option<Vec<Outcome<'_>>> =
            candidates.iter().map(|it| it.outcomes.get(replicate).copied()).collect();
        let mut best: Option<(usize, &TaskResult, f64)> = None;
        for (at, result) in outcomes.iter().flatten().enumerate() {
            let Some(result) = result else { continue };
            let score = direction.score(result.metrics.get(by)?);
            if best.is_none_or(|(_, _, highest)| score > highest) {
                best = Some((at, result, score));
            }
        }
        let Some((at, result, _)) = best else { continue };
        let (Some(candidate), Some(times)) = (candidates.get(at), times.get_mut(at)) else { continue };
        *times += 1;
        chosen.picks.insert(replicate.clone(), candidate.id);
        chosen.results.push((replicate.clone(), result));
    }
    let named = candidates.iter().zip(times).filter(|(_, times)| *times > 0);
    chosen.choices = named.map(|(it, times)| Choice { id: it.id, name: it.name.clone(), times }).collect();
    (!chosen.results.is_empty()).then_some(chosen)
}

/// The row with the best mean of a metric; see [`ResultsTable::best`].
pub(super) fn best(
    rows: &[ConfigurationRow],
    by: &str,
    better: &BTreeMap<String, Direction>,
) -> Option<ConfigurationId> {
    let direction = Direction::of(by, better);
    let mut best: Option<(ConfigurationId, f64)> = None;
    for row in rows.iter().filter(|row| row.n > 0) {
        let score = direction.score(row.metrics.get(by)?.mean);
        if best.is_none_or(|(_, highest)| score > highest) {
            best = Some((row.id, score));
        }
    }
    best.map(|(id, _)| id)
}

impl ResultsTable {
    /// The configuration that is best on validation, [`Self::best`], if it is among the rows.
    #[must_use]
    pub fn chosen_row(&self) -> Option<&ConfigurationRow> {
        self.row_of(self.best?)
    }
}

impl Known<'_> {
    /// What is chosen among the rows of each baseline.
    pub(super) fn chosen(
        &self,
        groups: &[Group<'_>],
        rows: &[ConfigurationRow],
        compared: &[Option<Compared>],
        by: &str,
    ) -> Vec<ChosenRow> {
        let mut candidates: HashMap<ConfigurationId, Vec<Candidate<'_>>> = HashMap::new();
        for ((group, row), compared) in groups.iter().zip(rows).zip(compared) {
            if let Some(compared) = compared {
                let of_baseline = candidates.entry(compared.baseline).or_default();
                of_baseline.push(self.candidate(group, row, compared));
            }
        }
        let baselines = groups.iter().zip(rows).filter(|(_, row)| row.baseline);
        let of_baseline = |(baseline, row): (&Group<'_>, &ConfigurationRow)| {
            self.chosen_against(baseline, row, candidates.get(&row.id)?, by)
        };
        baselines.filter_map(of_baseline).collect()
    }

    fn candidate<'c>(
        &'c self,
        group: &Group<'c>,
        row: &ConfigurationRow,
        compared: &'c Compared,
    ) -> Candidate<'c> {
        let mut outcomes = BTreeMap::new();
        for (configuration, member) in &group.0 {
            for &seed in &self.sweep.seeds {
                let outcome = match self.outcomes.get(&(configuration.id, seed)) {
                    // Who cancels may have seen results: leaving it out of the choice could favour the others.
                    None | Some(TaskOutcome::Cancelled) => continue,
                    Some(TaskOutcome::Done(result)) => Some(result),
                    Some(TaskOutcome::Failed(_)) => None,
                };
                outcomes.insert(Replicate { of: member.name(), seed }, outcome);
            }
        }
        Candidate { id: row.id, name: row.name.clone(), expected: row.expected, outcomes, compared }
    }

    fn chosen_against(
        &self,
        baseline: &Group<'_>,
        row: &ConfigurationRow,
        candidates: &[Candidate<'_>],
        by: &str,
    ) -> Option<ChosenRow> {
        let report = &self.sweep.report;
        let Chosen { choices, picks, results } = choose(candidates, by, &report.better)?;
        let pair = |(replicate, ours): &(Replicate, _)| {
            let at = baseline.0.iter().position(|(_, member)| member.name() == replicate.of)?;
            let (configuration, _) = baseline.0.get(at)?;
            Some(((at, replicate.seed), *ours, self.result(configuration, replicate.seed)?))
        };
        let pairs: Vec<_> = results.iter().filter_map(pair).collect();
        let of_candidates: Vec<&Compared> = candidates.iter().map(|it| it.compared).collect();
        let compared = Compared::of_chosen(&of_candidates, &pairs, by)?;
        let done: Vec<&TaskResult> = results.iter().map(|(_, result)| *result).collect();
        let expected = candidates.iter().map(|it| it.expected).max().unwrap_or(0);
        let mut rows = [ConfigurationRow {
            name: format!("chosen by {by}"),
            values: Arc::default(),
            baseline: false,
            n: done.len(),
            expected,
            state: if done.len() == expected { RowState::Complete } else { RowState::Partial },
            failed_seeds: BTreeMap::new(),
            cancelled_seeds: BTreeSet::new(),
            metrics: summaries(&done, report.confidence, row.settings.network().is_some()),
            comparisons: compared.comparisons(report.confidence),
            classes: Vec::new(),
            members: Vec::new(),
            ..row.clone()
        }];
        // One comparison is a family of its own.
        judge_all(&mut rows, &[Some(compared)], report);
        let [row] = rows;
        Some(ChosenRow { baseline: row.id, by: by.to_owned(), choices, picks, row })
    }
}
