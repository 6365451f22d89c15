//! The origin of the results.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use colearn_core::{
    id::ConfigurationId,
    table::{ConfigurationRow, ResultsTable},
    text::{counted, counted_len},
};

use crate::{
    cells::{self, configuration_label, label, percent, replicated_by, some, some_of},
    report_data::Material,
};

/// Names with what there is to say about them.
type Facts = Vec<(String, String)>;

/// The origin of the results.
pub(super) struct Origin {
    /// Seeds, devices, versions and times.
    pub(super) facts: Facts,
    /// Settings that differ besides the parameters.
    pub(super) different: Facts,
    /// Settings of all configurations.
    pub(super) shared: Facts,
}

pub(super) fn section(material: &Material, table: &ResultsTable) -> Origin {
    let sweep = &material.sweep;
    let mut facts = Facts::new();
    let mut fact = |name: &str, text: String| facts.push((name.to_owned(), text));
    let provenance = &material.provenance;
    if let Some(file) = &provenance.sweep_file {
        fact("sweep file", file.clone());
    }
    if let Some(at) = &provenance.submitted_at {
        fact("submitted", at.clone());
    }
    if let Some(at) = &provenance.made_at {
        fact("report made", at.clone());
    }
    let commit = provenance.commit.as_ref().map_or_else(String::new, |commit| format!(" (commit {commit})"));
    fact("colearn", format!("{}{commit}", provenance.version));
    for (name, digests) in &table.data_digests {
        let digests: Vec<String> = digests.iter().map(|digest| format!("sha256 {digest}")).collect();
        let (what, files) =
            if table.is_of_networks() { ("data set", "files") } else { ("program", "versions") };
        let several = if digests.len() > 1 {
            format!(": different {files}, which the means mix")
        } else {
            String::new()
        };
        fact(&format!("{what} {name}"), format!("{}{several}", digests.join(", ")));
    }
    let commits: BTreeSet<&str> = material.done().map(|result| result.commit.as_str()).collect();
    let commits: Vec<String> = commits.into_iter().filter(|it| !it.is_empty()).map(str::to_owned).collect();
    if !commits.is_empty() {
        fact("commit of the program", some(&commits, ", "));
    }
    let devices = material.devices();
    let trained: Vec<String> = devices
        .iter()
        .map(|(device, (tasks, _))| format!("{device} ({})", counted_len(*tasks, "task")))
        .collect();
    if !trained.is_empty() {
        fact("trained on", trained.join(", "));
        let seconds: f64 = devices.values().map(|(_, seconds)| seconds).sum();
        fact(
            "training time",
            format!(
                "{seconds:.0} s, the sum over tasks (tasks of one cohort share their time, and count it each)"
            ),
        );
    }
    for (environment, tasks) in environments(material) {
        fact("computed with", format!("{environment} ({})", counted_len(tasks, "task")));
    }
    let resumed = material.resumed();
    if !resumed.is_empty() {
        let words = |(id, seed, epochs): &(ConfigurationId, u64, &[u32])| {
            let name = configuration_label(table, *id);
            let epochs: Vec<String> = epochs.iter().map(u32::to_string).collect();
            format!("{name} seed {seed} after epoch {}", epochs.join(" and "))
        };
        fact("continued from a checkpoint", some_of(&resumed, "; ", words));
    }
    let mut parameters: Vec<u64> = sweep
        .configurations
        .iter()
        .flat_map(|it| material.results(it.id))
        .map(|(_, result)| result.parameters)
        .filter(|parameters| *parameters > 0)
        .collect();
    parameters.sort_unstable();
    parameters.dedup();
    match parameters.as_slice() {
        [] => {}
        [only] => fact("trained parameters", grouped(*only)),
        [first, .., last] => fact("trained parameters", format!("{} to {}", grouped(*first), grouped(*last))),
    }
    fact("seeds", some(&sweep.seeds.iter().map(u64::to_string).collect::<Vec<_>>(), ", "));
    if !table.replicates.is_empty() {
        fact("replicates", replicated_by(table));
    }
    for path in &sweep.parameters {
        let all = sweep.configurations.iter().filter_map(|it| it.values.get(path)).map(cells::value);
        let mut known = HashSet::new();
        let values: Vec<String> = all.filter(|value| known.insert(value.clone())).collect();
        fact(path, some(&values, ", "));
    }
    let baselines: Vec<&ConfigurationRow> = table.baselines().collect();
    let named = some_of(&baselines, "; ", |row| format!("{} ({})", label(row), row.id));
    match baselines.len() {
        0 => {}
        1 => fact("baseline", named),
        _ => fact("baselines", named),
    }
    let first = if table.is_of_networks() { "verdicts are" } else { "the comparison in the table is" };
    fact("metrics", format!("{}; {first} about the first", sweep.report.metrics.join(", ")));
    fact("confidence", format!("{} %", percent(sweep.report.confidence)));
    fact(
        "retries",
        format!(
            "{}, waiting {:?} to {:?}",
            counted(sweep.retries.max_attempts.into(), "attempt"),
            sweep.retries.initial_backoff,
            sweep.retries.max_backoff
        ),
    );
    let shared = shared(material).into_iter().filter(|(path, _)| !sweep.parameters.contains(path)).collect();
    Origin { facts, different: different(material, table), shared }
}

