//! Sweeps whose configurations are too many for a page.

use crate::{Written, made_up};

/// With the baseline more rows than a page shows, and more lines than a chart can have.
const LEVELS: [usize; 2] = [11, 48];

fn material() -> colearn_report::Material {
    let [audio, video] = LEVELS;
    let source = format!(
        "name: large\ndataset: d\nprimary: language\nparameters:\n  \
         modality_dropout.audio: {{min: 0, max: 0.9, count: {audio}}}\n  \
         modality_dropout.video: {{min: 0, max: 0.9, count: {video}}}\n\
         include: [{{unimodal: true}}]\nseeds: [0, 1, 2]\n\
         report: {{metrics: [accuracy, loss], baseline: {{unimodal: true}}}}\n"
    );
    // The baseline is the last configuration, and not among the best.
    made_up::material(&source, |index| 0.4 + 0.0002 * (index % (audio * video)) as f64)
}

#[test]
fn a_page_of_many_configurations_shows_the_best_and_files_have_all() {
    let material = material();
    let table = material.table();
    let all = table.configurations.len();
    assert_eq!(all, LEVELS[0] * LEVELS[1] + 1);
    let written = Written::new(&material);
    let page = written.page();
    // One for the table, one for each seed of each configuration, and one for the comparisons in either metric.
    let note = format!(
        "Of {all} configurations, the 100 best by valid/accuracy, and the baseline; all are in the files."
    );
    assert_eq!(page.matches(&note).count(), 3, "{}", &page[..3000]);
    let rows = page.matches("<tr").count();
    assert!((4 * 101..4 * 101 + 60).contains(&rows), "{rows}");
    assert!(page.len() < 500_000, "{}", page.len());
    let best = table.chosen_row().unwrap();
    assert!(page.contains(&best.name) && page.contains("class=\"best\""), "{}", best.name);
    // The text at the top is about all of them.
    assert!(page.contains(&format!("{} of {}", 3 * all, 3 * all)), "{}", &page[..3000]);

    let lines = |name: &str| written.file(name).lines().count();
    assert_eq!(lines("results.csv"), all + 1);
    assert_eq!(lines("results-long.csv"), 6 * 3 * all + 1);
    assert_eq!(lines("history-long.csv"), 40 * 3 * 3 * all + 1);
    assert_eq!(written.file("results.json").matches("\"compared_with\"").count(), all + 1);
    assert!(written.file("results.md").lines().count() > all);
    for chart in written.plots() {
        let size = written.file(&format!("plots/{chart}")).len();
        assert!(size < 40_000, "{chart}: {size}");
    }
}

#[test]
fn too_many_lines_of_a_chart_are_drawn_as_their_spread() {
    let written = Written::new(&material());
    let chart = written.file("plots/accuracy.svg");
    // The best one is a line, of the others there is the median.
    assert!(
        chart.contains("median of 47 other combinations") && chart.contains("best on validation"),
        "{chart}"
    );
    assert_eq!(chart.matches("<polyline").count(), 2, "{chart}");
    assert!(written.page().contains("their middle half"));
    // Few enough are drawn one by one, and shown completely.
    let source = "name: few\ndataset: d\nprimary: language\nparameters:\n  \
         modality_dropout.audio: {min: 0, max: 0.9, count: 3}\n  \
         modality_dropout.video: {min: 0, max: 0.9, count: 20}\nseeds: [0, 1]\n";
    let written = Written::new(&made_up::material(source, |index| 0.4 + 0.0001 * index as f64));
    let chart = written.file("plots/accuracy.svg");
    assert!(chart.contains("19 other combinations") && !chart.contains("median"), "{chart}");
    assert_eq!(chart.matches("<polyline").count(), 20, "{chart}");
    assert!(!written.page().contains("all are in the files"));
}
