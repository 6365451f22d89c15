//! Recomputes every exported statistic with scipy: nothing is exported that cannot be checked from the export.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use colearn_core::{
    failure::FailureReason,
    result::TaskResult,
    sweep::{Adjustment, Sweep},
    table::TaskOutcome,
};
use colearn_report::{Material, Provenance};

use crate::{Written, made_up};

/// The Python of `make .venv/stamp`, if it has this package.
fn python(package: &str) -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/python");
    let probe = Command::new(&python).args(["-c", &format!("import {package}")]).output();
    if probe.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    eprintln!("skipped: no {package} in .venv; `make .venv/stamp` installs it");
    None
}

/// What a script prints about files of a report, and whether it finds nothing wrong.
fn checked(package: &str, script: &str, folder: &Path, files: &[&str]) -> Option<(bool, String)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let files = files.iter().map(|name| folder.join(name));
    let output = Command::new(python(package)?).arg(script).args(files).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Some((output.status.success(), said))
}

fn recomputed(folder: &Path) -> Option<(bool, String)> {
    let files = ["results.json", "results.csv", "results-long.csv"];
    checked("scipy", "../python/recompute.py", folder, &files)
}

fn fits_the_schema(folder: &Path) -> Option<(bool, String)> {
    checked("jsonschema", "tests/check_schema.py", folder, &["results.json"])
}

fn agrees(what: &str, material: &Material, least: usize) {
    let report = Written::new(material);
    if let Some((fits, said)) = fits_the_schema(report.0.path()) {
        assert!(fits, "{what}: {said}");
    }
    let Some((all, said)) = recomputed(report.0.path()) else { return };
    assert!(all, "{what}: {said}");
    let values = said.split_whitespace().rev().nth(5).and_then(|word| word.parse::<usize>().ok());
    assert!(values >= Some(least), "{what}: {said}");
}

/// Results of the paper's sweep with this number of seeds, whose noise is a function of the configuration.
fn noisy(seeds: u64, noise: impl Fn(usize) -> f64) -> Material {
    let list: Vec<String> = (0..seeds).map(|seed| seed.to_string()).collect();
    let source = made_up::SWEEP.replace("[0, 1, 2, 3, 4]", &format!("[{}]", list.join(", ")));
    let mut material = made_up::material(&source, |_| 0.45);
    let ids: Vec<_> = material.sweep.configurations.iter().map(|it| it.id).collect();
    for ((id, seed), outcome) in &mut material.outcomes {
        let TaskOutcome::Done(result) = outcome else { continue };
        let index = ids.iter().position(|it| it == id).unwrap();
        let mut draws = made_up::Draws::new(1000 * seed + index as u64);
        for value in result.metrics.values_mut() {
            *value = (0.45 + 0.01 * index as f64 + noise(index) * draws.next()).max(0.01);
        }
    }
    material
}

#[test]
fn every_statistic_of_a_networks_sweep_can_be_recomputed() {
    agrees("the paper's table", &made_up::paper(), 1000);
    agrees("subsets", &made_up::regression(), 1000);
    let mut material = noisy(5, |_| 0.01);
    material.sweep.report.margin =
        [("accuracy".to_owned(), 0.03), ("loss".to_owned(), 0.2), ("f_score".to_owned(), 0.001)].into();
    agrees("equal variances and margins", &material, 1000);
    material.sweep.report.adjustment = Adjustment::None;
    agrees("without adjustment", &material, 1000);
    agrees("unequal variances", &noisy(8, |index| 0.002 * (1 + index * index) as f64), 1000);
    agrees("a baseline that varies", &noisy(7, |index| if index == 7 { 0.1 } else { 0.004 }), 1000);
    agrees("wide intervals at the bounds", &noisy(3, |_| 0.44), 1000);
    agrees("one seed", &noisy(1, |_| 0.01), 100);
    agrees("two seeds", &noisy(2, |_| 0.01), 100);
}

