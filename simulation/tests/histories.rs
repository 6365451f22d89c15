//! Histories of the real coordinator and the real agent: whatever happens, the table equals that of an undisturbed
//! sweep.

use std::{collections::BTreeMap, time::Duration};

use colearn_simulation::{
    history::History,
    network::COORDINATOR,
    person::FIRST,
    seeds,
    trouble::{CALM_AT, Trouble, WORKERS},
};

/// Takes about 20 seconds on two busy cores.
const HISTORIES: u64 = 30;
/// Every one of these is run twice.
const TWICE: u64 = 3;

/// Texts of the trace that all histories together must contain, so that they cover these cases.
const VARIETY: [&str; 27] = [
    "LeaseExpired",
    "LeaseReleased",
    "reason: Diverged",
    "reason: OutOfMemory",
    "reason: Data",
    "reason: Settings",
    "reason: Crash",
    "reason: Hang",
    "reason: Parked",
    "for Programs",
    "TasksRetried",
    "DataReplaced",
    "SweepCancelled",
    "TasksCancelled",
    "SweepPaused",
    "SweepPrioritized",
    "sweep_extended",
    "report refused",
    "lease dropped",
    "Crash(\"coordinator\")",
    "Skew",
    "CutOneWay",
    "Loss",
    "drained",
    "is a bad host",
    "WorkerSetAside",
    "WorkerRestored",
];

#[test]
fn whatever_happens_the_table_is_that_of_an_undisturbed_sweep() {
    let undisturbed = History::undisturbed(0);
    assert_eq!(undisturbed.wrongs(), Vec::<String>::new());
    let mut seen = BTreeMap::new();
    seeds::every("whatever_happens", HISTORIES, |seed| {
        let history = History::troubled(seed);
        if seeds::one_alone() {
            println!("{}", history.trace.lines().join("\n"));
        }
        assert_eq!(history.wrongs(), Vec::<String>::new());
        assert_eq!(history.found.len(), undisturbed.found.len());
        for (name, expected) in &undisturbed.found {
            let found = &history.found[name];
            assert_eq!(found.results, expected.results, "{name}");
            assert_eq!(found.failed, expected.failed, "{name}");
            assert_eq!(found.table, expected.table, "{name}");
        }
        for what in VARIETY {
            *seen.entry(what).or_insert(0) += history.trace.count(what);
        }
    });
    println!("{seen:?}");
    let missing: Vec<_> = seen.iter().filter(|(_, count)| **count == 0).collect();
    assert!(
        seeds::one_alone() || missing.is_empty(),
        "the histories are too tame to mean anything: {missing:?}"
    );
    assert!(!undisturbed.found[FIRST].failed.is_empty(), "some task always fails, so that a row is partial");
}

#[test]
fn a_history_is_a_function_of_its_seed() {
    seeds::every("a_history_is", TWICE, |seed| {
        let (one, two) = (History::troubled(seed), History::troubled(seed));
        for (line, (one, two)) in one.trace.lines().iter().zip(two.trace.lines()).enumerate() {
            assert_eq!(*one, two, "line {line}");
        }
        assert_eq!(one.trace.lines().len(), two.trace.lines().len());
    });
}

/// The coordinator crashes several times, is away for up to two seconds, and returns with a clock of another year. No
/// task is trained twice.
#[test]
fn a_coordinator_that_dies_again_and_again_costs_no_training() {
    let mut troubles = Vec::new();
    for (death, year) in (1..6).zip([0, 1, -1, 2, 0]) {
        let at = Duration::from_millis(1600 * death);
        let back = at + Duration::from_millis(300 * death);
        troubles.push((at, Trouble::Crash(COORDINATOR)));
        troubles.push((at, Trouble::Skew(year * 365 * 86_400_000)));
        troubles.push((back, Trouble::Return(COORDINATOR)));
    }
    let history = History::with(3, troubles);
    assert_eq!(history.wrongs(), Vec::<String>::new());
    assert!(history.lasted < CALM_AT, "it took {:?}", history.lasted);
    assert_eq!(history.trace.count("starts at"), 6, "every death came about while there was something to do");
    assert_eq!(history.trace.count("LeaseExpired"), 0);
    assert_eq!(history.trace.count("attempt 2"), 0);
    assert_eq!(history.found, History::undisturbed(3).found);
}

/// For a moment messages of workers are lost. Their streams are broken from then on, and the messages have to be sent
/// again.
#[test]
fn reports_that_are_lost_on_their_way_are_sent_again() {
    let mut troubles = Vec::new();
    for (worker, _) in WORKERS {
        troubles.push((Duration::from_secs(1), Trouble::CutOneWay(worker, COORDINATOR)));
        troubles.push((Duration::from_secs(8), Trouble::Mend(worker)));
    }
    troubles.sort_by_key(|(at, _)| *at);
    let history = History::with(3, troubles);
    assert_eq!(history.wrongs(), Vec::<String>::new());
    assert_eq!(history.trace.count("LeaseExpired"), 0, "everybody came back in time");
    assert_eq!(history.trace.count("attempt 2"), 0);
    assert_eq!(history.found, History::undisturbed(3).found);
}
