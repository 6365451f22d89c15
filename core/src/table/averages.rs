//! From the outcomes of tasks to the rows of the table.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    chosen::{best, choosing_metric},
    class_scores::class_scores,
    comparisons::{Compared, judge_all},
    replicate::{Member, Replicate},
    rows::{ConfigurationRow, ResultsTable, RowState, TaskOutcome},
};
use crate::{
    failure::FailureReason,
    id::ConfigurationId,
    names::{Named, Names},
    result::{TaskResult, metric},
    statistics::Summary,
    sweep::{Configuration, Sweep, replicate_values},
};

impl ResultsTable {
    /// Averages `outcomes` over the replicates of each row of `sweep`: the seeds of a configuration, or the seeds of
    /// all configurations that differ in `report.replicates` alone. Outcomes of tasks that the sweep does not have are
    /// ignored.
    #[must_use]
    pub fn of(sweep: &Sweep, outcomes: &HashMap<(ConfigurationId, u64), TaskOutcome>) -> Self {
        let known = Known { sweep, outcomes };
        let groups: Vec<Group<'_>> =
            sweep.rows().into_iter().map(|configurations| Group::of(configurations, sweep)).collect();
        let mut row_of: HashMap<ConfigurationId, usize> = HashMap::new();
        for (at, group) in groups.iter().enumerate() {
            row_of.extend(group.0.iter().map(|(configuration, _)| (configuration.id, at)));
        }
        let baselines: Vec<&Group<'_>> = groups.iter().filter(|group| group.is_baseline()).collect();
        let only = if let [only] = baselines.as_slice() { Some(*only) } else { None };
        let row = |group: &Group<'_>| {
            let compared = match group.0.iter().find_map(|(configuration, _)| configuration.compared_with) {
                _ if group.is_baseline() => None,
                Some(id) => {
                    row_of.get(&id).and_then(|at| groups.get(*at)).filter(|group| group.is_baseline())
                }
                None if sweep.report.matched => None,
                None => only,
            };
            known.row(group, compared)
        };
        // A row is large: the list is made in its size.
        let mut configurations = Vec::with_capacity(groups.len());
        let mut compared = Vec::with_capacity(groups.len());
        for (row, with) in groups.iter().filter_map(row) {
            configurations.push(row);
            compared.push(with);
        }
        let judged = judge_all(&mut configurations, &compared, &sweep.report);
        name(&mut configurations, &sweep.parameters);
        let of_networks = configurations.iter().all(|row| row.settings.network().is_some());
        let choose_by = choosing_metric(&sweep.report, of_networks);
        let best = choose_by.as_deref().and_then(|by| best(&configurations, by, &sweep.report.better));
        let chosen = choose_by.as_deref().map(|by| known.chosen(&groups, &configurations, &compared, by));
        let replicates = &sweep.report.replicates;
        Self {
            sweep: sweep.name.clone(),
            parameters: sweep.parameters.iter().filter(|path| !replicates.contains(path)).cloned().collect(),
            metrics: sweep.report.metrics.clone(),
            confidence: sweep.report.confidence,
            configurations,
            data_digests: known.data_digests(),
            better: sweep.report.better.clone(),
            replicates: replicates.clone(),
            margin: sweep.report.margin.clone(),
            adjustment: sweep.report.adjustment,
            judged,
            choose_by,
            best,
            chosen: chosen.unwrap_or_default(),
        }
    }
}

/// Gives the rows their names.
fn name(rows: &mut [ConfigurationRow], parameters: &[String]) {
    let names = Names::among(parameters, &[], rows.iter().map(Named::from));
    for row in rows {
        row.name = names.name(&*row);
    }
}

/// The configurations of a row, each with its values of `report.replicates`.
pub(super) struct Group<'a>(pub(super) Vec<(&'a Configuration, Member)>);

impl<'a> Group<'a> {
    fn of(configurations: Vec<&'a Configuration>, sweep: &Sweep) -> Self {
        let member = |configuration: &'a Configuration| {
            let values = replicate_values(&configuration.settings, &sweep.report.replicates);
            (configuration, Member { id: configuration.id, values })
        };
        Self(configurations.into_iter().map(member).collect())
    }

    fn is_baseline(&self) -> bool {
        self.0.iter().any(|(configuration, _)| configuration.baseline)
    }

    /// The configurations of two rows that have the same values of `report.replicates`, each with its place in the
    /// other row.
    fn partners<'b>(&'b self, other: &'b Self) -> Vec<Partners<'a>> {
        let others: HashMap<String, (usize, &'a Configuration)> = other
            .0
            .iter()
            .enumerate()
            .map(|(at, (configuration, member))| (member.name(), (at, *configuration)))
            .collect();
        let pair = |(ours, member): &(&'a Configuration, Member)| {
            let (at, theirs) = others.get(&member.name())?;
            Some((*at, *ours, *theirs))
        };
        self.0.iter().filter_map(pair).collect()
    }
}

type Partners<'a> = (usize, &'a Configuration, &'a Configuration);

/// A sweep with what is known of its tasks.
pub(super) struct Known<'a> {
    pub(super) sweep: &'a Sweep,
    pub(super) outcomes: &'a HashMap<(ConfigurationId, u64), TaskOutcome>,
}

