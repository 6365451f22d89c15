//! Histories of the real coordinator and the real agent: whatever happens, the table is that of an
//! undisturbed sweep.

use colearn_simulation::{history::History, seeds};

/// As many as take some 20 seconds on two busy cores.
const HISTORIES: u64 = 20;

#[test]
fn whatever_happens_the_table_is_that_of_an_undisturbed_sweep() {
    let undisturbed = History::undisturbed(0);
    assert_eq!(undisturbed.wrongs(), Vec::<String>::new());
    seeds::every("whatever_happens", HISTORIES, |seed| {
        let history = History::troubled(seed);
        if seeds::one_alone() {
            println!("{}", history.trace.lines().join("\n"));
        }
        assert_eq!(history.wrongs(), Vec::<String>::new());
        assert!(history.found == undisturbed.found, "the tables differ");
    });
}
