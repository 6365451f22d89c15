//! Tests of unusual sweeps.

use std::{sync::Arc, time::Instant};

use colearn_core::{failure::FailureReason, result::EpochRecord, table::TaskOutcome};

use crate::{
    Written,
    made_up::{self, material},
};

const PLAIN: &str = "name: x\ndataset: d\nprimary: language\n";

#[test]
fn one_configuration_and_one_seed() {
    let report = Written::new(&material(&format!("{PLAIN}seeds: [3]"), |_| 0.5));
    let page = report.page();
    assert!(page.contains("1 configuration × 1 seed; 1 of 1 result."), "{page}");
    assert!(page.contains("nothing is compared"));
    assert!(!page.contains("Against the baseline"));
    assert_eq!(report.plots().len(), 3 + 1 + 1);
}

#[test]
fn nothing_has_finished_yet() {
    let mut material = made_up::paper();
    material.outcomes.clear();
    let report = Written::new(&material);
    let page = report.page();
    assert!(page.contains("0 of 40 results."));
    assert!(page.contains("No seed has both"));
    assert!(!page.contains("<h2>Metrics</h2>"));
    assert!(report.plots().is_empty());
    assert!(report.file("results.tex").contains("0 of 5"));
}

#[test]
fn one_seed_has_no_intervals_and_no_verdict() {
    let source = made_up::SWEEP.replace("seeds: [0, 1, 2, 3, 4]", "seeds: [7]");
    let report = Written::new(&material(&source, |index| 0.3 + 0.02 * index as f64));
    let page = report.page();
    assert!(page.contains("in accuracy: 0 PCL, 0 equivalent, 0 inconclusive, 0 NCL"), "{page}");
    assert_eq!(report.file("plots/accuracy.svg").matches("fill-opacity=\"0.14\"").count(), 0);
    assert_eq!(report.plots().len(), 4 + 2 + 8, "the baseline is the best, and drawn once");
}

#[test]
fn a_configuration_that_failed_on_every_seed() {
    let mut material = made_up::paper();
    let failed = material.sweep.configurations[4].id;
    for seed in 0..5 {
        material.outcomes.insert((failed, seed), TaskOutcome::Failed(FailureReason::OutOfMemory));
    }
    let page = Written::new(&material).page();
    assert!(page.contains("<td>0 of 5</td><td>-</td>"), "{page}");
    assert!(page.contains("5 failed: out_of_memory") && !page.contains("failed; 5 failed"), "said once");
}

#[test]
fn metrics_that_no_program_knows_and_results_that_differ() {
    let mut material = made_up::paper();
    material.sweep.report.metrics = vec!["pearson_r".to_owned(), "accuracy".to_owned(), "ghost".to_owned()];
    let baseline = material.sweep.configurations[7].id;
    for ((id, seed), outcome) in &mut material.outcomes {
        if let TaskOutcome::Done(result) = outcome {
            result.metrics.insert("pearson_r", -0.2 + 0.01 * *seed as f64);
            if *id == baseline {
                // A regression has no confusion matrix.
                result.confusion.clear();
                result.history.truncate(usize::try_from(*seed).unwrap());
            }
        }
    }
    let report = Written::new(&material);
    assert!(report.page().contains("No result has ghost."));
    let plots = report.plots();
    assert!(plots.contains(&"pearson_r.svg".to_owned()), "{plots:?}");
    assert_eq!(plots.iter().filter(|name| name.starts_with("confusion-")).count(), 1, "{plots:?}");
}

#[test]
fn settings_that_are_words() {
    let source = format!("{PLAIN}parameters: {{training.shuffle: [once, every_epoch]}}\nseeds: [0, 1, 2]");
    let report = Written::new(&material(&source, |index| 0.4 + 0.1 * index as f64));
    assert!(!report.page().contains("without modality dropout"), "nothing is ever dropped");
    let accuracy = report.file("plots/accuracy.svg");
    let place = |name: &str| accuracy.find(name).unwrap_or_else(|| panic!("{name} in {accuracy}"));
    assert!(place("shuffle=every_epoch") < place("shuffle=once"), "the best comes first");
}

#[test]
fn several_parameters_make_several_lines() {
    let source = format!(
        "{PLAIN}parameters: {{training.learning_rate: [0.0001, 0.001, 0.1], model.hidden: [HIDDEN]}}\nseeds: [0, 1]"
    );
    let lines = |hidden: &str| {
        let source = source.replace("HIDDEN", hidden);
        let report = Written::new(&material(&source, |index| 0.4 + 0.01 * (index % 7) as f64));
        report.page();
        report.file("plots/accuracy.svg")
    };
    let two = lines("16, 32");
    assert_eq!(two.matches("<polyline").count(), 2);
    assert!(two.contains("hidden=16") && two.contains("hidden=32") && two.contains("1e-3"), "{two}");
    let ten = lines("1, 2, 3, 4, 5, 6, 7, 8, 9, 10");
    assert_eq!(ten.matches("<polyline").count(), 10);
    assert!(ten.contains("best on validation: hidden=") && ten.contains("9 other combinations"), "{ten}");
    assert_eq!(ten.matches("fill-opacity=\"0.14\"").count(), 1, "only the best has a band");
}

