//! Sweeps that run programs of users, with the real programs.

use std::{fs, path::Path};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::lab::{Lab, Running, largest_difference, text};

/// A program that is a function of its arguments, keeps its state after every epoch, and goes on from it.
const TRAIN: &str = r#"#!/bin/sh
for argument; do
  case $argument in
    --x=*) x=${argument#*=} ;;
    --seed=*) seed=${argument#*=} ;;
  esac
done
state="$COLEARN_CHECKPOINT_DIR/state"
epoch=0 sum=0
[ -f "$state" ] && read -r epoch sum < "$state"
while [ "$epoch" -lt 30 ]; do
  sleep 0.02
  epoch=$((epoch + 1)) sum=$(((sum * 31 + x * seed + epoch) % 1000))
  echo "$epoch $sum" > "$state.new" && mv "$state.new" "$state"
  echo "{\"epoch\": $epoch, \"loss\": $sum}" >> "$COLEARN_METRICS"
done
echo "{\"result\": {\"score\": $sum}}" >> "$COLEARN_METRICS"
"#;

const SWEEP: &str = r#"name: small
program: {command: [sh, train.sh, "${args}"]}
parameters: {x: [1, 2, 3, 4]}
seeds: {count: 5}
report: {metrics: [score], baseline: {x: 1}}
retries: {initial_backoff: 100ms, max_attempts: 9}
"#;

/// Its score is 10 fold + seed + x (1 + fold). It fails with x = 1 on one fold and seed.
const FOLDS: &str = r#"name: small
program:
  command: [sh, -c, '[ "$X$FOLD$SEED" = 121 ] && exit 3; echo score=$((10 * FOLD + SEED + X * (1 + FOLD)))']
  environment: {X: "${param.x}", FOLD: "${param.fold}", SEED: "${seed}"}
  result: 'score=(?P<score>[0-9]+)'
parameters: {x: [0, 1], fold: [0, 1, 2]}
seeds: {count: 2}
report: {metrics: [score], baseline: {x: 0}, replicates: [fold]}
retries: {initial_backoff: 100ms, max_attempts: 1}
"#;

fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("train.sh", TRAIN);
    lab.write("small.yaml", SWEEP);
    lab
}

fn run(lab: &Lab, arguments: &[&str]) -> std::process::Output {
    lab.colearn(&[&["run", "small.yaml"], arguments].concat())
}

fn results(lab: &Lab, arguments: &[&str]) -> Value {
    lab.json(&[&["results", "small", "--format", "json"], arguments].concat())
}

/// Processes whose command names this folder's script, by their ids.
fn programs(folder: &Path) -> Vec<Pid> {
    let is_ours = |pid: &i32| {
        let named = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let here = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder);
        here && String::from_utf8_lossy(&named).contains("train.sh")
    };
    let all =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    all.filter(is_ours).map(Pid::from_raw).collect()
}

fn programs_worker(lab: &Lab, url: &str, name: &str) -> Running {
    let options = ["--programs-only", "--slots", "1", "--checkpoints", "shared"];
    lab.start_worker(url, name, &options, &[])
}

#[test]
fn a_table_of_a_program_that_knows_nothing_of_colearn() {
    let lab = Lab::new();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sweeps/pi.yaml");
    fs::copy(shipped, lab.path().join("pi.yaml")).unwrap();
    fs::remove_dir_all(lab.path().join("data")).unwrap();
    let output = lab.colearn(&["run", "pi.yaml"]);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    let table = text(&output.stdout);
    assert!(table.contains("points  n") && table.contains("vs baseline"), "{table}");
    let results = lab.json(&["results", "pi", "--format", "json"]);
    let rows = results["configurations"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["n"].as_u64().unwrap()).collect::<Vec<_>>(), [5, 5, 5]);
    assert!(rows[2]["metrics"]["error"]["mean"].as_f64().unwrap() < 0.01, "{results}");
}

