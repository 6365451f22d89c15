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

/// What a script prints about these files, line by line, and whether it finds nothing wrong.
fn checked(package: &str, script: &str, files: &[PathBuf]) -> Option<(bool, Vec<String>)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let output = Command::new(python(package)?).arg(script).args(files).output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    Some((output.status.success(), said.lines().map(str::to_owned).collect()))
}

fn recomputed(folders: &[PathBuf]) -> Option<(bool, Vec<String>)> {
    checked("scipy", "../python/recompute.py", folders)
}

fn fits_the_schema(folders: &[PathBuf]) -> Option<(bool, Vec<String>)> {
    let files: Vec<PathBuf> = folders.iter().map(|folder| folder.join("results.json")).collect();
    checked("jsonschema", "tests/check_schema.py", &files)
}

/// Asserts that all statistics of these reports can be recomputed, and that at least this number of values was.
fn agree(materials: &[Material], least: usize) {
    let reports: Vec<Written> = materials.iter().map(Written::new).collect();
    let folders: Vec<PathBuf> = reports.iter().map(|report| report.0.path().to_owned()).collect();
    if let Some((fits, said)) = fits_the_schema(&folders) {
        assert!(fits, "{said:#?}");
    }
    let Some((all, said)) = recomputed(&folders) else { return };
    assert!(all, "{said:#?}");
    for folder in folders {
        let start = format!("{}: ", folder.display());
        let values = said.iter().find_map(|line| line.strip_prefix(&start)?.split(' ').next()?.parse().ok());
        assert!(values >= Some(least), "{said:#?}");
    }
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
        let mut value = || (0.45 + 0.01 * index as f64 + noise(index) * draws.next()).max(0.01);
        result.metrics = result.metrics.keys().map(|name| (name.to_owned(), value())).collect();
    }
    material
}

#[test]
fn every_statistic_of_a_networks_sweep_can_be_recomputed() {
    let mut with_margins = noisy(5, |_| 0.01);
    with_margins.sweep.report.margin =
        [("accuracy".to_owned(), 0.03), ("loss".to_owned(), 0.2), ("f_score".to_owned(), 0.001)].into();
    let mut not_adjusted = with_margins.clone();
    not_adjusted.sweep.report.adjustment = Adjustment::None;
    let unequal = noisy(8, |index| 0.002 * (1 + index * index) as f64);
    let varying_baseline = noisy(7, |index| if index == 7 { 0.1 } else { 0.004 });
    let at_the_bounds = noisy(3, |_| 0.44);
    let reports = [with_margins, not_adjusted, unequal, varying_baseline, at_the_bounds];
    agree(&reports, 1000);
    agree(&[made_up::paper(), made_up::regression()], 1000);
    agree(&[noisy(1, |_| 0.01), noisy(2, |_| 0.01)], 100);
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
        result.metrics.insert("accuracy", correct as f64 / 120.0);
    }
    let failed = (ids[3], 4);
    material.outcomes.insert(failed, TaskOutcome::Failed(FailureReason::Crash));
    material.outcomes.remove(&(ids[7], 8));
    agree(&[material], 1000);
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
    let material = Material { sweep, outcomes, failures: Vec::new(), reference: None, provenance };
    agree(&[material], 300);
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
        let Some((fits, said)) = fits_the_schema(&[report.0.path().to_owned()]) else { return };
        assert!(!fits && said.iter().any(|line| line.contains(key)), "{pointer}: {said:#?}");
    }
}

#[test]
fn every_wrong_value_is_noticed() {
    let report = Written::new(&made_up::paper());
    let mut document: serde_json::Value = serde_json::from_str(&report.file("results.json")).unwrap();
    let mut expected = Vec::new();
    for (pointer, line) in [
        ("/configurations/2/metrics/loss/std", "audio=0.4 video=0.4 loss std: "),
        ("/configurations/3/comparisons/accuracy/adjusted_p", "audio=0.6 video=0.6 accuracy adjusted_p: "),
        ("/configurations/4/comparisons/loss/simultaneous_ci_low", "loss simultaneous_ci_low: "),
        ("/configurations/5/comparisons/loss/welch_p", "loss welch_p: "),
        ("/configurations/6/tasks/1/metrics/f_score", "f_score mean: "),
        ("/judged/accuracy/0/bartlett_p", "judged accuracy bartlett_p: "),
    ] {
        let value = document.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}"));
        *value = (value.as_f64().unwrap() * (1.0 + 1e-7)).into();
        expected.push(line);
    }
    std::fs::write(report.0.path().join("results.json"), document.to_string()).unwrap();
    let Some((all, said)) = recomputed(&[report.0.path().to_owned()]) else { return };
    assert!(!all, "{said:#?}");
    for part in expected {
        let noticed = said.iter().any(|line| line.contains(part) && line.contains("is recomputed"));
        assert!(noticed, "{part} {said:#?}");
    }
}
