//! The differences between two sweeps, setting by setting.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::definition::Sweep;
use crate::text::counted_len;

/// Maximum number of lines, and of values in a line.
const MAX_LINES: usize = 12;
const MAX_VALUES: usize = 5;
/// The text for a setting without a value, such as the dropout of a modality that is never dropped.
const ABSENT: &str = "absent";

impl Sweep {
    /// The differences between the tasks of this sweep and those of another, for people: one line per setting with
    /// its values in both, and one for the seeds. Empty if the tasks are the same.
    #[must_use]
    pub fn changes_to(&self, other: &Self) -> Vec<String> {
        let (mine, theirs) = (values_by_path(self), values_by_path(other));
        let absent = || BTreeSet::from([ABSENT.to_owned()]);
        let paths: BTreeSet<&String> = mine.keys().chain(theirs.keys()).collect();
        let mut lines: Vec<String> = paths
            .into_iter()
            .filter_map(|path| {
                let (mine, theirs) = (mine.get(path), theirs.get(path));
                let (mine, theirs) =
                    (mine.map_or_else(absent, Clone::clone), theirs.map_or_else(absent, Clone::clone));
                difference(&mine, &theirs).map(|what| format!("{path}: {what}"))
            })
            .collect();
        let seeds = |sweep: &Self| sweep.seeds.iter().map(ToString::to_string).collect();
        lines.extend(difference(&seeds(self), &seeds(other)).map(|what| format!("seeds: {what}")));
        if lines.is_empty() {
            lines.extend(self.other_combinations(other));
        }
        if lines.len() > MAX_LINES {
            let more = lines.len() - MAX_LINES + 1;
            lines.truncate(MAX_LINES - 1);
            lines.push(format!("and {} more", counted_len(more, "setting")));
        }
        lines
    }

    /// The difference if each setting has the same values, but in other combinations.
    fn other_combinations(&self, other: &Self) -> Option<String> {
        let ids = |sweep: &Self| sweep.configurations.iter().map(|c| c.id).collect::<BTreeSet<_>>();
        let (mine, theirs) = (ids(self), ids(other));
        let (gone, new) = (mine.difference(&theirs).count(), theirs.difference(&mine).count());
        (gone + new > 0).then(|| format!("other combinations of the same values: {new} new, {gone} gone"))
    }
}

fn values_by_path(sweep: &Sweep) -> BTreeMap<String, BTreeSet<String>> {
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for configuration in &sweep.configurations {
        for (path, value) in configuration.settings.flat() {
            *times.entry(path.clone()).or_default() += 1;
            values.entry(path).or_default().insert(written(&value));
        }
    }
    for (path, times) in times {
        if times < sweep.configurations.len() {
            values.entry(path).or_default().insert(ABSENT.to_owned());
        }
    }
    values
}

fn written(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The difference in words; `None` if there is none.
fn difference(mine: &BTreeSet<String>, theirs: &BTreeSet<String>) -> Option<String> {
    if mine == theirs {
        return None;
    }
    if mine.len() == 1 && theirs.len() == 1 {
        return Some(format!("{} -> {}", listed(mine.iter()), listed(theirs.iter())));
    }
    let parts = [("without", mine.difference(theirs)), ("with", theirs.difference(mine))];
    let parts = parts.into_iter().map(|(word, values)| (word, values.collect::<Vec<_>>()));
    let parts = parts.filter(|(_, values)| !values.is_empty());
    Some(
        parts
            .map(|(word, values)| format!("{word} {}", listed(values.into_iter())))
            .collect::<Vec<_>>()
            .join(", "),
    )
}

/// The values as text: numbers in numerical order, then words in alphabetical order.
fn listed<'a>(values: impl Iterator<Item = &'a String>) -> String {
    let mut words: Vec<&str> = values.map(String::as_str).collect();
    let number = |word: &str| word.parse::<f64>().unwrap_or(f64::INFINITY);
    words.sort_by(|a, b| number(a).total_cmp(&number(b)));
    let more = words.len().saturating_sub(MAX_VALUES);
    words.truncate(MAX_VALUES);
    let listed = words.join(", ");
    if more > 0 { format!("{listed} and {more} more") } else { listed }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
name: x
dataset: demo
primary: language
model: {kind: bi-eflstm, hidden: 8, layers: 1, dropout: 0.2}
training: {epochs: 30, batch_size: 32, learning_rate: 0.003}
parameters:
  modality_dropout.audio: [0, 0.25, 0.5]
seeds: {count: 3}
";

    fn changes(from: &str, to: &str) -> Vec<String> {
        let sweep = |text: &str| Sweep::parse(text, "x.yaml").unwrap().sweep;
        sweep(FILE).changes_to(&sweep(&FILE.replace(from, to)))
    }

    #[test]
    fn what_differs_is_told_setting_by_setting() {
        assert_eq!(changes("name: x", "name: y"), [""; 0]);
        assert_eq!(changes("epochs: 30", "epochs: 40"), ["training.epochs: 30 -> 40"]);
        assert_eq!(changes("dataset: demo", "dataset: other"), ["dataset: demo -> other"]);
        assert_eq!(
            changes("[0, 0.25, 0.5]", "[0, 0.25, 0.8]"),
            ["modality_dropout.audio: without 0.5, with 0.8"]
        );
        assert_eq!(changes("[0, 0.25, 0.5]", "[0.25, 0.5]"), ["modality_dropout.audio: without absent"]);
        assert_eq!(changes("count: 3", "count: 12"), ["seeds: with 3, 4, 5, 6, 7 and 4 more"]);
        let all = changes("audio", "video");
        assert_eq!(
            all,
            ["modality_dropout.audio: without 0.25, 0.5", "modality_dropout.video: with 0.25, 0.5"]
        );
    }
}