#[test]
fn folds_of_a_program_are_replicates_and_a_failed_one_is_named() {
    let lab = Lab::new();
    lab.write("small.yaml", FOLDS);
    let output = run(&lab, &[]);
    assert_eq!(output.status.code(), Some(9), "{}\n{}", text(&output.stderr), lab.logs());
    let results = results(&lab, &[]);
    let rows = results["configurations"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{results}");
    assert_eq!((&rows[0]["n"], &rows[1]["n"]), (&6.into(), &5.into()));
    assert_eq!(rows[1]["failed_seeds"], serde_json::json!({"fold=2 seed=1": "crash"}));
    // The pair of the failed replicate is left out: 1 + fold for the folds 0, 0, 1, 1, 2.
    let compared = &rows[1]["comparisons"]["score"];
    assert_eq!(compared["pairs"], 5);
    assert!((compared["mean_difference"].as_f64().unwrap() - 1.8).abs() < 1e-9, "{results}");
    let csv = text(&lab.colearn(&["results", "small", "--format", "csv"]).stdout);
    assert!(csv.starts_with("id,name,x,baseline,n,expected,state,"), "{csv}");
}

#[test]
fn a_program_without_the_metric_that_is_named_does_not_train_the_whole_sweep() {
    let lab = Lab::new();
    let sweep = "name: small\n\
                 program: {command: [sh, -c, 'echo score=$X'], environment: {X: '${param.x}'}, \
                 result: 'score=(?P<score>[0-9]+)'}\n\
                 parameters: {x: [1, 2, 3, 4, 5, 6, 7, 8]}\nseeds: {count: 1}\n\
                 report: {metrics: [score]}\n";
    // The pattern cannot match, as that of a misspelt word.
    lab.write("small.yaml", &sweep.replace("echo score", "echo scores"));
    let output = run(&lab, &["--slots", "2"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(9), "{said}\n{}", lab.logs());
    assert_eq!(
        said.matches("small: stopped, no other task begins: no task of the program has a result").count(),
        1,
        "{said}"
    );
    let status = lab.json(&["status", "small", "--json"]);
    assert!(status["stopped"].as_str().unwrap().contains("`score`"), "{status}");
    let of = |state: &str| status["tasks"][state].as_u64().unwrap();
    assert_eq!(of("failed") + of("cancelled"), 8, "{status}");
    assert!((2..=4).contains(&of("failed")), "{status}");
    assert!(
        text(&lab.colearn(&["status", "small"]).stdout)
            .contains("after the cause is fixed: colearn retry small\n")
    );
    // The mistake is in the program's command: with the right one it is another sweep.
    lab.write("small.yaml", sweep);
    let output = run(&lab, &["--slots", "2", "--replace"]);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    assert_eq!(lab.json(&["status", "small", "--json"])["stopped"], Value::Null);
}

#[test]
fn a_sweep_stops_after_as_many_failures_as_its_file_says_and_a_retry_goes_on() {
    let lab = Lab::new();
    lab.write(
        "small.yaml",
        "name: small\n\
         program: {command: [sh, -c, '[ -e mended ] || [ $X = 1 ] || exit 3; echo score=$X'], \
         environment: {X: '${param.x}'}, result: 'score=(?P<score>[0-9]+)'}\n\
         parameters: {x: [1, 2, 3, 4, 5, 6]}\nseeds: {count: 1}\n\
         report: {metrics: [score]}\n\
         retries: {max_attempts: 1}\n\
         stop_after_failures: 2\n",
    );
    let plan = text(&lab.colearn(&["plan", "small.yaml"]).stdout);
    assert!(plan.contains("stops after 2 failed tasks"), "{plan}");
    let output = run(&lab, &["--slots", "1"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(9), "{said}\n{}", lab.logs());
    assert!(said.contains("2 tasks failed (`stop_after_failures`)"), "{said}");
    let status = lab.json(&["status", "small", "--json"]);
    let of = |state: &str| status["tasks"][state].as_u64().unwrap();
    assert_eq!((of("done"), of("failed"), of("cancelled")), (1, 2, 3), "{status}");
    lab.write("mended", "");
    assert!(lab.colearn(&["retry", "small"]).status.success());
    let output = run(&lab, &[]);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    assert_eq!(lab.json(&["status", "small", "--json"])["tasks"]["done"], 6);
}

#[test]
fn the_shipped_script_reports_curves_and_results() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin");
    let probe = std::process::Command::new(python.join("python3")).args(["-c", "import sklearn"]).status();
    if !probe.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no scikit-learn in .venv; `make .venv/stamp` installs it");
        return;
    }
    let lab = Lab::new();
    for name in ["digits.py", "digits.yaml"] {
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../sweeps").join(name), lab.path().join(name))
            .unwrap();
    }
    let small = fs::read_to_string(lab.path().join("digits.yaml")).unwrap();
    let small = small.replace("hidden: [8, 32]", "hidden: [8]").replace("noise: [0, 0.2, 0.5]", "noise: [0]");
    lab.write("digits.yaml", &small.replace("count: 5", "count: 2"));
    let path = format!("{}:{}", python.display(), std::env::var("PATH").unwrap());
    let output = lab.colearn_in(&["run", "digits.yaml"], &[("PATH", path)]);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    let report = lab.colearn(&["report", "digits", "--out", "report"]);
    assert!(report.status.success(), "{}", text(&report.stderr));
    let page = fs::read_to_string(lab.path().join("report/index.html")).unwrap();
    assert!(page.contains("Learning curves"));
    let curves = fs::read_to_string(lab.path().join("report/curves.csv")).unwrap();
    assert!(curves.contains("test_loss") && curves.lines().count() > 20, "{curves}");
}

#[test]
fn whatever_is_killed_the_results_are_the_same() {
    let lab = lab();
    let undisturbed = run(&lab, &["--state", "undisturbed", "--format", "json"]);
    assert!(undisturbed.status.success(), "{}\n{}", text(&undisturbed.stderr), lab.logs());
    let undisturbed: Value = serde_json::from_slice(&undisturbed.stdout).unwrap();

    let (mut coordinator, url) = lab.coordinator_on("127.0.0.1:0", "state", 2).unwrap();
    let address = url.trim_start_matches("http://").to_owned();
    let target = ["--coordinator", url.as_str()];
    let mut workers = [programs_worker(&lab, &url, "one"), programs_worker(&lab, &url, "two")];
    let submitted = lab.colearn(&[&["submit", "small.yaml"], &target[..]].concat());
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let done = |status: &Value| status["tasks"]["done"].as_u64().unwrap();
    for round in 0..6_u64 {
        lab.wait_until(&target, |status| done(status) > 2 * round && status["tasks"]["running"] != 0);
        match round % 3 {
            0 => {
                lab.wait_for("a program", || !programs(lab.path()).is_empty());
                for program in programs(lab.path()) {
                    // It may have ended in the meantime.
                    let _ = kill(program, Signal::SIGKILL);
                }
            }
            1 => {
                let which = usize::try_from(round / 3).unwrap();
                let name = ["one", "two"][which];
                let killed = std::mem::replace(&mut workers[which], programs_worker(&lab, &url, name));
                killed.kill();
            }
            _ => {
                coordinator.kill();
                coordinator = lab.coordinator_on(&address, "state", 2).unwrap().0;
            }
        }
    }
    lab.wait_until(&target, |status| status["state"] == "complete");
    let disturbed = results(&lab, &target);
    assert_eq!(largest_difference(&disturbed["configurations"], &undisturbed["configurations"]), 0.0);
    for worker in workers {
        worker.kill();
    }
    lab.wait_for("the end of all programs", || programs(lab.path()).is_empty());
    drop(coordinator);
}

#[test]
fn a_killed_worker_leaves_no_process_behind() {
    let lab = lab();
    // The program leaves the session, and its child another one.
    lab.write("train.sh", "setsid sh -c 'setsid sh -c \"exec sleep 1000 # train.sh\" & exec sleep 1000 # train.sh' & exec sleep 1000 # train.sh\n");
    let command = r#"command: [sh, -c, "setsid sleep 1111 & (setsid sleep 1111 &) ; sleep 1111 # train.sh"]"#;
    lab.write("small.yaml", &SWEEP.replace(r#"command: [sh, train.sh, "${args}"]"#, command));
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let worker = programs_worker(&lab, &url, "one");
    let submitted = lab.colearn(&["submit", "small.yaml", "--coordinator", &url]);
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let sleeping = || {
        let all = fs::read_dir("/proc").unwrap();
        let all = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
        all.filter(|pid| {
            let named = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let here = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == lab.path());
            here && named.starts_with(b"sleep\x001111")
        })
        .count()
    };
    lab.wait_for("the program and its children", || sleeping() == 3);
    worker.kill();
    lab.wait_for("the end of all of them", || sleeping() == 0);
}

#[test]
fn a_cancelled_program_ends_within_seconds_though_it_ignores_signals() {
    let lab = lab();
    lab.write("train.sh", "trap '' TERM INT HUP\nwhile :; do sleep 0.1; done\n");
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let _worker = programs_worker(&lab, &url, "one");
    let target = ["--coordinator", url.as_str()];
    assert!(lab.colearn(&[&["submit", "small.yaml"], &target[..]].concat()).status.success());
    lab.wait_for("a program", || !programs(lab.path()).is_empty());
    let cancelled = lab.colearn(&[&["cancel", "small"], &target[..]].concat());
    assert!(cancelled.status.success(), "{}", text(&cancelled.stderr));
    let begun = std::time::Instant::now();
    lab.wait_for("its end", || programs(lab.path()).is_empty());
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

#[test]
fn tasks_wait_for_a_worker_that_runs_programs() {
    let lab = lab();
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let _without = lab.worker(&url, "one");
    let target = ["--coordinator", url.as_str()];
    let has_worker =
        || lab.json(&[&["workers", "--json"], &target[..]].concat())["workers"].as_array().unwrap().len();
    lab.wait_for("the worker", || has_worker() == 1);
    let submitted = lab.colearn(&[&["submit", "small.yaml"], &target[..]].concat());
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let status = lab.colearn(&[&["status", "small"], &target[..]].concat());
    assert!(text(&status.stdout).contains("--allow-programs"), "{}", text(&status.stdout));
    let options = ["--allow-programs", "--slots", "1", "--device", "cpu"];
    let _with = lab.start_worker(&url, "two", &options, &[]);
    lab.wait_until(&target, |status| status["state"] == "complete");
    let tasks = lab.json(&[&["tasks", "small", "--json"], &target[..]].concat());
    let log = fs::read_to_string(lab.path().join("one.log")).unwrap();
    assert!(!log.contains("train.sh") && !log.contains("trains 1/"), "{log}");
    assert_eq!(tasks["tasks"].as_array().unwrap().len(), 20);
}

#[test]
fn a_changed_program_is_refused_unless_it_is_told() {
    let lab = lab();
    let short = SWEEP.replace("x: [1, 2, 3, 4]", "x: [1]").replace("count: 5", "count: 2");
    lab.write("small.yaml", &short);
    assert!(run(&lab, &[]).status.success(), "{}", lab.logs());
    lab.write("small.yaml", &short.replace("count: 2", "count: 3"));
    let extended = lab.colearn(&["extend", "small", "small.yaml"]);
    assert!(extended.status.success(), "{}", text(&extended.stderr));
    lab.write("train.sh", &TRAIN.replace("sum * 31", "sum * 37"));
    let refused = run(&lab, &[]);
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused.stderr));
    let told = text(&refused.stderr);
    for part in ["the program has changed", "train.sh", "--changed-program", "--name small-2", "--replace"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let went_on = run(&lab, &["--changed-program"]);
    assert!(went_on.status.success(), "{}\n{}", text(&went_on.stderr), lab.logs());
    let results = results(&lab, &[]);
    assert_eq!(results["configurations"][0]["n"], 3);
    let digests = results["data_digests"].as_object().unwrap().values().next().unwrap();
    assert_eq!(digests.as_array().unwrap().len(), 2, "both versions are named: {results}");
    // The version that it went on with counts now.
    assert!(run(&lab, &[]).status.success());
    // A sweep that has ended has nothing to go on with: it stays one of the program that it was made with.
    lab.write("train.sh", &TRAIN.replace("sum * 31", "sum * 41"));
    assert!(run(&lab, &["--changed-program"]).status.success());
    assert_eq!(run(&lab, &[]).status.code(), Some(4));
    let replaced = {
        lab.write("train.sh", TRAIN);
        run(&lab, &["--replace", "--format", "json"])
    };
    assert!(replaced.status.success(), "{}", text(&replaced.stderr));
    let replaced: Value = serde_json::from_slice(&replaced.stdout).unwrap();
    let digests = replaced["data_digests"].as_object().unwrap().values().next().unwrap();
    assert_eq!(digests.as_array().unwrap().len(), 1, "{replaced}");
}

#[test]
fn the_last_lines_of_each_program_are_in_the_log_of_its_task() {
    let lab = lab();
    let four = SWEEP.replace("x: [1, 2, 3, 4]", "x: [1, 2]").replace("count: 5", "count: 2");
    lab.write("small.yaml", &four.replace("max_attempts: 9", "max_attempts: 1"));
    lab.write("train.sh", "seq 1 3000; echo what matters >&2; exit 3");
    assert_eq!(run(&lab, &[]).status.code(), Some(9));
    let tasks = lab.json(&["tasks", "small", "--json"]);
    for task in tasks["tasks"].as_array().unwrap() {
        let name = format!("small/{}/{}", task["configuration"].as_str().unwrap(), task["seed"]);
        let log = text(&lab.colearn(&["logs", &name]).stdout);
        assert_eq!(task["state"], "failed", "{task}");
        // Among the lines of its program, and in the word of the worker that it failed.
        assert!(log.lines().any(|line| line.ends_with("trainer  what matters")), "{name}: {log}");
    }
    assert_eq!(tasks["tasks"].as_array().unwrap().len(), 4);
}

#[test]
fn a_program_that_fails_is_told_of() {
    let lab = lab();
    let one = SWEEP.replace("x: [1, 2, 3, 4]", "x: [1]").replace("count: 5", "count: 1");
    lab.write("small.yaml", &one.replace("max_attempts: 9", "max_attempts: 2"));
    for (script, part) in [
        ("exit 0", "score"),
        ("echo '{\"result\": {\"accuracy\": 1}}' >> \"$COLEARN_METRICS\"", "accuracy"),
        ("echo '{\"result\": {\"score\": NaN}}' >> \"$COLEARN_METRICS\"", "diverged"),
        ("echo no such gradient >&2; exit 3", "no such gradient"),
    ] {
        lab.write("train.sh", script);
        let output = run(&lab, &["--state", &format!("state-{}", script.len())]);
        assert_eq!(output.status.code(), Some(9), "{script}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(part), "{script}: {}", text(&output.stderr));
    }
    fs::remove_file(lab.path().join("train.sh")).unwrap();
    let output = run(&lab, &["--state", "missing"]);
    // `sh` does not find the script: the files of the command that exist are only a default.
    assert_eq!(output.status.code(), Some(9), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("train.sh"), "{}", text(&output.stderr));
}