#[test]
fn ties_and_collapsed_configurations_can_be_recomputed() {
    let mut material = noisy(9, |_| 0.02);
    let ids: Vec<_> = material.sweep.configurations.iter().map(|it| it.id).collect();
    for ((id, seed), outcome) in &mut material.outcomes {
        let TaskOutcome::Done(result) = outcome else { continue };
        let index = ids.iter().position(|it| it == id).unwrap();
        // Shares of a test set of 120 samples, of which differences are multiples; one configuration always predicts
        // the same, another one is the baseline.
        let correct = match index {
            0 => 30,
            1 => 50 + seed % 4,
            7 => 50 + seed % 4,
            _ => 50 + (seed * 7 + index as u64 * 3) % 5,
        };
        result.metrics.insert("accuracy".to_owned(), correct as f64 / 120.0);
    }
    let failed = (ids[3], 4);
    material.outcomes.insert(failed, TaskOutcome::Failed(FailureReason::Crash));
    material.outcomes.remove(&(ids[7], 8));
    agrees("ties", &material, 1000);
}

#[test]
fn programs_replicates_and_several_baselines_can_be_recomputed() {
    const SOURCE: &str = "\
name: folds
program: {command: [train, \"${args}\"]}
parameters: {lr: [1, 2, 3], size: [8, 16], fold: [0, 1, 2]}
seeds: [0, 1, 2]
report: {metrics: [score, error], baseline: {lr: 1}, replicates: [fold]}
";
    let sweep = Sweep::parse_in(SOURCE, "x.yaml", "/home/me").unwrap().sweep;
    let mut outcomes = std::collections::HashMap::new();
    for (index, configuration) in sweep.configurations.iter().enumerate() {
        for seed in &sweep.seeds {
            let mut draws = made_up::Draws::new(31 * seed + 1009 * index as u64);
            let score = 100.0 + draws.next() + (index / 6) as f64 * 0.4;
            let metrics = [("score".to_owned(), score), ("error".to_owned(), 1e4 / score)].into();
            let result = TaskResult { metrics, ..TaskResult::default() };
            outcomes.insert((configuration.id, *seed), TaskOutcome::Done(result));
        }
    }
    let provenance = Provenance { version: "0.1.0".to_owned(), ..Provenance::default() };
    agrees("folds", &Material { sweep, outcomes, failures: Vec::new(), reference: None, provenance }, 300);
}

#[test]
fn a_key_that_nothing_describes_is_noticed() {
    let report = Written::new(&made_up::paper());
    let document: serde_json::Value = serde_json::from_str(&report.file("results.json")).unwrap();
    for (pointer, key) in
        [("", "extra"), ("/configurations/0", "extra"), ("/configurations/0/tasks/0", "seed")]
    {
        let mut wrong = document.clone();
        let place = wrong.pointer_mut(pointer).and_then(|place| place.as_object_mut()).unwrap();
        if place.remove(key).is_none() {
            place.insert(key.to_owned(), 1.into());
        }
        std::fs::write(report.0.path().join("results.json"), wrong.to_string()).unwrap();
        let Some((fits, said)) = fits_the_schema(report.0.path()) else { return };
        assert!(!fits && said.contains(key), "{pointer}: {said}");
    }
}

#[test]
fn a_wrong_statistic_is_noticed() {
    let report = Written::new(&made_up::paper());
    let path = report.0.path().join("results.json");
    let text = report.file("results.json");
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    for pointer in [
        "/configurations/2/metrics/loss/std",
        "/configurations/2/comparisons/accuracy/adjusted_p",
        "/configurations/2/comparisons/accuracy/simultaneous_ci_low",
        "/configurations/2/comparisons/accuracy/welch_p",
        "/configurations/2/tasks/1/metrics/f_score",
        "/judged/accuracy/0/bartlett_p",
    ] {
        let mut wrong = document.clone();
        let value = wrong.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}"));
        *value = (value.as_f64().unwrap() * (1.0 + 1e-7)).into();
        std::fs::write(&path, wrong.to_string()).unwrap();
        let Some((all, said)) = recomputed(report.0.path()) else { return };
        assert!(!all && said.contains("is recomputed"), "{pointer}: {said}");
    }
}
