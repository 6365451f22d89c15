//! The demo sweep while workers are killed.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Cluster, Ledger, Setup, Victim, check_store};
use crate::lab::{Lab, largest_difference, text};

/// Interval between kills of a worker.
const BETWEEN_KILLS: Duration = Duration::from_secs(10);

/// The shipped sweep unchanged, with three attempts per task and the coordinator's default lease.
#[test]
#[ignore = "takes minutes: make chaos-demo"]
fn the_demo_with_a_worker_killed_every_ten_seconds_ends_with_the_same_table() {
    let lab = Lab::new();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sweeps/demo.yaml");
    std::fs::copy(&shipped, lab.path().join("demo.yaml")).unwrap();
    let run = ["run", "demo.yaml", "--state", "undisturbed", "--slots", "2", "--threads", "1"];
    let began = Instant::now();
    let output = lab.colearn(&[&run[..], &["--device", "cpu", "--format", "json"]].concat());
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    println!("demo: undisturbed in {:.1?}", began.elapsed());
    let expected: Value = serde_json::from_slice(&output.stdout).unwrap();

    let worker = &["--slots", "1", "--threads", "1", "--device", "cpu"];
    let mut cluster =
        Cluster::start(&lab, Setup { state: "disturbed", lease: 20, tls: super::tls(), workers: 2, worker });
    let mut ledger = Ledger::new(&lab, &cluster.names());
    let submitted = lab.colearn(&[&["submit", "demo.yaml"], &cluster.target()[..]].concat());
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let (began, mut kills) = (Instant::now(), 0);
    loop {
        let status = lab.json(&[&["status", "demo", "--json"], &cluster.target()[..]].concat());
        if status["state"] != "active" {
            assert_eq!(status["state"], "complete", "{status}");
            break;
        }
        if began.elapsed() >= BETWEEN_KILLS * (u32::try_from(kills).unwrap() + 1) {
            cluster.strike(Victim::Worker, kills);
            kills += 1;
            ledger.check(&lab, "demo", &cluster.target());
            println!("demo: kill {kills}: a worker; {} of 40 results", ledger.acknowledged());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    ledger.check(&lab, "demo", &cluster.target());
    check_store(&lab, "disturbed");
    assert!(kills > 0, "the sweep was over before anybody was killed");
    let disturbed = ledger.table("demo");
    let difference = largest_difference(&expected["configurations"], &disturbed["configurations"]);
    println!(
        "demo: {kills} workers killed in {:.1?}; {} attempts repeated, {} went on from a checkpoint; largest difference {difference:e}",
        began.elapsed(),
        ledger.repeated(),
        ledger.resumed
    );
    assert!(difference <= super::ROUNDING, "the tables differ by {difference}");
}
