//! `colearn bootstrap DIR`: intervals over seeds and items, from exported predictions.

mod predictions;
mod scores;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use colearn_core::{
    statistics::{Bootstrapped, Resampling, crossed},
    text::counted_len,
};
use serde::Serialize;

use self::{
    predictions::{Predictions, read},
    scores::{Compared, Metric},
};
use crate::{
    args::BootstrapArgs,
    exit::{Exit, Failure, Outcome},
    layout::{Column, Role, fitted, width},
};

/// With fewer groups than this, resampling them gives intervals that are too narrow.
const FEW_GROUPS: usize = 10;

/// `colearn bootstrap DIR`.
pub(crate) fn bootstrap(arguments: &BootstrapArgs) -> Outcome {
    let BootstrapArgs { folder, split, modalities, confidence, replicates, seed, json } = arguments;
    let resampling = Resampling { replicates: *replicates, seed: *seed, confidence: *confidence };
    let exported = Exported::read(folder)?;
    let mut rows = Vec::new();
    for configuration in &exported.0 {
        let Some(baseline) = exported.0.iter().find(|it| it.id == configuration.baseline) else { continue };
        let mut pairs = Vec::new();
        for (seed, ours) in &configuration.files {
            let Some(theirs) = baseline.files.get(seed) else { continue };
            let part = |path| read(&folder.join(path), split, modalities.as_deref());
            pairs.push((part(ours)?, part(theirs)?));
        }
        rows.extend(compare(configuration, baseline, &pairs, &resampling)?);
    }
    if rows.is_empty() {
        let message = format!(
            "{} has no configuration with a baseline and a common seed; export the predictions of both, and name a `report.baseline` in the sweep file",
            folder.display()
        );
        return Err(Failure::new(Exit::Failure, message));
    }
    if *json {
        let text = serde_json::to_string_pretty(&rows).map_err(|error| Failure::new(Exit::Failure, error))?;
        outln!("{text}");
    } else {
        print(&rows, &resampling);
    }
    Ok(Exit::Success)
}

/// The exported configurations, in the order of the index.
struct Exported(Vec<Configuration>);

struct Configuration {
    id: String,
    name: String,
    /// The id of its baseline; empty if it has none.
    baseline: String,
    /// The paths of its predictions, by seed.
    files: BTreeMap<u64, String>,
}

impl Exported {
    fn read(folder: &Path) -> Result<Self, Failure> {
        let index = folder.join("index.csv");
        let wrong = |why: &dyn std::fmt::Display| {
            let help = "; write it with: colearn export NAME --only predictions";
            Failure::new(Exit::Failure, format!("cannot read `{}`: {why}{help}", index.display()))
        };
        let mut reader = csv::Reader::from_path(&index).map_err(|error| wrong(&error))?;
        let mut found: Vec<Configuration> = Vec::new();
        for row in reader.deserialize() {
            let row: IndexRow = row.map_err(|error| wrong(&error))?;
            if !row.path.ends_with("predictions.csv") {
                continue;
            }
            let IndexRow { path, configuration: name, id, baseline, seed } = row;
            // The files of a configuration follow each other.
            if found.last().is_none_or(|last| last.id != id) {
                found.push(Configuration { id, name, baseline, files: BTreeMap::new() });
            }
            if let Some(last) = found.last_mut() {
                last.files.insert(seed, path);
            }
        }
        Ok(Self(found))
    }
}

#[derive(serde::Deserialize)]
struct IndexRow {
    path: String,
    configuration: String,
    id: String,
    baseline: String,
    seed: u64,
}

/// A line of the output.
#[derive(Serialize)]
struct Row {
    configuration: String,
    baseline: String,
    metric: Metric,
    seeds: usize,
    items: usize,
    /// Number of groups that are resampled as a whole; that of the items if they have no groups.
    groups: usize,
    difference: f64,
    ci_low: Option<f64>,
    ci_high: Option<f64>,
    standard_error: Option<f64>,
}

fn compare(
    configuration: &Configuration,
    baseline: &Configuration,
    pairs: &[(Predictions, Predictions)],
    resampling: &Resampling,
) -> Result<Vec<Row>, Failure> {
    let Some(compared) = Compared::of(pairs).map_err(|why| {
        let names = format!("{} and {}", configuration.name, baseline.name);
        Failure::new(Exit::Failure, format!("the predictions of {names} cannot be compared: {why}"))
    })?
    else {
        return Ok(Vec::new());
    };
    let row = |metric: Metric| {
        let size = (compared.seeds(), compared.groups);
        let difference = compared.difference(metric, &vec![1; size.0], &vec![1; size.1])?;
        let found: Option<Bootstrapped> =
            crossed(size, resampling, |seeds, groups| compared.difference(metric, seeds, groups));
        Some(Row {
            configuration: configuration.name.clone(),
            baseline: baseline.name.clone(),
            metric,
            seeds: size.0,
            items: compared.items(),
            groups: size.1,
            difference,
            ci_low: found.map(|found| found.ci_low),
            ci_high: found.map(|found| found.ci_high),
            standard_error: found.map(|found| found.standard_error),
        })
    };
    Ok(compared.metrics().iter().filter_map(|metric| row(*metric)).collect())
}

fn table(rows: &[Row], width: usize) -> String {
    let cells = |cell: &dyn Fn(&Row) -> String| rows.iter().map(cell).collect();
    let interval = |row: &Row| match (row.ci_low, row.ci_high) {
        (Some(low), Some(high)) => format!("[{low:+.4}, {high:+.4}]"),
        _ => "none: one seed and one group".to_owned(),
    };
    let columns = [
        Column::words("configuration", Role::Key, cells(&|row| row.configuration.clone())),
        Column::words("baseline", Role::First, cells(&|row| row.baseline.clone())),
        Column::words("metric", Role::First, cells(&|row| row.metric.as_str().to_owned())),
        Column::numbers("seeds", Role::First, cells(&|row| row.seeds.to_string())),
        Column::numbers("difference", Role::First, cells(&|row| format!("{:+.4}", row.difference))),
        Column::words("interval", Role::First, cells(&interval)),
    ];
    fitted(&columns, &[], width)
}

fn print(rows: &[Row], resampling: &Resampling) {
    outln!("{}", table(rows, width()));
    let Resampling { replicates, confidence, .. } = resampling;
    if let Some(row) = rows.first() {
        let items = counted_len(row.items, "item");
        let groups =
            if row.groups == row.items { String::new() } else { format!(" in {} groups", row.groups) };
        outln!(
            "seeds and {items}{groups} were resampled {replicates} times, independently of each other; confidence {confidence}"
        );
    }
    if let Some(row) = rows.iter().find(|row| row.groups > 1 && row.groups < FEW_GROUPS) {
        noteln!(
            "warning: {} are few to resample: the intervals are too narrow, and say little about other groups",
            counted_len(row.groups, "group")
        );
    }
    if rows.iter().any(|row| row.seeds == 1) {
        let names = rows.iter().filter(|row| row.seeds == 1).map(|row| row.configuration.as_str());
        let names: BTreeSet<&str> = names.collect();
        let names = names.into_iter().collect::<Vec<_>>().join("; ");
        noteln!(
            "warning: one seed cannot be resampled: the intervals of {names} say nothing about other seeds"
        );
    }
}
