//! Tests of a regression that is measured for several subsets of the modalities.

use std::sync::Arc;

use colearn_core::table::TaskOutcome;

use crate::{
    Written,
    made_up::{self, ALL},
};

#[test]
fn metrics_under_all_modalities_have_columns_and_charts_of_their_own() {
    let report = Written::new(&made_up::regression());
    let page = report.page();
    assert!(page.contains(">accuracy (language + audio + video)</th>"), "{page}");
    assert!(page.contains("<figcaption>loss (language + audio + video)</figcaption>"));
    assert!(page.contains("or on the modalities in brackets"));
    let plots = report.plots();
    for plot in ["accuracy.svg", "accuracy-language-audio-video.svg", "loss-language-audio-video.svg"] {
        assert!(plots.iter().any(|name| name == plot), "{plot} in {plots:?}");
    }
    let latex = report.file("results.tex");
    assert!(latex.contains("& accuracy (language + audio + video) &"), "{latex}");
    assert!(report.file("results.md").contains("| accuracy (language + audio + video) |"));
    assert!(report.file("results.csv").contains(&format!("accuracy@{ALL}_mean")), "programs get the name");
    // A lower loss is better. The paper's verdicts are about the primary modality alone.
    let json: serde_json::Value = serde_json::from_str(&report.file("results.json")).unwrap();
    let compared = |name: &str| json["configurations"][0]["comparisons"][name].clone();
    assert_eq!(compared("loss")["verdict"], "NCL");
    let all = compared(&format!("loss@{ALL}"));
    assert!(all["verdict"].is_null() && all["mean_difference"].as_f64() < Some(-0.3), "{all}");
}

#[test]
fn a_chart_shows_which_level_serves_both() {
    let report = Written::new(&made_up::regression());
    assert!(report.page().contains("<h2>One level for both</h2>"));
    let chart = report.file("plots/subsets-accuracy.svg");
    assert_eq!(chart.matches("<polyline").count(), 2);
    assert!(chart.contains(">language alone</text>") && chart.contains(">language + audio + video</text>"));
    // At 0.6 both are close to their best; at 0.4 language alone is far from it, at 0.8 all three together are.
    assert!(chart.contains(">serves all: 0.6</text>"), "{chart}");
    assert!(report.file("plots/subsets-loss.svg").contains("serves all: 0.6"));
    // The same for a metric that is not shown otherwise.
    let mut material = made_up::regression();
    material.sweep.report.metrics = vec!["loss".to_owned()];
    let hidden = Written::new(&material);
    hidden.page();
    assert!(hidden.file("plots/subsets-accuracy.svg").contains(">serves all: 0.6</text>"));
    let paper = Written::new(&made_up::paper());
    assert!(paper.plots().iter().all(|name| !name.starts_with("subsets-")));
    assert!(!paper.page().contains("One level for both"));
}

#[test]
fn axes_and_captions_say_what_a_regression_measures() {
    let report = Written::new(&made_up::regression());
    assert!(report.file("plots/loss.svg").contains("loss (MAE, lower is better)"));
    assert!(report.file("plots/accuracy.svg").contains("accuracy (share of equal sign)"));
    let learning = report.plots().into_iter().find(|name| name.starts_with("learning-")).unwrap();
    assert!(report.file(&format!("plots/{learning}")).contains(">equal sign</text>"));
    let page = report.page();
    assert!(page.contains("Loss (mean absolute error) and share of equal sign by epoch"));
    assert!(page.contains("clipped to -3 to 3 and rounded"));
    let classification = Written::new(&made_up::paper());
    assert!(!classification.page().contains("equal sign"));
    assert!(classification.file("plots/loss.svg").contains("loss (lower is better)"));
    // No axis title is cut, and none is long enough to need it.
    for report in [&report, &classification] {
        for plot in report.plots() {
            let svg = report.file(&format!("plots/{plot}"));
            let titles = svg.split("rotate(-90").skip(1).filter_map(|rest| rest.split(['>', '<']).nth(1));
            assert!(titles.clone().count() > 0 && titles.clone().all(|it| !it.contains('…')), "{plot}");
        }
    }
}

