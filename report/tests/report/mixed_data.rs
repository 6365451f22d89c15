//! Every export warns if results were trained on different files of one data set.

use colearn_core::table::TaskOutcome;
use colearn_report::{Material, warnings};

use crate::{Written, csv, made_up};

const WARNING: &str = "results were trained on 2 different files of the data set";

/// The paper's sweep, where one result is of another file.
fn mixed() -> Material {
    let mut material = made_up::paper();
    let id = material.sweep.configurations[1].id;
    for ((configuration, _), outcome) in &mut material.outcomes {
        if let TaskOutcome::Done(result) = outcome {
            result.data_digest = if *configuration == id { "bb" } else { "aa" }.repeat(32);
        }
    }
    material
}

#[test]
fn every_export_warns_of_results_of_different_files() {
    let material = mixed();
    let written = Written::new(&material);
    for file in ["results.csv", "results.md", "results.tex", "results.json"] {
        assert!(written.file(file).contains(WARNING), "{file}:\n{}", written.file(file));
    }
    assert!(written.page().contains("different files"));
    let warnings = warnings(&material.table());
    assert!(warnings.len() == 1 && warnings[0].starts_with(WARNING), "{warnings:?}");

    // In CSV the warning is a column, so that programs can still read the file.
    let csv = csv(&material.table());
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let last = reader.headers().unwrap().len() - 1;
    assert_eq!(&reader.headers().unwrap()[last], "warning");
    assert!(reader.records().all(|record| record.unwrap()[last].starts_with(WARNING)));
}

#[test]
fn results_of_one_file_are_not_warned_of() {
    let written = Written::new(&made_up::paper());
    for file in ["results.csv", "results.md", "results.tex", "results.json"] {
        assert!(!written.file(file).contains("different files"), "{file}");
    }
}
