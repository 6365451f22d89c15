//! Tests the report of a sweep whose folds are replicates beside the seeds.

use colearn_core::{
    failure::FailureReason,
    result::{EpochRecord, TaskResult},
    sweep::Sweep,
    table::TaskOutcome,
};
use colearn_report::{FailureNote, Material, Provenance, Reference, summary_line, text};
use serde_json::{Value, json};

use crate::{Written, made_up};

const NETWORKS: &str = "\
name: folds
dataset: mine-fold0
primary: language
parameters:
  dataset: [mine-fold0, mine-fold1]
  modality_dropout.audio: [0, 0.5]
include: [{unimodal: true, dataset: mine-fold0}, {unimodal: true, dataset: mine-fold1}]
seeds: [0, 1, 2]
report: {metrics: [accuracy], baseline: {unimodal: true}, replicates: [dataset]}
";

const PROGRAM: &str = "\
name: folds
program: {command: [train, \"${args}\"]}
parameters: {lr: [1, 2], fold: [0, 1], seed_of: [a]}
seeds: [0, 1]
report: {metrics: [score], baseline: {lr: 1}, replicates: [fold]}
";

fn networks() -> Material {
    made_up::material(NETWORKS, |index| 0.5 + 0.02 * index as f64)
}

/// A program whose score is a function of its task.
fn program() -> Material {
    let sweep = Sweep::parse_in(PROGRAM, "x.yaml", "/home/me").unwrap().sweep;
    let mut outcomes = std::collections::HashMap::new();
    for (index, configuration) in sweep.configurations.iter().enumerate() {
        for seed in &sweep.seeds {
            let score = (10 * index) as f64 + *seed as f64;
            let result = TaskResult {
                metrics: [("score".to_owned(), score)].into(),
                history: vec![EpochRecord { epoch: 1, values: [("loss".to_owned(), score)].into() }],
                ..TaskResult::default()
            };
            outcomes.insert((configuration.id, *seed), TaskOutcome::Done(result));
        }
    }
    let provenance = Provenance { version: "0.1.0".to_owned(), ..Provenance::default() };
    Material { sweep, outcomes, failures: Vec::new(), reference: None, provenance }
}

#[test]
fn a_row_is_over_folds_and_seeds_and_says_so() {
    let material = networks();
    let table = material.table();
    assert_eq!(table.configurations.len(), 3);
    let report = Written::new(&material);
    let page = report.page();
    for said in [
        "3 configurations × 2 values of dataset × 3 seeds; 18 of 18 results.",
        "paired by dataset and seed",
        "over n replicates (dataset and seed)",
        "(Nadeau and Bengio 2003)",
        "<dt>replicates</dt><dd>dataset and seed</dd>",
        "<dt>dataset</dt><dd>mine-fold0, mine-fold1</dd>",
        "mean over replicates (dataset and seed) with its 95 % interval",
        "summed over replicates (dataset and seed)",
        "(6 replicates)",
        // Every replicate of every row has its own line.
        "<td class=\"l\">audio=0.5 dataset=mine-fold1</td>",
        "<td class=\"l\">unimodal dataset=mine-fold0</td>",
    ] {
        assert!(page.contains(said), "`{said}` is not in {page}");
    }
    let results = page.split("<h2>Results</h2>").nth(1).unwrap().split("</table>").next().unwrap();
    assert!(!results.contains("dataset"), "{results}");
    let every = page.split("<h2>Every seed</h2>").nth(1).unwrap().split("</table>").next().unwrap();
    assert_eq!(every.matches("<tr").count(), 1 + 3 * 2, "{every}");
    let plots = report.plots();
    assert_eq!(plots.iter().filter(|name| name.starts_with("learning-")).count(), 3, "{plots:?}");

    for file in ["results.md", "results.tex"] {
        let text = report.file(file);
        assert!(text.contains("replicates (dataset and seed)"), "{text}");
        assert!(
            text.contains("paired by dataset and seed") && text.contains("Nadeau and Bengio 2003"),
            "{text}"
        );
    }
    let csv = report.file("results.csv");
    assert!(csv.starts_with("id,name,modality_dropout.audio,unimodal,baseline,n,expected,state,"), "{csv}");
    assert!(csv.lines().nth(1).unwrap().contains(",false,6,6,complete,"), "{csv}");

    let json: Value = serde_json::from_str(&report.file("results.json")).unwrap();
    assert_eq!(json["replicates"], json!(["dataset"]));
    let row = &json["configurations"][1];
    assert_eq!(row["values"], json!({"modality_dropout.audio": 0.5}));
    assert_eq!(row["replicates"].as_array().unwrap().len(), 2);
    assert_eq!(row["replicates"][1]["values"], json!({"dataset": "mine-fold1"}));
    assert_eq!((row["settings"].get("dataset"), &row["settings"]["primary"]), (None, &json!("language")));
    assert_eq!(row["comparisons"]["accuracy"]["pairs"], 6);
}

#[test]
fn a_report_without_replicates_names_none() {
    let material = made_up::paper();
    let report = Written::new(&material);
    for file in ["index.html", "results.md", "results.tex", "results.csv"] {
        assert!(!report.file(file).contains("replicate"), "{file}");
    }
    assert!(summary_line(&material.table()).starts_with("mean ± sample standard deviation over n seeds, "));
}

#[test]
fn failures_and_continued_tasks_name_the_fold() {
    let mut material = networks();
    let second = material.sweep.configurations.iter().find(|it| {
        it.values.get("dataset") == Some(&json!("mine-fold1")) && !it.values.contains_key("unimodal")
    });
    let second = second.unwrap().id;
    material.outcomes.insert((second, 1), TaskOutcome::Failed(FailureReason::Diverged));
    material.outcomes.insert((second, 0), TaskOutcome::Cancelled);
    if let Some(TaskOutcome::Done(result)) = material.outcomes.get_mut(&(second, 2)) {
        result.resumed_after = vec![7];
    }
    material.failures.push(FailureNote {
        configuration: second,
        seed: 1,
        attempt: 1,
        last: true,
        reason: "diverged".to_owned(),
        message: "not finite".to_owned(),
    });
    let report = Written::new(&material);
    let page = report.page();
    for said in [
        "<td class=\"l\">audio=0.0 dataset=mine-fold1</td><td>1</td><td>1</td>",
        "audio=0.0 dataset=mine-fold1 seed 2 after epoch 7",
        "Means are over the replicates that have one",
        "<td>4 of 6</td>",
        "partial; 1 failed: diverged; 1 cancelled: dataset=mine-fold1 seed=0",
        "1 task failed for good, 1 task cancelled, 0 without a result yet",
    ] {
        assert!(page.contains(said), "`{said}` is not in {page}");
    }
    let json: Value = serde_json::from_str(&report.file("results.json")).unwrap();
    assert_eq!(json["configurations"][0]["failed_seeds"], json!({"dataset=mine-fold1 seed=1": "diverged"}));
    assert_eq!(json["configurations"][0]["cancelled_seeds"], json!(["dataset=mine-fold1 seed=0"]));
    let tasks = json["configurations"][0]["tasks"].as_array().unwrap();
    let cancelled: Vec<_> = tasks.iter().filter(|task| task["reason"] == "cancelled").collect();
    assert!(matches!(cancelled[..], [task] if task["status"] == "missing"), "{cancelled:?}");
}

#[test]
fn the_curves_of_a_program_have_columns_for_fold_and_seed() {
    let material = program();
    let report = Written::new(&material);
    let curves = report.file("curves.csv");
    let ids: Vec<String> = material.table().configurations.iter().map(|row| row.id.to_string()).collect();
    let expected: Vec<String> = [(0, 0, 0.0), (0, 1, 10.0), (1, 0, 20.0), (1, 1, 30.0)]
        .iter()
        .flat_map(|(row, fold, loss)| {
            let ids = &ids;
            [0, 1].map(|seed| format!("{},{fold},{seed},1,{}", ids[*row], loss + f64::from(seed)))
        })
        .collect();
    assert_eq!(curves.lines().next(), Some("id,fold,seed,epoch,loss"));
    assert_eq!(curves.lines().skip(1).collect::<Vec<_>>(), expected);
    let json: Value = serde_json::from_str(&report.file("results.json")).unwrap();
    let parameters = &json["configurations"][0]["settings"]["program"]["parameters"];
    assert_eq!(parameters, &json!([["lr", 1], ["seed_of", "a"]]));
    // The mean of 20, 21, 30 and 31 is 20 above that of the baseline.
    assert!(text::markdown(&material.table(), None).contains("| 4 | 25.500 ± 5.802 | no variance +20.000 |"));
    report.page();
}

#[test]
fn a_published_mean_of_one_fold_is_about_no_row() {
    let mut material = networks();
    let published =
        "dataset,modality_dropout.audio,unimodal,accuracy\nmine-fold0,0.5,false,.4\n,0.5,false,.5\n";
    material.reference = Some(Reference::parse(published, "published.csv").unwrap());
    let page = Written::new(&material).page();
    assert!(page.contains("line 2 of the reference") && page.contains("matches no configuration"), "{page}");
    assert!(page.contains("<td>.5</td>") && !page.contains("<td>.4</td>"), "{page}");
}

#[test]
fn data_that_changed_is_said_of_the_row_of_any_fold() {
    let mut material = networks();
    let (id, mut digest) = (material.sweep.configurations[2].id, 0);
    assert_eq!(material.sweep.configurations[2].values["dataset"], "mine-fold1");
    for ((of, _), outcome) in &mut material.outcomes {
        if let (true, TaskOutcome::Done(result)) = (*of == id, outcome) {
            digest += 1;
            result.data_digest = format!("{digest:02}").repeat(32);
        }
    }
    let csv = Written::new(&material).file("results.csv");
    let warned: Vec<bool> =
        csv.lines().skip(1).map(|line| line.contains("different files of the data set")).collect();
    assert_eq!(warned, [true, true, true], "every row is averaged over that fold: {csv}");
}
