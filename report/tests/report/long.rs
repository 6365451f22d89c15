//! Tests the long format, and what is shown of the environments of results.

use std::{collections::HashMap, sync::Arc};

use colearn_core::{
    result::{EpochRecord, TaskResult},
    sweep::Sweep,
    table::TaskOutcome,
};
use colearn_report::{Material, Provenance};

use crate::{Written, made_up};

/// The records of a file, by the names of its columns.
fn records(report: &Written, file: &str) -> Vec<HashMap<String, String>> {
    let text = report.file(file);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

#[test]
fn there_is_one_record_a_value_and_one_for_each_task_without_a_result() {
    let mut material = made_up::regression();
    let id = material.sweep.configurations[0].id;
    if let Some(TaskOutcome::Done(result)) = material.outcomes.get_mut(&(id, 0)) {
        result.metrics.insert("valid/accuracy", 0.5);
        result.metrics.insert(&format!("valid/loss@{}", made_up::ALL), 1.5);
    }
    let of_paper = records(&Written::new(&made_up::paper()), "results-long.csv");
    assert_eq!(of_paper.len(), 38 * 6 + 2);
    let without: Vec<[&str; 6]> = of_paper
        .iter()
        .filter(|record| record["value"].is_empty())
        .map(|record| ["name", "seed", "metric", "split", "status", "reason"].map(|name| &*record[name]))
        .collect();
    assert_eq!(
        without,
        [
            ["audio=0.15 video=0.15", "3", "", "", "failed", "diverged"],
            ["audio=0.6 video=0.6", "4", "", "", "missing", ""]
        ]
    );

    let long = records(&Written::new(&material), "results-long.csv");
    let parts: Vec<[&str; 3]> = long
        .iter()
        .filter(|record| record["configuration"] == id.to_string() && record["seed"] == "0")
        .map(|record| ["metric", "split", "modalities"].map(|name| &*record[name]))
        .collect();
    let all = made_up::ALL;
    assert_eq!(parts[..3], [["accuracy", "test", ""], ["loss", "test", ""], ["f_score_authors", "test", ""]]);
    assert_eq!(parts[3..5], [["accuracy", "test", all], ["loss", "test", all]]);
    assert!(
        parts.contains(&["accuracy", "valid", ""]) && parts.contains(&["loss", "valid", all]),
        "{parts:?}"
    );
    assert_eq!(long[0]["modality_dropout.audio"], "0.0");
}

/// A program with parameters that have the names of columns.
fn odd() -> Material {
    const SOURCE: &str = "\
name: odd
program: {command: [train, \"${args}\"]}
parameters: {value: [1, 2], curve: [a, b], status: [-x]}
seeds: [0]
report: {metrics: [score], replicates: [curve]}
";
    let sweep = Sweep::parse_in(SOURCE, "x.yaml", "/home/me").unwrap().sweep;
    let result = TaskResult {
        metrics: [("score".to_owned(), 1e-7), ("valid/x@y".to_owned(), 2.0)].into(),
        history: vec![EpochRecord { epoch: 7, values: [("=a".to_owned(), 0.1)].into() }],
        ..TaskResult::default()
    };
    let done = |id| ((id, 0), TaskOutcome::Done(result.clone()));
    let outcomes = sweep.configurations.iter().map(|it| done(it.id)).collect();
    Material { sweep, outcomes, failures: Vec::new(), reference: None, provenance: Provenance::default() }
}

#[test]
fn columns_are_told_apart_and_names_of_programs_are_left_whole() {
    let report = Written::new(&odd());
    let heading = report.file("results-long.csv").lines().next().unwrap().to_owned();
    assert_eq!(
        heading,
        "configuration,name,parameter.value,parameter.status,parameter.curve,member,seed,metric,split,modalities,value,status,reason"
    );
    let long = records(&report, "results-long.csv");
    assert_eq!(long.len(), 4 * 2);
    assert_eq!((&*long[1]["metric"], &*long[1]["split"]), ("valid/x@y", ""));
    assert_eq!((&*long[0]["value"], &*long[0]["parameter.status"]), ("0.0000001", "'-x"));
    assert_ne!(long[0]["member"], long[2]["member"]);
    assert_eq!(long[0]["configuration"], long[2]["configuration"]);
    let epochs = records(&report, "history-long.csv");
    assert_eq!(epochs.len(), 4);
    assert_eq!((&*epochs[0]["epoch"], &*epochs[0]["curve"], &*epochs[0]["value"]), ("7", "'=a", "0.1"));
    assert!(report.file("curves.csv").contains("epoch"), "the table of curves is kept");
}

#[test]
fn a_sweep_without_curves_has_no_file_of_them() {
    let mut material = odd();
    for outcome in material.outcomes.values_mut() {
        if let TaskOutcome::Done(result) = outcome {
            result.history.clear();
        }
    }
    let report = Written::new(&material);
    assert!(!report.0.path().join("history-long.csv").exists());
    assert!(!report.page().contains("history-long.csv"));
}

#[test]
fn environments_are_shown_in_groups() {
    let mut material = made_up::paper();
    assert!(!Written::new(&material).page().contains("computed with"), "old results do not say it");
    let mut done: Vec<&mut TaskResult> = material
        .outcomes
        .values_mut()
        .filter_map(|outcome| match outcome {
            TaskOutcome::Done(result) => Some(result),
            TaskOutcome::Failed(_) | TaskOutcome::Cancelled => None,
        })
        .collect();
    for (index, result) in done.iter_mut().enumerate().skip(1) {
        let model = if index < 30 { "Some GPU" } else { "Other <GPU>" };
        let known = [("device_model", model), ("os", "Linux 6.8")];
        result.environment = Arc::new(known.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
    let page = Written::new(&material).page();
    for said in [
        "<dd>device model Some GPU; os Linux 6.8 (29 tasks)</dd>",
        "<dd>device model Other &lt;GPU&gt;; os Linux 6.8 (8 tasks)</dd>",
        "<dd>not recorded (1 task)</dd>",
    ] {
        assert!(page.contains(said), "no {said}");
    }
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_has_the_same_records_with_types() {
    use parquet::{
        file::reader::{FileReader as _, SerializedFileReader},
        record::Field,
    };

    let report = Written::new(&made_up::paper());
    for file in ["results-long", "history-long"] {
        let text = records(&report, &format!("{file}.csv"));
        let path = report.0.path().join(format!("{file}.parquet"));
        let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
        let rows: Vec<HashMap<String, Field>> = reader
            .get_row_iter(None)
            .unwrap()
            .map(|row| row.unwrap().get_column_iter().map(|(name, it)| (name.clone(), it.clone())).collect())
            .collect();
        assert_eq!(rows.len(), text.len());
        for (row, text) in rows.iter().zip(&text) {
            assert_eq!(row.len(), text.len());
            for (name, cell) in text {
                match &row[name] {
                    Field::Null => assert_eq!(cell, "", "{name}"),
                    Field::Str(word) => assert_eq!(cell, word, "{name}"),
                    Field::Double(number) => assert_eq!(cell.parse(), Ok(*number), "{name}"),
                    Field::Long(count) => assert_eq!(cell.parse(), Ok(*count), "{name}"),
                    other => panic!("{name} is {other:?}"),
                }
            }
        }
        assert!(matches!(rows[0]["modality_dropout.audio"], Field::Double(_)));
        assert!(matches!(rows[0]["seed"], Field::Long(_)) && matches!(rows[0]["value"], Field::Double(_)));
    }
}
