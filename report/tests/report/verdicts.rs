//! The words for comparisons, in every output.

use colearn_core::{
    sweep::Adjustment,
    table::{ResultsTable, TaskOutcome},
};
use colearn_report::{Material, Selection, next_step, summary_line, text};

use crate::{Written, csv, made_up};

/// Accuracies of 0.6 and less of a baseline of 0.5, with more or less noise.
fn material(seeds: u64) -> Material {
    let list: Vec<String> = (0..seeds).map(|seed| seed.to_string()).collect();
    let source = made_up::SWEEP.replace("[0, 1, 2, 3, 4]", &format!("[{}]", list.join(", ")));
    let mut material = made_up::material(&source, |_| 0.5);
    let ids: Vec<_> = material.sweep.configurations.iter().map(|it| it.id).collect();
    let means = [0.3, 0.501, 0.503, 0.5, 0.6, 0.5, 0.5, 0.5];
    for ((id, seed), outcome) in &mut material.outcomes {
        let TaskOutcome::Done(result) = outcome else { continue };
        let index = ids.iter().position(|it| it == id).unwrap();
        let mut draws = made_up::Draws::new(100 * seed + index as u64);
        result.metrics.insert("accuracy", means[index] + 0.012 * draws.next());
    }
    material
}

fn count(table: &ResultsTable, word: &str) -> usize {
    let rows = table.configurations.iter().filter_map(|row| table.verdict(row));
    rows.filter(|verdict| verdict.as_str() == word).count()
}

#[test]
fn what_is_inconclusive_says_how_many_seeds_would_decide() {
    let material = material(5);
    let table = material.table();
    assert_eq!((count(&table, "PCL"), count(&table, "NCL"), count(&table, "equivalent")), (1, 1, 0));
    let step = next_step(&table).unwrap();
    assert!(step.starts_with("5 of 7 comparisons in accuracy are inconclusive; as it looks, "), "{step}");
    assert!(step.contains(" seeds would decide the first of them"), "{step}");
    assert!(step.ends_with(": add seeds, then `colearn extend iemocap-bi-eflstm FILE`"), "{step}");
    // The sentence is about the sweep: a part of its rows says nothing.
    let mut part = table.clone();
    let hidden = Selection { top: Some(2), ..Selection::default() }.apply(&mut part).unwrap();
    assert_eq!((hidden, next_step(&part)), (5, None));
    let line = summary_line(&table);
    assert!(line.contains("with its 95 % interval for all 7 comparisons at once ("), "{line}");
    assert!(line.contains("; PCL better, NCL worse, else inconclusive"), "{line}");

    let report = Written::new(&material);
    let page = report.page();
    assert!(page.contains("1 PCL, 0 equivalent, 5 inconclusive, 1 NCL"), "{page}");
    for said in ["<th>seeds needed</th>", "<th>adjusted p</th>", "verdict inconclusive\">inconclusive</span>"]
    {
        assert!(page.contains(said), "{said}");
    }
    assert!(page.contains("colearn extend") && !page.contains("Wilcoxon"), "five seeds are too few for it");
    assert!(report.file("results.md").contains("5 of 7 comparisons in accuracy are inconclusive"));
    // One stroke for each result of each level.
    let strokes = report.file("plots/accuracy.svg").matches("stroke-width=\"1.2\"").count();
    assert_eq!(strokes, 7 * 5);
}

#[test]
fn a_margin_makes_small_differences_equivalent() {
    let mut material = material(5);
    material.sweep.report.margin.insert("accuracy".to_owned(), 0.2);
    let table = material.table();
    assert_eq!((count(&table, "equivalent"), count(&table, "inconclusive"), next_step(&table)), (5, 0, None));
    assert!(
        summary_line(&table).contains("; PCL better, NCL worse, equivalent within ±0.2, else inconclusive")
    );
    let markdown = text::markdown(&table, None);
    let negligible = markdown.lines().find(|line| line.contains("PCL +")).unwrap();
    assert!(negligible.contains("] within margin |"), "{negligible}");
    assert!(!markdown.lines().find(|line| line.contains("NCL -")).unwrap().contains("within margin"));
    let page = Written::new(&material).page();
    assert!(page.contains("<span class=\"verdict pcl\">PCL within margin</span>"), "{page}");
    assert!(page.contains("<span class=\"verdict equivalent\">equivalent</span>"));
    let latex = text::latex(&table);
    assert!(latex.contains("equivalent within $\\pm$0.2"), "{latex}");
}

