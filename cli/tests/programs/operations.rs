//! Operations on sweeps and workers with the real programs, over gRPC and on a state folder.

use serde_json::Value;

use crate::lab::{Lab, SWEEP, largest_difference, text};

/// Two runs of the same tasks on the same machine may differ only by float rounding.
const ROUNDING: f64 = 1e-4;

/// The sweep with one more seed and one more level.
fn larger() -> String {
    SWEEP.replace("seeds: [0, 1]", "seeds: [0, 1, 2]").replace("[0, 0.9]", "[0, 0.5, 0.9]")
}

/// The sweep under another name, with a learning rate at which every training diverges.
fn diverging() -> String {
    SWEEP.replace("name: small", "name: bad").replace("0.003", "1e30")
}

fn said(lab: &Lab, arguments: &[&str]) -> String {
    let output = lab.colearn(arguments);
    assert!(output.status.success(), "colearn {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn refused(lab: &Lab, arguments: &[&str], code: i32) -> String {
    let output = lab.colearn(arguments);
    assert_eq!(output.status.code(), Some(code), "colearn {arguments:?}: {}", text(&output.stderr));
    text(&output.stderr)
}

fn with<'a>(arguments: &[&'a str], target: &[&'a str]) -> Vec<&'a str> {
    arguments.iter().chain(target).copied().collect()
}

/// Number of seeds with a result, for each configuration.
fn n_of(lab: &Lab, target: &[&str]) -> Vec<u64> {
    let results = lab.json(&with(&["results", "small", "--format", "json"], target));
    let configurations = results["configurations"].as_array().unwrap();
    configurations.iter().map(|configuration| configuration["n"].as_u64().unwrap()).collect()
}

fn states(lab: &Lab, name: &str, target: &[&str]) -> Vec<String> {
    let tasks = lab.json(&with(&["tasks", name, "--json"], target));
    let tasks = tasks["tasks"].as_array().unwrap();
    tasks.iter().map(|task| task["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_sweep_on_a_state_folder_is_extended_retried_and_removed() {
    let lab = Lab::new();
    let run = |file| {
        let arguments =
            ["run", file, "--state", "state", "--slots", "1", "--threads", "1", "--device", "cpu"];
        lab.colearn(&arguments)
    };
    let target = ["--state", "state"];
    assert!(run("small.yaml").status.success(), "{}", lab.logs());
    let first = lab.json(&with(&["results", "small", "--format", "json"], &target));

    lab.write("changed.yaml", &SWEEP.replace("epochs: 6", "epochs: 7"));
    let diff = refused(&lab, &with(&["extend", "small", "changed.yaml"], &target), 3);
    assert!(diff.contains("- training.epochs: 6\n    + training.epochs: 7"), "{diff}");
    lab.write("fewer.yaml", &SWEEP.replace("[0, 1]", "[1]"));
    let gone = refused(&lab, &with(&["extend", "small", "fewer.yaml"], &target), 3);
    assert!(gone.contains("no longer has the seed 0"), "{gone}");

    lab.write("larger.yaml", &larger());
    let added = said(&lab, &with(&["extend", "small", "larger.yaml"], &target));
    assert!(added.contains("6 tasks added; now 4 configurations and 3 seeds, 12 tasks, 6 done"), "{added}");
    assert!(added.contains("colearn run larger.yaml --state state"), "{added}");
    assert_eq!(n_of(&lab, &target), [2, 2, 2, 0], "what is done is kept");
    assert!(run("larger.yaml").status.success(), "{}", lab.logs());
    assert_eq!(n_of(&lab, &target), [3, 3, 3, 3]);
    let tasks = lab.json(&with(&["tasks", "small", "--json"], &target));
    let attempts = tasks["tasks"].as_array().unwrap().iter().map(|task| task["attempts"].as_u64().unwrap());
    assert!(attempts.eq([1; 12]), "nothing was trained twice");
    let second = lab.json(&with(&["results", "small", "--format", "json"], &target));
    assert_ne!(first["configurations"][0]["metrics"], second["configurations"][0]["metrics"]);

    let compared = said(&lab, &with(&["compare", "small/unimodal", "small/audio=0.0"], &target));
    assert!(compared.contains("each (second) against small/unimodal (first)"), "{compared}");
    assert!(compared.lines().all(|line| line.chars().count() <= 80), "{compared}");
    let twice = refused(&lab, &with(&["compare", "small", "small", "--across"], &target), 2);
    assert!(twice.contains("`small` is named twice"), "{twice}");
    lab.write("other.yaml", &SWEEP.replace("name: small", "name: other").replace("epochs: 6", "epochs: 1"));
    assert!(run("other.yaml").status.success(), "{}", lab.logs());
    let across = lab.json(&with(&["compare", "small", "other", "--across", "--format", "json"], &target));
    assert_eq!(across["metrics"][0]["configurations"].as_array().unwrap().len(), 3, "{across}");
    let top = said(
        &lab,
        &with(&["results", "small", "--sort=-loss", "--top", "1", "--columns", "hidden"], &target),
    );
    assert!(top.contains("2 more configurations not shown") && top.contains("hidden"), "{top}");
    let unknown = refused(&lab, &with(&["results", "small", "--metric", "acuracy"], &target), 2);
    assert!(unknown.contains("did you mean `accuracy`?"), "{unknown}");

    lab.write("bad.yaml", &diverging());
    assert_eq!(run("bad.yaml").status.code(), Some(9));
    assert_eq!(states(&lab, "bad", &target), ["failed"; 6]);
    let failed = said(&lab, &with(&["tasks", "bad", "--only", "failed"], &target));
    assert!(failed.contains("diverged"), "{failed}");
    let configuration = failed.lines().nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert!(configuration.contains("=0.0"), "a configuration is named by its values: {failed}");
    let one = format!("{configuration}/0");
    let none = refused(&lab, &with(&["retry", "bad", "--task", "audoi=0.0/0"], &target), 8);
    assert!(none.contains("no setting is called `audoi`") && none.contains(&configuration), "{none}");
    let done = refused(&lab, &with(&["retry", "small", "--task", "unimodal/0"], &target), 1);
    assert!(done.contains("task small/unimodal/0 is done"), "{done}");
    let retried = said(&lab, &with(&["retry", "bad", "--task", &one], &target));
    assert!(retried.contains("1 task pending again"), "{retried}");
    assert_eq!(states(&lab, "bad", &target).iter().filter(|state| *state == "pending").count(), 1);
    assert_eq!(run("bad.yaml").status.code(), Some(9), "it diverges again");
    let retried = said(&lab, &with(&["retry", "bad", "--failed"], &target));
    assert!(retried.contains("6 tasks pending again"), "{retried}");
    assert!(refused(&lab, &with(&["rm", "bad", "--yes"], &target), 1).contains("cancel it first"));
    said(&lab, &with(&["cancel", "bad"], &target));
    assert!(refused(&lab, &with(&["rm", "bad"], &target), 2).contains("--yes"));
    said(&lab, &with(&["rm", "bad", "--yes"], &target));
    assert!(refused(&lab, &with(&["status", "bda"], &target), 8).contains("there is no sweep `bda`"));
    assert!(refused(&lab, &with(&["status", "smal"], &target), 8).contains("did you mean `small`?"));

    assert!(said(&lab, &["db", "check", "--state", "state"]).contains("agree"));
    said(&lab, &["db", "backup", "colearn-copy.db", "--state", "state"]);
    let again = refused(&lab, &["db", "backup", "colearn-copy.db", "--state", "state"], 6);
    assert!(again.contains("exists already"), "{again}");
    std::fs::create_dir(lab.path().join("restored")).unwrap();
    std::fs::rename(lab.path().join("colearn-copy.db"), lab.path().join("restored/colearn.db")).unwrap();
    let restored = lab.json(&["results", "small", "--format", "json", "--state", "restored"]);
    assert_eq!(largest_difference(&restored, &second), 0.0);
}

#[test]
fn a_cluster_is_operated_while_it_works() {
    let lab = Lab::new();
    let (coordinator, url) = lab.coordinator("127.0.0.1:0");
    let target = ["--coordinator", url.as_str()];
    let on = |arguments: &[&str]| said(&lab, &with(arguments, &target));
    on(&["submit", "small.yaml"]);
    assert!(on(&["pause", "small"]).contains("paused"));
    let again = text(&lab.colearn(&with(&["submit", "small.yaml"], &target)).stderr);
    assert!(again.contains("no new tasks start until: colearn resume small"), "{again}");
    let worker = lab.worker(&url, "one");
    let workers = || lab.json(&with(&["workers", "--json"], &target))["workers"].clone();
    lab.wait_for("the worker", || workers()[0]["state"] == "connected");
    assert_eq!(workers()[0]["slots"][0]["device"], "cpu x1");
    let status = lab.json(&with(&["status", "small", "--json"], &target));
    assert_eq!((&status["paused"], &status["tasks"]["pending"]), (&Value::Bool(true), &6.into()));

    // A sweep that is submitted later and comes first, one task at a time.
    let urgent =
        SWEEP.replace("name: small", "name: urgent\nmax_concurrent_tasks: 1\norder: by_configuration");
    lab.write("urgent.yaml", &urgent);
    on(&["submit", "urgent.yaml"]);
    assert!(on(&["priority", "urgent", "-5"]).contains("priority -5"));
    let far = refused(&lab, &with(&["priority", "urgent", "1001"], &target), 2);
    assert!(far.contains("1000"), "{far}");
    on(&["priority", "urgent", "5"]);
    on(&["resume", "small"]);
    lab.wait_until(&target, |status| status["tasks"]["done"].as_u64() > Some(0));
    let urgent = lab.json(&with(&["status", "urgent", "--json"], &target));
    assert_eq!(urgent["tasks"]["done"], 6, "the higher priority went first");

    let tasks = lab.json(&with(&["tasks", "urgent", "--json"], &target));
    let task = &tasks["tasks"][0];
    let log_of = |configuration: &str| on(&["logs", &format!("urgent/{configuration}/{}", task["seed"])]);
    let log = log_of(task["configuration"].as_str().unwrap());
    assert_eq!(log_of(&task["configuration"].as_str().unwrap()[..8]), log);
    let name = task["name"].as_str().unwrap();
    assert_eq!(log_of(name), log, "{name}");
    let named = format!("trains urgent/{}/", name.replace(' ', ","));
    assert!(log.contains(&named), "`{named}` is not in {log}");
    let none = refused(&lab, &with(&["logs", "urgent/ffffffffffff/0"], &target), 8);
    assert!(none.contains("no configuration"), "{none}");

    on(&["cancel", "small"]);
    lab.wait_until(&target, |status| status["tasks"]["running"] == 0);
    lab.wait_for("the slot to be free", || workers()[0]["slots"][0]["tasks"] == serde_json::json!([]));
    on(&["retry", "small"]);
    on(&["watch", "small"]);
    assert_eq!(n_of(&lab, &target), [2, 2, 2]);

    on(&["drain", "one"]);
    assert_eq!(worker.code(), 0, "{}", lab.logs());
    lab.wait_for("the worker to be gone", || workers() == serde_json::json!([]));
    let gone = refused(&lab, &with(&["drain", "one"], &target), 8);
    assert!(gone.contains("none is connected"), "{gone}");
    drop(coordinator);
}

#[test]
fn a_worker_that_is_killed_again_and_again_changes_no_table() {
    let lab = Lab::new();
    let undisturbed = ["run", "small.yaml", "--state", "undisturbed", "--slots", "1", "--threads", "1"];
    let arguments = with(&undisturbed, &["--format", "json", "--device", "cpu"]);
    let output = lab.colearn(&arguments);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    let expected: Value = serde_json::from_slice(&output.stdout).unwrap();

    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let target = ["--coordinator", url.as_str()];
    // One worker stays; the other is killed whenever it has begun a task.
    lab.write("small.yaml", &format!("{SWEEP}retries: {{initial_backoff: 0s, max_attempts: 20}}\n"));
    said(&lab, &with(&["submit", "small.yaml"], &target));
    let _steady = lab.worker(&url, "one");
    let trains = |name: &str| {
        let workers = lab.json(&with(&["workers", "--json"], &target));
        workers["workers"].as_array().unwrap().iter().any(|worker| {
            let busy = worker["slots"][0]["tasks"].as_array().is_some_and(|tasks| !tasks.is_empty());
            worker["id"].as_str().unwrap().starts_with(name) && worker["state"] == "connected" && busy
        })
    };
    let ended = || {
        let status = lab.json(&with(&["status", "small", "--json"], &target));
        status["state"] != "active"
    };
    let mut kills = 0;
    while !ended() && kills < 3 {
        let name = format!("two{kills}");
        let victim = lab.worker(&url, &name);
        lab.wait_for("the victim to train", || trains(&name) || ended());
        victim.kill();
        kills += 1;
    }
    assert!(kills >= 1);
    said(&lab, &with(&["watch", "small"], &target));
    let disturbed = lab.json(&with(&["results", "small", "--format", "json"], &target));
    assert!(largest_difference(&expected["configurations"], &disturbed["configurations"]) < ROUNDING);
}