impl<'a> Known<'a> {
    /// The row of a group, which has at least one configuration.
    fn row(
        &self,
        group: &Group<'_>,
        baseline: Option<&Group<'_>>,
    ) -> Option<(ConfigurationRow, Option<Compared>)> {
        let replicates = &self.sweep.report.replicates;
        let (first, _) = group.0.first()?;
        let confidence = self.sweep.report.confidence;
        let done: Vec<&TaskResult> =
            group.0.iter().flat_map(|(configuration, _)| self.results(configuration)).collect();
        let (failed_seeds, cancelled_seeds) = self.without_result(group);
        let expected = self.sweep.seeds.len() * group.0.len();
        let mut values = first.values.clone();
        if !replicates.is_empty() {
            Arc::make_mut(&mut values).retain(|path, _| !replicates.contains(path));
        }
        let compared = baseline.and_then(|baseline| self.compared(group, baseline));
        let row = ConfigurationRow {
            id: first.id,
            name: String::new(),
            settings: first.settings.clone(),
            values,
            baseline: group.is_baseline(),
            n: done.len(),
            expected,
            state: state(done.len(), failed_seeds.len(), expected),
            failed_seeds,
            cancelled_seeds,
            metrics: summaries(&done, confidence, first.settings.network().is_some()),
            comparisons: compared.as_ref().map(|it| it.comparisons(confidence)).unwrap_or_default(),
            classes: class_scores(&done, confidence),
            members: match replicates.is_empty() {
                true => Vec::new(),
                false => group.0.iter().map(|(_, member)| member.clone()).collect(),
            },
        };
        Some((row, compared))
    }

    /// A row against that of a baseline, at each replicate that both have.
    fn compared(&self, group: &Group<'_>, baseline: &Group<'_>) -> Option<Compared> {
        let partners = group.partners(baseline);
        // The others have the same settings, except for the replicates, which are the same in both.
        let (_, ours, theirs) = partners.first()?;
        let results: Vec<_> = partners.iter().flat_map(|partners| self.pairs(*partners)).collect();
        let (first, _) = baseline.0.first()?;
        Some(Compared::of(first.id, ours, theirs, &results))
    }

    pub(super) fn result(&self, configuration: &Configuration, seed: u64) -> Option<&'a TaskResult> {
        match self.outcomes.get(&(configuration.id, seed))? {
            TaskOutcome::Done(result) => Some(result),
            TaskOutcome::Failed(_) | TaskOutcome::Cancelled => None,
        }
    }

    /// The results of a configuration, in the order of the seeds.
    fn results(&self, configuration: &Configuration) -> impl Iterator<Item = &'a TaskResult> {
        self.sweep.seeds.iter().filter_map(|seed| self.result(configuration, *seed))
    }

    /// The results of two configurations at each seed that both have.
    fn pairs(&self, (at, ours, theirs): Partners<'_>) -> Vec<((usize, u64), &'a TaskResult, &'a TaskResult)> {
        let pair = |seed: &u64| Some(((at, *seed), self.result(ours, *seed)?, self.result(theirs, *seed)?));
        self.sweep.seeds.iter().filter_map(pair).collect()
    }

    /// The replicates that failed, with the reason, and those that were cancelled.
    fn without_result(&self, group: &Group<'_>) -> (BTreeMap<Replicate, FailureReason>, BTreeSet<Replicate>) {
        let (mut failed, mut cancelled) = (BTreeMap::new(), BTreeSet::new());
        for (configuration, member) in &group.0 {
            for &seed in &self.sweep.seeds {
                let replicate = || Replicate { of: member.name(), seed };
                match self.outcomes.get(&(configuration.id, seed)) {
                    Some(TaskOutcome::Failed(reason)) => drop(failed.insert(replicate(), *reason)),
                    Some(TaskOutcome::Cancelled) => drop(cancelled.insert(replicate())),
                    Some(TaskOutcome::Done(_)) | None => {}
                }
            }
        }
        (failed, cancelled)
    }

    /// See [`ResultsTable::data_digests`]. A result of an older version has no digest.
    fn data_digests(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut digests = BTreeMap::<String, BTreeSet<String>>::new();
        for configuration in &self.sweep.configurations {
            let known = self.results(configuration).map(|result| &result.data_digest);
            for digest in known.filter(|digest| !digest.is_empty()) {
                let of_data_set = digests.entry(configuration.settings.data_set().into_owned()).or_default();
                of_data_set.insert(digest.clone());
            }
        }
        digests
    }
}

fn state(done: usize, failed: usize, expected: usize) -> RowState {
    if done == expected {
        RowState::Complete
    } else if failed == expected {
        RowState::Failed
    } else {
        RowState::Partial
    }
}

/// Summaries of every metric that all results have.
pub(super) fn summaries(done: &[&TaskResult], confidence: f64, network: bool) -> BTreeMap<String, Summary> {
    let Some(first) = done.first() else { return BTreeMap::new() };
    first
        .metrics
        .keys()
        .filter_map(|name| {
            let values: Option<Vec<f64>> = done.iter().map(|result| result.metrics.get(name)).collect();
            let summary = Summary::of(&values?, confidence)?;
            let bounds = metric::bounds(name).filter(|_| network);
            Some((name.to_owned(), bounds.map_or(summary, |bounds| summary.clipped(bounds))))
        })
        .collect()
}
