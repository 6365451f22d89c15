//! Comparisons of configurations and of sweeps with each other: `colearn compare`.

mod across;
mod pairs;
mod sheet;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use colearn_core::{
    names::as_argument,
    result::{Direction, TaskResult},
    table::{ConfigurationRow, Replicate, ResultsTable},
};

pub use self::{
    across::{Across, AcrossMetric, AcrossRow, across},
    pairs::{PairRow, Pairs, configurations, sweeps},
    sheet::{Sheet, csv},
};
use crate::report_data::Material;

/// One configuration of a sweep, with its results.
#[derive(Clone, Debug)]
pub struct Side<'m> {
    /// What it is called: `sweep/audio=0.8,video=0.8`.
    pub label: String,
    table: &'m ResultsTable,
    results: BTreeMap<Replicate, &'m TaskResult>,
}

impl<'m> Side<'m> {
    /// A row of the table of a sweep.
    #[must_use]
    pub fn of(material: &'m Material, table: &'m ResultsTable, row: &ConfigurationRow) -> Self {
        let of_member = |member: colearn_core::table::Member| {
            let results = material.results(member.id).into_iter();
            results.map(move |(seed, result)| (Replicate { of: member.name(), seed }, result))
        };
        let results = row.configurations().flat_map(of_member).collect();
        Self { label: format!("{}/{}", table.sweep, as_argument(&row.name)), table, results }
    }

    /// The values of a metric by replicate.
    fn values(&self, metric: &str) -> BTreeMap<&Replicate, f64> {
        let value = |(replicate, result): (_, &&TaskResult)| Some((replicate, result.metrics.get(metric)?));
        self.results.iter().filter_map(value).collect()
    }

    fn digests(&self) -> BTreeSet<&str> {
        self.results.values().map(|it| it.data_digest.as_str()).filter(|digest| !digest.is_empty()).collect()
    }

    fn direction(&self, metric: &str) -> Direction {
        self.table.direction(metric)
    }
}

/// The rows of a sweep by name.
struct Rows<'m> {
    material: &'m Material,
    table: &'m ResultsTable,
    by_name: HashMap<&'m str, &'m ConfigurationRow>,
}

impl<'m> Rows<'m> {
    fn of((material, table): (&'m Material, &'m ResultsTable)) -> Self {
        Self { material, table, by_name: by_name(table) }
    }

    fn side(&self, name: &str) -> Option<Side<'m>> {
        self.by_name.get(name).map(|row| Side::of(self.material, self.table, row))
    }
}

fn by_name(table: &ResultsTable) -> HashMap<&str, &ConfigurationRow> {
    table.configurations.iter().map(|row| (row.name.as_str(), row)).collect()
}

/// The names that are in all of the tables, in the order of the first.
///
/// # Errors
/// If there are none.
fn common_names<'t>(tables: &[&'t ResultsTable]) -> Result<Vec<&'t str>, String> {
    let Some((first, others)) = tables.split_first() else { return Ok(Vec::new()) };
    let others: Vec<HashMap<&str, _>> = others.iter().map(|table| by_name(table)).collect();
    let in_all = |name: &&str| others.iter().all(|known| known.contains_key(name));
    let all = first.configurations.iter().map(|row| row.name.as_str());
    let names: Vec<&str> = all.clone().filter(in_all).collect();
    if names.is_empty() {
        let own: Vec<String> = all.map(str::to_owned).collect();
        return Err(format!(
            "no configuration has the same name in all of these sweeps; those of {} are {}",
            first.sweep,
            crate::cells::some(&own, "; ")
        ));
    }
    Ok(names)
}

/// Warnings about configurations that are not compared because a sweep lacks their names.
fn left_out(tables: &[&ResultsTable], names: &[&str]) -> Vec<String> {
    let names: HashSet<&str> = names.iter().copied().collect();
    let missing = |table: &&ResultsTable| {
        let others = table.configurations.iter().filter(|row| !names.contains(row.name.as_str()));
        let others: Vec<String> = others.map(|row| row.name.clone()).collect();
        (!others.is_empty()).then(|| {
            format!(
                "{} has names that are not in all sweeps: {}",
                table.sweep,
                crate::cells::some(&others, "; ")
            )
        })
    };
    tables.iter().filter_map(missing).collect()
}

/// The metrics to compare: `wanted`, or those that the first sweep shows and all have.
///
/// # Errors
/// The name of a metric that a sweep does not have.
fn metrics(tables: &[&ResultsTable], wanted: &[String]) -> Result<Vec<String>, String> {
    let has = |table: &ResultsTable, name: &String| {
        table.configurations.iter().any(|row| row.metrics.contains_key(name))
    };
    let in_all = |name: &&String| tables.iter().all(|table| has(table, name));
    let Some(first) = tables.first() else { return Ok(Vec::new()) };
    if wanted.is_empty() {
        return Ok(first.metrics.iter().filter(in_all).cloned().collect());
    }
    if let Some(unknown) = wanted.iter().find(|name| !in_all(name)) {
        let known: Vec<String> = crate::cells::all_metrics(first).iter().filter(in_all).cloned().collect();
        return Err(format!(
            "there are no results of the metric `{unknown}` in each of them; known are {}",
            known.join(", ")
        ));
    }
    Ok(wanted.to_vec())
}
