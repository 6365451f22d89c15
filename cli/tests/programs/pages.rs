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
}