/// What results were computed with, and how many with each: the most frequent first, at most ten.
fn environments(material: &Material) -> Vec<(String, usize)> {
    const MAX_LISTED: usize = 10;
    let mut groups: BTreeMap<&BTreeMap<String, String>, usize> = BTreeMap::new();
    for result in material.done() {
        *groups.entry(&result.environment).or_default() += 1;
    }
    // Results of versions that did not record it.
    if groups.keys().all(|environment| environment.is_empty()) {
        return Vec::new();
    }
    let text = |environment: &BTreeMap<String, String>| match environment.is_empty() {
        true => "not recorded".to_owned(),
        false => {
            let pairs = environment.iter().map(|(name, value)| format!("{} {value}", name.replace('_', " ")));
            pairs.collect::<Vec<_>>().join("; ")
        }
    };
    let mut groups: Vec<(String, usize)> =
        groups.into_iter().map(|(environment, tasks)| (text(environment), tasks)).collect();
    groups.sort_by_key(|(_, tasks)| std::cmp::Reverse(*tasks));
    let others: Vec<(String, usize)> = groups.split_off(groups.len().min(MAX_LISTED));
    if !others.is_empty() {
        let tasks = others.iter().map(|(_, tasks)| tasks).sum();
        groups.push((format!("{} more", counted_len(others.len(), "environment")), tasks));
    }
    groups
}

/// The settings that are the same in every configuration.
fn shared(material: &Material) -> BTreeMap<String, String> {
    let mut all = material.sweep.configurations.iter().map(|it| it.settings.flat());
    let mut common = all.next().unwrap_or_default();
    for flat in all {
        common.retain(|path, value| flat.get(path) == Some(value));
    }
    common.into_iter().map(|(path, it)| (path, cells::value(&it))).collect()
}

/// The settings of networks that no column of the table shows and that are not the same everywhere, with their values.
fn different(material: &Material, table: &ResultsTable) -> Facts {
    let columns = cells::setting_columns(table);
    let is_shown = |path: &String| columns.contains(path) || table.replicates.contains(path);
    let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut known = HashSet::new();
    for network in material.sweep.configurations.iter().filter_map(|it| it.settings.network()) {
        for (path, value) in network.flat().into_iter().filter(|(path, _)| !is_shown(path)) {
            let value = cells::value(&value);
            if known.insert((path.clone(), value.clone())) {
                values.entry(path).or_default().push(value);
            }
        }
    }
    values.retain(|_, values| values.len() > 1);
    values.into_iter().map(|(path, values)| (path, some(&values, ", "))).collect()
}

/// A number with separators: 1269257 becomes 1,269,257.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
