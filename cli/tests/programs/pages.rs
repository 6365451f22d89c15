//! A sweep that is sent in several messages.

use std::collections::BTreeSet;

use crate::lab::{Lab, SWEEP, text};

#[test]
fn the_status_of_a_very_large_sweep_is_complete() {
    let lab = Lab::new();
    let of_grid = |line: &str| {
        ["parameters", "  modality", "zip", "include", "seeds"].iter().any(|key| line.starts_with(key))
    };
    let levels = |most: u32| (0..most).map(|level| format!("0.{level:03}")).collect::<Vec<_>>().join(", ");
    let grid = format!(
        "parameters:\n  modality_dropout.audio: [{}]\n  modality_dropout.video: [{}]\nseeds: [0]\nmax_tasks: 20000\n",
        levels(170),
        levels(100)
    );
    let rest: String = SWEEP.lines().filter(|line| !of_grid(line)).map(|line| format!("{line}\n")).collect();
    lab.write("small.yaml", &(rest + &grid));
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let submitted = lab.colearn(&["submit", "small.yaml", "--coordinator", &url]);
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let status = lab.json(&["status", "small", "--json", "--coordinator", &url]);
    let rows = status["configurations_progress"].as_array().unwrap();
    let ids: BTreeSet<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!((rows.len(), ids.len()), (17_000, 17_000), "one message has 16,384");

    // A person gets a few lines, which say how to get all.
    for (arguments, of_all) in [
        (["status", "small"], "20 of 17000 configurations"),
        (["tasks", "small"], "40 of 17000 tasks: 17000 pending"),
        (["results", "small"], "16960 more configurations not shown"),
    ] {
        let [command, name] = arguments;
        let output = lab.colearn(&[command, name, "--coordinator", &url]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let said = text(&output.stdout);
        let lines = said.lines().count();
        assert!((20..200).contains(&lines), "{lines}: {said}");
        let see_all = format!("See all with: colearn {command} small --all --coordinator {url}");
        assert!(said.contains(of_all) && said.contains(&see_all), "{said}");
    }
    let all = text(&lab.colearn(&["tasks", "small", "--all", "--coordinator", &url]).stdout);
    assert!(all.lines().count() > 17_000 && !all.contains("See all"), "{}", all.lines().count());
    for (format, more) in [("csv", 1), ("markdown", 2)] {
        let output = lab.colearn(&["results", "small", "--format", format, "--coordinator", &url]);
        let lines = text(&output.stdout).lines().count();
        assert!(lines >= 17_000 + more, "{format}: {lines}");
        assert!(!text(&output.stdout).contains("not shown"), "{format}");
    }
}