#[test]
fn a_thousand_configurations() {
    let levels: Vec<String> = (0..1000).map(|index| (f64::from(index) / 1000.0).to_string()).collect();
    let source = format!(
        "{PLAIN}parameters: {{modality_dropout.audio: [{}]}}\nreport: {{baseline: {{modality_dropout.audio: 0.5}}}}\nseeds: [0, 1]",
        levels.join(", ")
    );
    let began = Instant::now();
    let report = Written::new(&material(&source, |index| 0.4 + 0.0001 * index as f64));
    let page = report.page();
    println!("{} bytes in {:?}", page.len(), began.elapsed());
    assert!(page.len() < 4_000_000, "{}", page.len());
    assert!(page.contains("24 of 1000 configurations"));
    assert_eq!(report.plots().iter().filter(|name| name.starts_with("learning-")).count(), 24);
    assert_eq!(
        report.file("plots/accuracy.svg").matches("<circle").count(),
        1,
        "no marks, but in the legend"
    );
}

#[test]
fn nothing_from_outside_is_markup() {
    const EVIL: &str = "</title><script>alert('x')</script>&\"|$%_";
    let mut material = made_up::paper();
    material.sweep.report.metrics = vec![EVIL.to_owned()];
    material.provenance.version = EVIL.to_owned();
    material.provenance.commit = Some(EVIL.to_owned());
    material.failures[0].message = EVIL.to_owned();
    material.failures[0].reason = EVIL.to_owned();
    for configuration in &mut material.sweep.configurations {
        Arc::make_mut(&mut configuration.values).insert("dataset".to_owned(), EVIL.into());
        configuration.network_mut().unwrap().dataset = EVIL.to_owned();
    }
    for outcome in material.outcomes.values_mut() {
        if let TaskOutcome::Done(result) = outcome {
            result.metrics.insert(EVIL, 0.5);
            result.device = EVIL.to_owned();
        }
    }
    let mut reference = made_up::REFERENCE.replace("loss", "\"</td><script>\"");
    reference.insert_str(0, "# </p><script>\n");
    material.reference = Some(colearn_report::Reference::parse(&reference, EVIL).unwrap());
    let report = Written::new(&material);
    let page = report.page();
    assert!(page.contains("&lt;script&gt;alert"));
    for plot in report.plots() {
        assert!(!report.file(&format!("plots/{plot}")).contains("<script"), "{plot}");
    }
    assert!(!report.file("results.md").contains("<script"));
    let latex = report.file("results.tex");
    assert!(latex.contains("\\&\"|\\$\\%\\_"), "{latex}");
    let widths: Vec<usize> = latex
        .lines()
        .filter(|line| line.ends_with("\\\\"))
        .map(|line| line.replace("\\&", "").matches('&').count())
        .collect();
    assert!(widths.iter().all(|width| *width == widths[0]), "{widths:?}");
}

#[test]
fn a_folder_that_can_not_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = colearn_report::write(&made_up::paper(), &made_up::paper().table(), &file.join("report"))
        .unwrap_err();
    assert!(error.to_string().starts_with("cannot write `"), "{error}");
}

#[test]
fn numbers_of_any_size_are_told_in_a_few_digits_and_are_never_infinite() {
    for size in [1.7e308, f64::MAX, 1e150, 3e12] {
        let mut material = made_up::paper();
        for ((id, seed), outcome) in &mut material.outcomes {
            let TaskOutcome::Done(result) = outcome else { continue };
            let sign = if (id.0 ^ seed).is_multiple_of(2) { -1.0 } else { 1.0 };
            let names = result.metrics.keys().map(|name| (name.to_owned(), sign * size));
            result.metrics = names.collect();
            for epoch in &mut result.history {
                *epoch = EpochRecord::of_network(epoch.epoch, size, sign * size, 0.5);
            }
        }
        let report = Written::new(&material);
        let mut files: Vec<String> = report.plots().iter().map(|name| format!("plots/{name}")).collect();
        files.extend(["index.html", "results.md", "results.tex", "results.csv"].map(str::to_owned));
        for name in files {
            let text = report.file(&name);
            let words = text.split(|character: char| !character.is_alphanumeric());
            for word in words {
                let word = word.to_lowercase();
                assert!(word != "inf" && word != "nan" && word != "infinity", "{name}: {text}");
                // Digests have 64 digits.
                let digits = word.len() > 64 && word.bytes().all(|byte| byte.is_ascii_digit());
                assert!(!digits, "{name}: {word}");
            }
        }
    }
}
