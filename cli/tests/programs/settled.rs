//! Ended and settled sweeps, with the real programs.

use std::fs;

use crate::{
    chaos::NO_OP,
    lab::{Lab, text},
};

#[test]
fn a_sweep_is_settled_when_it_was_said_and_reported_all_the_same() {
    let lab = Lab::new();
    let recovered = || {
        let log = fs::read_to_string(lab.path().join("coordinator.log")).unwrap();
        let last = log.lines().rfind(|line| line.contains(" recovered ") || line.contains("to recover"));
        last.unwrap().to_owned()
    };
    let (coordinator, url) = lab.coordinator_settling(None);
    let submitted = lab.colearn(&["submit", "small.yaml", "--coordinator", &url]);
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let worker = lab.worker_with(&url, "one", NO_OP);
    let watched = lab.colearn(&["watch", "small", "--coordinator", &url]);
    assert!(watched.status.success(), "{}\n{}", text(&watched.stderr), lab.logs());
    drop((coordinator, worker));

    drop(lab.coordinator_settling(None));
    assert!(recovered().contains("recovered 1 sweep (6 tasks"), "ten minutes are not over: {}", recovered());
    // A coordinator with one second settles the sweep after that time, which its successor reports.
    lab.wait_for("the sweep to be settled", || {
        let (coordinator, _) = lab.coordinator_settling(Some(1));
        coordinator.terminate();
        assert_eq!(coordinator.code(), 0);
        recovered().contains("1 sweep was settled before")
    });
    let (_coordinator, url) = lab.coordinator_settling(None);
    let output = lab.colearn(&["report", "small", "--coordinator", &url]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let page = fs::read_to_string(lab.path().join("reports/small/index.html")).unwrap();
    assert!(page.contains("3 configurations × 2 seeds; 6 of 6 results."), "{page}");
    assert!(recovered().contains("1 sweep was settled before"), "nor is it there again: {}", recovered());
}
