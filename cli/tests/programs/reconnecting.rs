//! `watch` and `logs --follow` survive a coordinator that is killed and restarted, as workers do.

use std::{
    fs::{self, File},
    path::Path,
};

use crate::lab::{Lab, Running, SWEEP, text};

/// Starts `colearn` with its output in files of this name.
fn follow(lab: &Lab, name: &str, arguments: &[&str]) -> Running {
    let file = |end: &str| File::create(lab.path().join(format!("{name}.{end}"))).unwrap();
    Running(lab.colearn_command(arguments).stdout(file("out")).stderr(file("err")).spawn().unwrap())
}

fn printed(lab: &Lab, name: &str) -> String {
    fs::read_to_string(lab.path().join(name)).unwrap_or_default()
}

#[test]
fn a_watch_goes_on_with_the_next_coordinator() {
    let lab = Lab::new();
    let (coordinator, url) = lab.coordinator("127.0.0.1:0");
    assert!(lab.colearn(&["submit", "small.yaml", "--coordinator", &url]).status.success());
    let watch = follow(&lab, "watch", &["watch", "small", "--coordinator", &url]);
    lab.wait_for("progress", || printed(&lab, "watch.err").contains("0/6 tasks done"));
    coordinator.kill();
    lab.wait_for("the loss", || printed(&lab, "watch.err").contains("trying again"));
    let lost = printed(&lab, "watch.err");
    assert!(lost.contains(&format!("the connection to the coordinator at {url} was lost")), "{lost}");
    assert!(!lost.contains("h2 ") && !lost.contains("http2"), "{lost}");

    let (_coordinator, _) = lab.coordinator(url.trim_start_matches("http://"));
    lab.wait_for("the return", || printed(&lab, "watch.err").contains("answers again"));
    let _worker = lab.worker(&url, "one");
    assert_eq!(watch.code(), 0, "{}", printed(&lab, "watch.err"));
    assert!(printed(&lab, "watch.out").contains("small: complete, 6 of 6 tasks done"));
}

#[test]
fn a_watch_by_the_state_folder_finds_the_next_port() {
    let lab = Lab::new();
    let (coordinator, _) = lab.coordinator("127.0.0.1:0");
    assert!(lab.colearn(&["submit", "small.yaml", "--state", "state"]).status.success());
    let watch = follow(&lab, "watch", &["watch", "small", "--state", "state"]);
    lab.wait_for("progress", || printed(&lab, "watch.err").contains("0/6 tasks done"));
    coordinator.kill();
    lab.wait_for("the loss", || printed(&lab, "watch.err").contains("trying again"));
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    lab.wait_for("the return", || printed(&lab, "watch.err").contains(&format!("{url} answers again")));
    assert!(lab.colearn(&["cancel", "small", "--coordinator", &url]).status.success());
    assert_eq!(watch.code(), 9, "{}", printed(&lab, "watch.err"));
}

#[test]
fn a_log_is_followed_across_coordinators_without_a_line_twice() {
    let lab = Lab::new();
    lab.write(
        "small.yaml",
        &SWEEP.replace("epochs: 6", "epochs: 150").replace("seeds: [0, 1]", "seeds: [0]"),
    );
    let (coordinator, url) = lab.coordinator("127.0.0.1:0");
    let target = ["--coordinator", url.as_str()];
    assert!(lab.colearn(&["submit", "small.yaml", "--coordinator", &url]).status.success());
    let _worker = lab.worker(&url, "one");
    lab.wait_until(&target, |status| status["tasks"]["running"] == 1);
    let tasks = lab.json(&["tasks", "small", "--json", "--coordinator", &url]);
    let running = tasks["tasks"].as_array().unwrap().iter().find(|task| task["state"] == "running").unwrap();
    let task = format!("small/{}/{}", running["configuration"].as_str().unwrap(), running["seed"]);
    let log = follow(&lab, "log", &["logs", &task, "--follow", "--coordinator", &url]);
    lab.wait_for("a line", || printed(&lab, "log.out").contains('\n'));
    let before = printed(&lab, "log.out");
    coordinator.kill();
    lab.wait_for("the loss", || printed(&lab, "log.err").contains("trying again"));
    let (_coordinator, _) = lab.coordinator(url.trim_start_matches("http://"));
    assert_eq!(log.code(), 0, "{}\n{}", printed(&lab, "log.err"), lab.logs());
    let after = printed(&lab, "log.out");
    assert!(after.starts_with(&before), "{before}\n---\n{after}");
    let whole = text(&lab.colearn(&["logs", &task, "--coordinator", &url]).stdout);
    assert_eq!(after, whole, "each line once, in order");
    assert!(Path::new(&lab.path().join("log.err")).is_file());
}

#[test]
fn a_coordinator_that_is_told_to_stop_is_not_waited_for() {
    let lab = Lab::new();
    let (coordinator, url) = lab.coordinator("127.0.0.1:0");
    assert!(lab.colearn(&["submit", "small.yaml", "--coordinator", &url]).status.success());
    let watch = follow(&lab, "watch", &["watch", "small", "--coordinator", &url]);
    lab.wait_for("progress", || printed(&lab, "watch.err").contains("0/6 tasks done"));
    coordinator.terminate();
    assert_eq!(watch.code(), 5, "{}", printed(&lab, "watch.err"));
    let told = printed(&lab, "watch.err");
    assert!(told.contains("the coordinator is stopping") && told.contains(&url), "{told}");
}
