//! Tables in the documentation that say what the code says.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeMap, fs, path::Path};

use colearn_coordinator::{Coordinator, store::Notice};
use colearn_core::{
    failure::FailureReason,
    needs::MAX_LABELS,
    pools::PoolSettings,
    result::curve,
    sweep::{ScheduleSettings, json_schema},
};
use colearn_proto::{
    MAX_MESSAGE_BYTES,
    convert::{MAX_ARTIFACTS, MAX_CLASSES, MAX_EPOCHS, MAX_METRICS},
};

/// The rows of the first table after a heading: the first column, and the second.
fn table(page: &str, heading: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let text = fs::read_to_string(path).unwrap();
    let (_, after) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let lines =
        after.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let rows = lines.skip(2).map(|line| {
        let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
        (cells.next().unwrap(), cells.next().unwrap())
    });
    rows.collect()
}

#[test]
fn every_reason_of_a_failure_is_explained() {
    let mut explained: Vec<String> =
        table("troubleshoot.md", "Tasks fail").into_iter().map(|(reason, _)| reason).collect();
    let mut all = FailureReason::ALL.map(|reason| format!("`{}`", reason.as_str())).to_vec();
    explained.sort();
    all.sort();
    assert_eq!(explained, all, "docs/troubleshoot.md");
}

#[test]
fn the_limits_are_those_of_the_code() {
    // Limits of sweep files are in the schema.
    let tasks = json_schema()["properties"]["max_tasks"].clone();
    let limit = |key: &str| usize::try_from(tasks[key].as_u64().unwrap()).unwrap();
    let limits = [
        ("tasks of a sweep", limit("maximum")),
        ("metrics of a result", MAX_METRICS),
        ("classes of a data set", MAX_CLASSES),
        ("epochs of a task whose curves are kept", MAX_EPOCHS),
        ("curves of a program", curve::MAX_CURVES),
        ("kept files of a task", MAX_ARTIFACTS),
        ("labels of a worker", MAX_LABELS),
        ("jobs of a pool", PoolSettings::MOST_WORKERS as usize),
        ("priority of a sweep", usize::try_from(ScheduleSettings::HIGHEST).unwrap()),
        ("connections to a coordinator", Coordinator::MAX_CONNECTIONS),
        ("events that wait for a receiver", Notice::MOST),
        ("bytes of a message between programs", MAX_MESSAGE_BYTES),
    ];
    let known: BTreeMap<String, usize> = limits.map(|(what, most)| (what.to_owned(), most)).into();
    let number = |cell: &str| {
        let digits = cell.replace(',', "");
        digits.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    let told: BTreeMap<String, usize> = table("limits.md", "How much of everything")
        .into_iter()
        .map(|(what, most)| (what, number(&most)))
        .collect();
    assert_eq!(told, known, "docs/limits.md");
    let (_, tasks_of_a_sweep) = &table("limits.md", "How much of everything")[0];
    let usual = limit("default");
    assert!(tasks_of_a_sweep.replace(',', "").ends_with(&format!("more than {usual}")), "{tasks_of_a_sweep}");
}
