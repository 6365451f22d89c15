//! Results as files: every value of every task, from real sweeps.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::lab::{Lab, SWEEP, text};

/// Its score is a function of its arguments; one task fails. Each has curves.
const PROGRAM: &str = r#"name: small
program:
  command: [sh, -c, '[ "$X$SEED" = 34 ] && { echo no luck >&2; exit 3; }; for e in 1 2; do echo "{\"epoch\": $e, \"loss\": $((e * X + SEED))}" >> $COLEARN_METRICS; done; echo "{\"result\": {\"score\": 0.$(((X * 7919 + SEED * 104729) % 1000)), \"=1+1\": $SEED}}" >> $COLEARN_METRICS']
  environment: {X: "${param.x}", SEED: "${seed}"}
parameters: {x: [1, 2, 3]}
seeds: {count: 7}
report: {metrics: [score], baseline: {x: 1}, margin: {score: 0.2}}
retries: {initial_backoff: 100ms, max_attempts: 1}
"#;

/// The Python of `make .venv/stamp`, if it has scipy.
fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/python");
    let probe = Command::new(&python).args(["-c", "import scipy"]).output();
    if probe.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    eprintln!("skipped: no scipy in .venv; `make .venv/stamp` installs it");
    None
}

fn results(lab: &Lab, arguments: &[&str]) -> Output {
    let output = lab.colearn(&[&["results", "small"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    output
}

/// Writes all files, recomputes every statistic, and reads them with the library.
fn recompute(lab: &Lab) {
    for (file, arguments) in [
        ("results.json", &["--format", "json"][..]),
        ("results.csv", &["--format", "csv"]),
        ("results-long.csv", &["--per-seed", "--format", "csv"]),
        ("long.json", &["--per-seed", "--format", "json"]),
        ("history.csv", &["--history", "--format", "csv"]),
        ("history.json", &["--history", "--format", "json"]),
    ] {
        let output = results(lab, &[arguments, &["--out", file]].concat());
        assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
        assert_eq!(fs::read(lab.path().join(file)).unwrap(), results(lab, arguments).stdout, "{file}");
    }
    let Some(python) = python() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python");
    let run = |arguments: &[&str]| {
        let output =
            Command::new(&python).args(arguments).current_dir(lab.path()).env("PYTHONPATH", &folder).output();
        let output = output.unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
    };
    run(&[folder.join("recompute.py").to_str().unwrap(), "."]);
    run(&["-c", READ]);
}

/// The library finds the same in every format.
const READ: &str = "
import colearn_results as c
same = lambda left, right: [list(row.items()) for row in left] == [list(row.items()) for row in right]
assert c.results_rows('results.json') == c.results_rows('results.csv')
rows = c.long_rows('results-long.csv')
assert len(rows) > 9 and same(rows, c.long_rows('long.json')) and same(rows, c.long_rows('results.json'))
epochs = c.long_rows('history.csv')
assert len(epochs) > 9 and same(epochs, c.long_rows('history.json'))
assert same(epochs, c.long_rows('results.json', history=True))
";

#[test]
fn every_value_of_a_programs_sweep_is_exported_and_failed_tasks_too() {
    let lab = Lab::new();
    lab.write("small.yaml", PROGRAM);
    let output = lab.colearn(&["run", "small.yaml"]);
    assert_eq!(output.status.code(), Some(9), "{}\n{}", text(&output.stderr), lab.logs());
    recompute(&lab);

    let long = text(&results(&lab, &["--per-seed", "--format", "csv"]).stdout);
    let lines: Vec<&str> = long.lines().collect();
    assert_eq!(lines[0], "configuration,name,x,seed,metric,split,modalities,value,status,reason");
    assert_eq!(lines.len(), 1 + 20 * 2 + 1, "{long}");
    assert_eq!(lines.iter().filter(|line| line.contains(",'=1+1,")).count(), 20, "{long}");
    let failed: Vec<&&str> = lines.iter().filter(|line| line.ends_with(",failed,crash")).collect();
    assert!(failed.len() == 1 && failed[0].contains(",3,4,,,,,"), "{failed:?}");

    let table = text(&results(&lab, &["--per-seed"]).stdout);
    assert!(table.contains("name  seed  metric  value  status  reason"), "{table}");
    let markdown = text(&results(&lab, &["--history", "--format", "markdown"]).stdout);
    assert!(markdown.starts_with("| name | seed | epoch | curve | value |\n| --- |"), "{markdown}");
    assert_eq!(markdown.lines().count(), 2 + 20 * 2);

    let document = lab.json(&["results", "small", "--format", "json"]);
    let tasks = document["configurations"][2]["tasks"].as_array().unwrap();
    assert_eq!((tasks[4]["status"].as_str(), &tasks[4]["metrics"]), (Some("failed"), &Value::Null));
    assert!(tasks[4]["message"].as_str().unwrap().contains("no luck"), "{}", tasks[4]);
    assert_eq!((&tasks[0]["attempt"], &tasks[0]["history"][1]["loss"]), (&1.into(), &6.0.into()));
    assert!(tasks[0]["recorded_at"].as_str().unwrap().ends_with('Z'), "{}", tasks[0]);
    assert!(!tasks[0]["worker"].as_str().unwrap().is_empty());
    let environment = &tasks[0]["environment"];
    assert!(environment["os"].is_string() && environment["libtorch"].is_null(), "{environment}");
}

#[test]
fn every_value_of_a_networks_sweep_is_exported_with_what_it_was_computed_with() {
    let lab = Lab::new();
    let sweep = SWEEP.replace("epochs: 6", "epochs: 2").replace("seeds: [0, 1]", "seeds: [0, 1, 2]");
    lab.write(
        "small.yaml",
        &(sweep
            + "evaluate: [[language, audio]]\nreport: {metrics: [accuracy], baseline: {unimodal: true}}\n"),
    );
    let output = lab.colearn(&["run", "small.yaml", "--slots", "1", "--threads", "1", "--device", "cpu"]);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    recompute(&lab);

    let document = lab.json(&["results", "small", "--format", "json"]);
    let row = &document["configurations"][0];
    let task = &row["tasks"][2];
    let matrix = task["confusion"].as_array().unwrap();
    assert_eq!(matrix.len(), task["classes"].as_array().unwrap().len());
    assert_eq!(task["history"].as_array().unwrap().len(), 2);
    assert_eq!(task["weights_digest"].as_str().unwrap().len(), 64);
    assert_eq!(row["compared_with"], document["configurations"][2]["id"]);
    let environment = &task["environment"];
    assert_eq!((&environment["threads"], &environment["libtorch"]), (&"1".into(), &"2.11.0".into()));
    let long = text(&results(&lab, &["--per-seed", "--format", "csv"]).stdout);
    let mut accuracies = long.lines().filter(|line| line.contains(",2,accuracy,test,"));
    assert!(accuracies.any(|line| line.contains(",audio+language,") || line.contains(",language+audio,")));

    let report = lab.colearn(&["report", "small"]);
    assert!(report.status.success(), "{}", text(&report.stderr));
    let page = fs::read_to_string(lab.path().join("reports/small/index.html")).unwrap();
    assert!(page.contains("<dt>computed with</dt>") && page.contains("libtorch 2.11.0"), "{page}");
    let of_report = |name| fs::read_to_string(lab.path().join("reports/small").join(name)).unwrap();
    assert_eq!(of_report("results-long.csv"), long);
    let history = text(&results(&lab, &["--history", "--format", "csv"]).stdout);
    assert_eq!(of_report("history-long.csv"), history);
}

#[test]
fn parquet_is_refused_where_it_cannot_be_written() {
    let lab = Lab::new();
    lab.write("small.yaml", PROGRAM);
    let output = lab.colearn(&["run", "small.yaml", "--format", "parquet"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--format parquet --out FILE"), "{}", text(&output.stderr));
    assert!(!lab.path().join(".colearn").exists(), "nothing was run");
    if cfg!(not(feature = "parquet")) {
        let output = lab.colearn(&["results", "small", "--format", "parquet", "--out", "x.parquet"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("--features parquet"), "{}", text(&output.stderr));
        assert!(!lab.path().join("x.parquet").exists());
    }
    let output = lab.colearn(&["results", "small", "--per-seed", "--history"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    // A mistake leaves a file of an earlier call as it is.
    lab.write("kept.csv", "mine");
    let output = lab.colearn(&["results", "small", "--format", "csv", "--out", "kept.csv"]);
    assert!(!output.status.success());
    assert_eq!(fs::read_to_string(lab.path().join("kept.csv")).unwrap(), "mine");
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_is_written_to_a_file_or_a_pipe_but_not_to_a_terminal() {
    let lab = Lab::new();
    lab.write("small.yaml", PROGRAM);
    lab.colearn(&["run", "small.yaml"]);
    for records in [&[][..], &["--per-seed"], &["--history"]] {
        let piped = results(&lab, &[records, &["--format", "parquet"]].concat()).stdout;
        assert!(piped.starts_with(b"PAR1") && piped.ends_with(b"PAR1"));
        results(&lab, &[records, &["--format", "parquet", "--out", "x.parquet"]].concat());
        assert_eq!(fs::read(lab.path().join("x.parquet")).unwrap(), piped);
    }
    let terminal = nix::pty::openpty(None, None).unwrap();
    let output = lab
        .colearn_command(&["results", "small", "--format", "parquet"])
        .stdout(terminal.slave)
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--out FILE"), "{}", text(&output.stderr));
}
