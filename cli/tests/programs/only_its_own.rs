//! The coordinator of a `colearn run` trains only the sweep of that run, and says so to clients that ask for another.

use crate::lab::{Lab, SWEEP, text};

#[test]
fn another_sweep_is_refused_and_known_ones_are_told_to_wait() {
    let lab = Lab::new();
    let target = ["--state", "state"];
    lab.write("other.yaml", &SWEEP.replace("name: small", "name: other"));
    lab.write("third.yaml", &SWEEP.replace("name: small", "name: third"));
    // The other sweep already waits in the folder.
    let (coordinator, _) = lab.coordinator("127.0.0.1:0");
    assert!(lab.colearn(&["submit", "other.yaml", "--state", "state"]).status.success());
    coordinator.terminate();
    assert_eq!(coordinator.code(), 0);

    lab.write("small.yaml", &SWEEP.replace("epochs: 6", "epochs: 500"));
    let run = lab.start(&["run", "small.yaml", "--state", "state", "--slots", "1", "--device", "cpu"]);
    lab.wait_until(&target, |status| status["tasks"]["running"] == 1);
    let told = |arguments: &[&str], code: i32| {
        let output = lab.colearn(&[arguments, &target].concat());
        let told = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "colearn {arguments:?}: {told}");
        assert!(told.contains("trains only its sweep `small`"), "colearn {arguments:?}: {told}");
        told
    };
    let refused = told(&["submit", "third.yaml"], 1);
    assert!(refused.contains("colearn run third.yaml --state state"), "{refused}");
    assert!(!refused.contains("watch it with"), "{refused}");
    told(&["submit", "other.yaml"], 1);
    told(&["status", "other"], 0);
    told(&["watch", "other"], 5);
    told(&["resume", "other"], 0);
    let names = lab.json(&["list", "--json", "--state", "state"]);
    assert_eq!(names["sweeps"].as_array().unwrap().len(), 2, "nothing was submitted: {names}");
    assert_eq!(names["sweeps"][0]["trains_only"], "small");

    let own = text(&lab.colearn(&["status", "small", "--state", "state"]).stdout);
    assert!(!own.contains("trains only"), "{own}");
    let again = lab.colearn(&["submit", "small.yaml", "--state", "state"]);
    assert!(again.status.success(), "its own may be submitted again: {}", text(&again.stderr));
    run.interrupt();
    assert_eq!(run.code(), 130, "{}", lab.logs());
}
