//! Results that must never be lost: every result that a worker was told is recorded, and every result that was shown.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::PathBuf,
};

use serde_json::Value;

use crate::lab::Lab;

/// Reads the complete lines that were added to a log since the last call.
pub(crate) struct Tail {
    path: PathBuf,
    read: u64,
}

impl Tail {
    pub(crate) fn of(path: PathBuf) -> Self {
        Self { path, read: 0 }
    }

    pub(crate) fn lines(&mut self) -> Vec<String> {
        let Ok(mut file) = File::open(&self.path) else { return Vec::new() };
        file.seek(SeekFrom::Start(self.read)).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        self.read += whole as u64;
        String::from_utf8_lossy(&bytes[..whole]).lines().map(str::to_owned).collect()
    }
}

/// A task as `sweep/configuration/seed`, with the number of the sweep.
type Task = String;

/// The results that are known to be recorded.
///
/// An acknowledgement is known from the log of the worker that received it. The worker writes the line before it does
/// anything else, and a log survives the `kill -9` of its writer. The list therefore never holds more than was
/// acknowledged, and lacks at most the messages that were on their way to a killed worker.
pub(crate) struct Ledger {
    logs: Vec<Tail>,
    /// The lease under which each task was acknowledged.
    acknowledged: BTreeMap<Task, String>,
    /// The tasks that `tasks` and `results` showed as done.
    shown: BTreeSet<Task>,
    tables: BTreeMap<String, Value>,
    /// Attempts beyond the first, for each sweep at the last check.
    repeated: BTreeMap<String, u64>,
    /// Number of attempts that continued from a checkpoint.
    pub(crate) resumed: usize,
}

impl Ledger {
    /// An empty ledger that follows the logs of these workers.
    pub(crate) fn new(lab: &Lab, workers: &[String]) -> Self {
        let tail = |name: &String| Tail::of(lab.path().join(format!("{name}.log")));
        Self {
            logs: workers.iter().map(tail).collect(),
            acknowledged: BTreeMap::new(),
            shown: BTreeSet::new(),
            tables: BTreeMap::new(),
            repeated: BTreeMap::new(),
            resumed: 0,
        }
    }

    /// Number of results that workers were told are recorded.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Number of attempts beyond the first of each task.
    pub(crate) fn repeated(&self) -> u64 {
        self.repeated.values().sum()
    }

    /// Reads new lines of the workers' logs.
    pub(crate) fn listen(&mut self) {
        for line in self.logs.iter_mut().flat_map(Tail::lines) {
            self.resumed += usize::from(line.contains("continues after epoch"));
            let Some((_, told)) = line.split_once("result of ") else { continue };
            let Some((task, rest)) = told.split_once(" under lease ") else { continue };
            let token = rest.trim_end_matches(" is recorded").to_owned();
            let before = self.acknowledged.insert(task.to_owned(), token.clone());
            assert!(
                before.as_ref().is_none_or(|before| *before == token),
                "{task} was recorded twice: under lease {before:?} and under {token}"
            );
        }
    }

    /// Asserts that a sweep has every result that is recorded by now, and records its results.
    pub(crate) fn check(&mut self, lab: &Lab, name: &str, target: &[&str]) {
        // The logs first: their results were recorded before the coordinator is asked.
        self.listen();
        self.assert_holds(lab, name, target);
    }

    /// Asserts that a sweep has every result that was known to be recorded at the last reading of the logs, and
    /// records its results. `target` names the coordinator, or a state folder.
    pub(crate) fn assert_holds(&mut self, lab: &Lab, name: &str, target: &[&str]) {
        let ask = |words: &[&str]| lab.json(&[words, target].concat());
        let id = ask(&["status", name, "--json"])["id"].to_string();
        let tasks = ask(&["tasks", name, "--json"]);
        let table = ask(&["results", name, "--format", "json"]);
        let (mut done, mut repeated) = (BTreeSet::new(), 0);
        for task in tasks["tasks"].as_array().unwrap() {
            let state = task["state"].as_str().unwrap();
            assert_ne!(state, "failed", "kills alone use up no task's attempts: {task}");
            repeated += task["attempts"].as_u64().unwrap().saturating_sub(1);
            if state == "done" {
                done.insert(format!("{id}/{}/{}", task["configuration"].as_str().unwrap(), task["seed"]));
            }
        }
        let of_this = format!("{id}/");
        let promised = self.shown.iter().chain(self.acknowledged.keys());
        let lost: Vec<_> =
            promised.filter(|task| task.starts_with(&of_this) && !done.contains(*task)).collect();
        assert!(lost.is_empty(), "recorded results of {name} were lost: {lost:?}");
        self.shown.extend(done);
        self.repeated.insert(name.to_owned(), repeated);
        if let Some(before) = self.tables.insert(name.to_owned(), table) {
            let worse = worse(&before, &self.tables[name]);
            assert_eq!(worse, None, "recorded results of {name} are not what they were");
        }
    }

    /// The last table of a sweep.
    pub(crate) fn table(&self, name: &str) -> &Value {
        &self.tables[name]
    }
}

/// What is worse in a table than before: a row with fewer seeds, or a row with the same seeds and other numbers, even
/// in the last digit.
fn worse(before: &Value, after: &Value) -> Option<String> {
    let rows = |table: &Value| table["configurations"].as_array().unwrap().clone();
    let (before, after) = (rows(before), rows(after));
    assert_eq!(before.len(), after.len());
    before.iter().zip(&after).find_map(|(before, after)| {
        let n = |row: &Value| row["n"].as_u64().unwrap();
        let lost = n(after) < n(before);
        let changed = n(after) == n(before) && before["metrics"] != after["metrics"];
        (lost || changed).then(|| format!("{before} then {after}"))
    })
}

#[test]
fn a_row_that_loses_a_seed_or_changes_a_number_is_noticed() {
    let table = |n: u32, mean: f64| serde_json::json!({"configurations": [{"n": n, "metrics": {"loss": {"mean": mean}}}]});
    assert_eq!(worse(&table(1, 0.5), &table(1, 0.5)), None);
    assert_eq!(worse(&table(1, 0.5), &table(2, 0.4)), None, "a result more");
    assert!(worse(&table(2, 0.5), &table(1, 0.5)).is_some(), "a seed is gone");
    assert!(worse(&table(2, 0.5), &table(2, 0.500_000_1)).is_some(), "a number is another");
}