/// Sets the accuracies of a configuration of [`material`], seed by seed.
fn set(material: &mut Material, index: usize, accuracy: impl Fn(usize) -> f64) {
    let id = material.sweep.configurations[index].id;
    for seed in 0..material.sweep.seeds.len() {
        let Some(TaskOutcome::Done(result)) = material.outcomes.get_mut(&(id, seed as u64)) else { continue };
        result.metrics.insert("accuracy", accuracy(seed));
    }
}

/// Six levels are far above the baseline, one of them constant, so that variances are not pooled. The last has p = 0.014:
/// Holm's test compares it with 0.05, Bonferroni's interval is that of 0.05 / 7.
#[test]
fn a_verdict_of_holms_test_says_so_where_its_interval_reaches_zero() {
    let mut material = material(5);
    let baseline = [0.50, 0.51, 0.49, 0.505, 0.495];
    let noise = [0.003, -0.002, 0.0, 0.001, -0.003];
    set(&mut material, 7, |seed| baseline[seed]);
    for level in 0..6 {
        set(&mut material, level, |seed| 0.9 + if level == 0 { 0.0 } else { noise[(seed + level) % 5] });
    }
    set(&mut material, 6, |seed| baseline[seed] + [0.01, 0.02, 0.03, 0.005, 0.02][seed]);
    let table = material.table();
    assert_eq!(count(&table, "PCL"), 7);
    let (low, high) = table.configurations[6].comparisons["accuracy"].interval(true).unwrap();
    assert!(low < 0.0 && high > 0.0, "{low} {high}");
    let markdown = text::markdown(&table, None);
    let said: Vec<&str> = markdown.lines().filter(|line| line.contains("] by Holm's test |")).collect();
    assert!(said.len() == 1 && said[0].contains("| 0.95 |"), "{markdown}");
    assert!(summary_line(&table).contains("(Bonferroni's intervals beside Holm's tests, which find more)"));
    let page = Written::new(&material).page();
    assert!(page.contains("<span class=\"verdict pcl\">PCL by Holm"), "{page}");
    material.sweep.report.adjustment = Adjustment::None;
    assert!(!text::markdown(&material.table(), None).contains("by Holm"), "its own interval agrees");
}

#[test]
fn a_row_without_results_is_said_to_be_no_comparison() {
    let mut material = material(5);
    let id = material.sweep.configurations[2].id;
    for ((of, _), outcome) in &mut material.outcomes {
        if *of == id {
            *outcome = TaskOutcome::Failed(colearn_core::failure::FailureReason::Diverged);
        }
    }
    let table = material.table();
    let markdown = text::markdown(&table, None);
    assert!(
        markdown.lines().any(|line| line.contains("| no result |") && line.contains("5 failed")),
        "{markdown}"
    );
    let line = summary_line(&table);
    assert!(line.contains("for all 6 comparisons at once"), "{line}");
    assert!(line.contains("; 1 configuration without any result is not compared"), "{line}");
}

#[test]
fn without_adjustment_each_comparison_is_judged_alone() {
    let mut material = material(5);
    let all = material.table();
    material.sweep.report.adjustment = Adjustment::None;
    let alone = material.table();
    assert!(summary_line(&alone).contains(" interval, for each comparison alone; PCL"));
    let narrower = |table: &ResultsTable| text::markdown(table, None).lines().nth(2).unwrap().to_owned();
    assert_ne!(narrower(&all), narrower(&alone));
}

#[test]
fn no_test_is_said_in_words() {
    let two = material(2);
    let table = two.table();
    assert!(table.configurations.iter().all(|row| table.verdict(row).is_none()));
    // The last is the level that is chosen on validation.
    assert_eq!(text::markdown(&table, None).matches("| too few seeds ").count(), 7 + 1);
    let csv = csv(&table);
    assert_eq!(csv.lines().filter(|line| line.contains(",too few seeds,")).count(), 7, "{csv}");
    assert_eq!(next_step(&table), None);
    let ten = Written::new(&material(7)).page();
    assert!(ten.contains("<th>p (Wilcoxon)</th>"), "{ten}");
}