#[test]
fn classes_are_called_by_their_names() {
    let matrix = |report: &Written| {
        let name = report.plots().into_iter().find(|name| name.starts_with("confusion-")).unwrap();
        report.file(&format!("plots/{name}"))
    };
    let regression = matrix(&Written::new(&made_up::regression()));
    assert_eq!(regression.matches(">-3</text>").count(), 2, "a row and a column");
    assert!(regression.contains("class -2 predicted as 3:"), "{regression}");
    let emotions = matrix(&Written::new(&made_up::paper()));
    assert_eq!(emotions.matches(">fru</text>").count(), 2);

    // Long names are cut, and those above the columns run upwards.
    let mut material = made_up::paper();
    let long = "draw circle counter-clockwise";
    each(&mut material, |result| Arc::make_mut(&mut result.classes)[2] = long.to_owned());
    let actions = matrix(&Written::new(&material));
    assert_eq!(actions.matches(">draw circle count…</text>").count(), 2, "{actions}");
    assert_eq!(actions.matches("rotate(-90").count(), 1 + 9, "the axis and every column");
    assert!(actions.contains(&format!("class {long} predicted as sad")));

    // If there are many classes each has its name, in letters of at least size 9.
    let many = matrix(&Written::new(&made_up::many_classes()));
    assert_eq!(many.matches(">draw circle 27 ti…</text>").count(), 2, "{many}");
    assert_eq!(many.matches(">draw circle ").count(), 2 * 27);

    // If results have no class names or different ones, the classes have numbers.
    let numbered =
        |material: &colearn_report::Material| matrix(&Written::new(material)).matches(">8</text>").count();
    assert_eq!(numbered(&material), 0);
    let mut seed = 0;
    each(&mut material, |result| {
        seed += 1;
        Arc::make_mut(&mut result.classes)[0] = format!("other {seed}");
    });
    assert_eq!(numbered(&material), 2);
    each(&mut material, |result| Arc::make_mut(&mut result.classes).clear());
    assert_eq!(numbered(&material), 2);
}

#[test]
fn the_page_says_which_data_and_what_was_continued() {
    let page = Written::new(&made_up::regression()).page();
    for fact in [
        "<dt>sweep file</dt><dd>sweeps/made-up.yaml</dd>".to_owned(),
        format!("<dt>data set mosi</dt><dd>sha256 {}</dd>", "ab".repeat(32)),
        "<dt>continued from a checkpoint</dt><dd>audio=0.4 video=0.4 seed 1 after epoch 5 and 20</dd>"
            .to_owned(),
    ] {
        assert!(page.contains(&fact), "{fact}");
    }
    let mut material = made_up::regression();
    let mut other = true;
    each(&mut material, |result| {
        result.resumed_after.clear();
        if std::mem::take(&mut other) {
            result.data_digest = "cd".repeat(32);
        }
    });
    material.provenance.sweep_file = None;
    let page = Written::new(&material).page();
    assert!(page.contains(": different files, which the means mix"));
    assert!(!page.contains("continued from") && !page.contains("sweep file"));
}

#[test]
fn metrics_with_like_names_have_files_of_their_own() {
    let mut material = made_up::regression();
    let names = ["a-b", "A+B", "a+b"].map(|subset| format!("accuracy@{subset}"));
    material.sweep.report.metrics.extend(names);
    each(&mut material, |result| {
        for subset in ["a+b", "a-b", "A+B"] {
            result.metrics.insert(&format!("accuracy@{subset}"), 0.5);
        }
    });
    let plots = Written::new(&material).plots();
    for plot in ["accuracy-a-b.svg", "accuracy-A-B-2.svg", "accuracy-a-b-3.svg"] {
        assert!(plots.iter().any(|name| name == plot), "{plot} in {plots:?}");
    }
}

/// Applies a change to every result.
fn each(
    material: &mut colearn_report::Material,
    mut change: impl FnMut(&mut colearn_core::result::TaskResult),
) {
    for outcome in material.outcomes.values_mut() {
        if let TaskOutcome::Done(result) = outcome {
            change(result);
        }
    }
}
