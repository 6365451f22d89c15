//! Tests the content of a report of the paper's table.

use serde_json::Value;

use crate::{Written, made_up};

#[test]
fn the_page_has_all_there_is_to_show() {
    let material = made_up::paper();
    let report = Written::new(&material);
    let page = report.page();
    for said in [
        "<h1>iemocap-bi-eflstm</h1>",
        "8 configurations × 5 seeds; 38 of 40 results.",
        "<h2>Against the baseline</h2>",
        "<h2>Beside the published means</h2>",
        "<h2>Confusion matrices</h2>",
        "<h2>Learning curves</h2>",
        "<td>4 of 5</td>",
        "the training loss was not finite in epoch 7",
        "1 task failed for good, 1 without a result yet",
        "NVIDIA H100 (38 tasks)",
        "2337 s",
        "1,269,257",
        "0.1.0 (commit 0123abc)",
        "2026-11-20 10:00:00 UTC",
        "modality dropout of audio and video (probability)",
        "baseline: unimodal",
        "without modality dropout: audio=0.0 video=0.0",
        "<h2>F1 of each class</h2>",
        "<h2>The metrics</h2>",
        "<code>f1_score(y, p, average=&quot;weighted&quot;, zero_division=0)</code>",
        "title=\"F1 of the classes, weighted by their true support;",
        "f_score: F1 of the classes, weighted by their true support",
        "Of the configurations, the best is the one with the best mean valid/accuracy.",
    ] {
        assert!(page.contains(said), "`{said}` is not on the page");
    }
    // Without dropout the paper's network is far below the baseline; at 0.8 it is best.
    assert!(page.contains("<span class=\"verdict ncl\">NCL</span>-0.1"));
    assert!(page.contains("Best valid/accuracy: <strong>audio=0.8 video=0.8</strong> with accuracy 0.4"));
    // Seed 4 of one configuration is missing, so that nothing is chosen there.
    assert!(page.contains("<tr class=\"chosen\"><td class=\"l\">chosen</td><td></td>"), "{page}");
    assert!(page.contains("as one comparison of its own: audio=0.8 video=0.8 (4)"), "{page}");
    let plots = report.plots();
    assert_eq!(plots.iter().filter(|name| name.starts_with("learning-")).count(), 8);
    assert_eq!(plots.iter().filter(|name| name.starts_with("confusion-")).count(), 3);
    for metric in ["accuracy.svg", "loss.svg", "f_score.svg", "f_score_authors.svg"] {
        assert!(plots.iter().any(|name| name == metric), "{metric}");
    }
}

#[test]
fn a_chart_shows_band_baseline_and_published_means() {
    let report = Written::new(&made_up::paper());
    let accuracy = report.file("plots/accuracy.svg");
    assert_eq!(accuracy.matches("<circle").count(), 7 + 2, "a mark for each level, and two in the legend");
    assert_eq!(accuracy.matches("fill-opacity=\"0.14\"").count(), 1);
    let dashes = |pattern: &str| accuracy.matches(&format!("stroke-dasharray=\"{pattern}\"")).count();
    assert_eq!(dashes("5 4"), 1 + 1, "the baseline, and it in the legend");
    assert_eq!(dashes("2 3"), 1 + 1, "the published baseline, and it in the legend");
    assert!(accuracy.contains(">published baseline</text>"));
    assert_eq!(accuracy.matches("published: ").count(), 7);
    // The published F-score is the authors' variant, so it is not shown beside the usual one.
    assert_eq!(report.file("plots/f_score.svg").matches("published").count(), 0);
    assert_eq!(report.file("plots/f_score_authors.svg").matches("published: ").count(), 7);
}

/// Results of an earlier version have no validation metrics: nothing is called the best.
#[test]
fn without_validation_metrics_nothing_is_the_best() {
    let mut material = made_up::paper();
    for outcome in material.outcomes.values_mut() {
        if let colearn_core::table::TaskOutcome::Done(result) = outcome {
            result.metrics.retain(|name| !name.starts_with("valid/"));
        }
    }
    let report = Written::new(&material);
    let page = report.page();
    assert!(page.contains("none is called the best, as not all results have valid/accuracy"), "{page}");
    assert!(
        !page.contains("Best ")
            && !page.contains("<td class=\"best\">")
            && !page.contains("class=\"chosen\"")
    );
    assert!(!report.file("results.tex").contains("\\mathbf"));
    assert_eq!(report.plots().iter().filter(|name| name.starts_with("confusion-")).count(), 2);
    assert!(!report.0.path().join("chosen.csv").exists());
    let json: Value = serde_json::from_str(&report.file("results.json")).unwrap();
    assert_eq!((&json["best"], &json["chosen"]), (&Value::Null, &serde_json::json!([])));
}

#[test]
fn what_is_chosen_and_the_classes_have_files_of_their_own() {
    let report = Written::new(&made_up::paper());
    let json: Value = serde_json::from_str(&report.file("results.json")).unwrap();
    let chosen = &json["chosen"][0];
    assert_eq!(json["chosen"].as_array().unwrap().len(), 1);
    assert_eq!((&chosen["n"], &chosen["choices"][0]["times"]), (&4.into(), &4.into()));
    assert_eq!(chosen["choices"][0]["id"], json["best"]);
    assert!(chosen["comparisons"]["accuracy"]["t_p"].is_number());

    let text = report.file("chosen.csv");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let heading = reader.headers().unwrap().clone();
    let at = |name: &str| heading.iter().position(|it| it == name).unwrap_or_else(|| panic!("{name}"));
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 1);
    assert_eq!(&records[0][at("choices")], "audio=0.8 video=0.8 (4)");
    assert_eq!(&records[0][at("chosen_by")], "valid/accuracy");
    let mean: f64 = records[0][at("accuracy_mean")].parse().unwrap();
    assert_eq!(Some(mean), chosen["metrics"]["accuracy"]["mean"].as_f64());

    let classes = report.file("classes.csv");
    assert_eq!(classes.lines().count(), 1 + 8 * 9, "{classes}");
    assert!(classes.contains(",audio=0.8 video=0.8,fru,"), "{classes}");
}

#[test]
fn json_keeps_its_keys() {
    let report = Written::new(&made_up::paper());
    let json: Value = serde_json::from_str(&report.file("results.json")).unwrap();
    assert_eq!(json["sweep"], "iemocap-bi-eflstm");
    assert_eq!(json["verdict_metric"], "accuracy");
    let rows = json["configurations"].as_array().unwrap();
    assert_eq!(rows.len(), 8);
    for key in ["id", "settings", "baseline", "n", "expected", "state", "metrics", "comparisons", "verdict"] {
        assert!(rows.iter().all(|row| row.get(key).is_some()), "{key}");
    }
    for key in ["mean", "std", "ci_low", "ci_high"] {
        assert!(rows[0]["metrics"]["loss"][key].is_number(), "{key}");
    }
    assert_eq!((&rows[0]["verdict"], &rows[7]["verdict"]), (&"NCL".into(), &Value::Null));
    let compared = &rows[1]["comparisons"]["accuracy"];
    assert_eq!(compared["pairs"], 4);
    assert_eq!(compared["verdict"], "NCL");
    for key in [
        "mean_difference",
        "ci_low",
        "effect_size",
        "t_p",
        "t_p_holm",
        "adjusted_p",
        "welch_p",
        "correlation",
    ] {
        assert!(compared[key].is_number(), "{key}");
    }
    assert_eq!(compared["wilcoxon_p"], Value::Null, "four pairs are too few for it");
    let judged = &json["judged"]["accuracy"][0];
    assert_eq!((&judged["compared"], &judged["replicates"]), (&7.into(), &3.into()), "{judged}");
    // Loss is worse when it is higher.
    assert!(rows[0]["comparisons"]["loss"]["mean_difference"].as_f64() > Some(0.0));
    assert_eq!(rows[0]["comparisons"]["loss"]["verdict"], "NCL");
    assert_eq!(rows[0]["published"]["loss"], 1.81);
    assert_eq!(rows[0]["settings"]["modality_dropout"]["audio"], 0.0);
}

#[test]
fn csv_has_one_record_a_configuration() {
    let report = Written::new(&made_up::paper());
    let text = report.file("results.csv");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let heading = reader.headers().unwrap().clone();
    let column = |name: &str| heading.iter().position(|it| it == name).unwrap_or_else(|| panic!("{name}"));
    let (n, mean) = (column("n"), column("accuracy_mean"));
    let (pairs, verdict) = (column("accuracy_pairs"), column("accuracy_verdict"));
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 8);
    assert_eq!((&records[1][n], &records[1][pairs], &records[1][verdict]), ("4", "4", "NCL"));
    assert_eq!((&records[7][pairs], &records[7][verdict]), ("", ""));
    assert!((records[0][mean].parse::<f64>().unwrap() - 0.27).abs() < 0.02);
}

#[test]
fn latex_has_the_best_in_bold() {
    let report = Written::new(&made_up::paper());
    let latex = report.file("results.tex");
    for said in ["\\toprule", "\\midrule", "\\bottomrule", "modality\\_dropout.audio", "4 of 5"] {
        assert!(latex.contains(said), "{said}");
    }
    let bold: Vec<&str> = latex.lines().filter(|line| line.contains("\\mathbf")).collect();
    assert_eq!(bold.len(), 1, "one level is best in all: {latex}");
    assert!(bold[0].trim_start().starts_with("0.8 & 0.8"), "{}", bold[0]);
    assert_eq!(bold[0].matches("\\mathbf").count(), 4);
    let columns = |line: &str| line.matches(" & ").count();
    let rows: Vec<&str> = latex.lines().filter(|line| line.ends_with("\\\\")).collect();
    assert_eq!(rows.len(), 1 + 8 + 1, "the heading, the configurations, and what is chosen among them");
    assert!(rows[9].trim_start().starts_with("chosen &  & "), "{}", rows[9]);
    assert!(latex.contains("Bold: best valid/accuracy.") && latex.contains("weighted by their true support"));
    assert!(rows.iter().all(|row| columns(row) == columns(rows[0])), "{latex}");
    // Each difference has its interval and its mark, which a footnote explains.
    let body = latex.split("\\bottomrule").next().unwrap();
    assert_eq!(rows[1..8].iter().filter(|row| row.contains("$ $[")).count(), 7, "{latex}");
    for (sign, meaning) in [("^{+}", "(PCL)"), ("^{-}", "(NCL)")] {
        let footnote = format!("${sign}$ ");
        assert_eq!(
            body.contains(sign),
            latex.contains(&footnote) && latex.contains(meaning),
            "{sign}: {latex}"
        );
    }
    assert!(body.contains("^{-}"), "a row without dropout is worse: {latex}");
    assert!(latex.ends_with("  \\label{tab:iemocap-bi-eflstm}\n\\end{table}\n"), "{latex}");
}

#[test]
fn markdown_has_the_verdicts_and_the_published_means() {
    let report = Written::new(&made_up::paper());
    let text = report.file("results.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| 0.")).collect();
    assert_eq!(rows.len(), 7);
    assert!(rows[0].contains("| NCL -0.1"), "{}", rows[0]);
    assert!(
        rows[1].contains("over 4 pairs") && rows[1].contains("partial; 1 failed: diverged"),
        "{}",
        rows[1]
    );
    assert!(text.contains("| unimodal | accuracy | .45 | 0.4"), "{text}");
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_can_be_read_back() {
    use parquet::{
        file::reader::{FileReader as _, SerializedFileReader},
        record::Field,
    };

    let report = Written::new(&made_up::paper());
    let file = std::fs::File::open(report.0.path().join("results.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let rows: Vec<std::collections::HashMap<String, Field>> = reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| row.unwrap().get_column_iter().map(|(name, it)| (name.clone(), it.clone())).collect())
        .collect();
    assert_eq!(rows.len(), 8);
    assert_eq!(
        (&rows[1]["n"], &rows[1]["accuracy_verdict"]),
        (&Field::Long(4), &Field::Str("NCL".to_owned()))
    );
    let absent = (&rows[7]["modality_dropout.audio"], &rows[7]["accuracy_verdict"]);
    assert_eq!(absent, (&Field::Null, &Field::Null));
    assert_eq!(rows[4]["modality_dropout.audio"], Field::Double(0.8));
    // Every cell is that of the file of comma-separated values.
    let text = report.file("results.csv");
    let mut records = csv::Reader::from_reader(text.as_bytes());
    let heading = records.headers().unwrap().clone();
    for (record, row) in records.records().map(Result::unwrap).zip(&rows) {
        assert_eq!(row.len(), heading.len());
        for (name, cell) in heading.iter().zip(&record) {
            match &row[name] {
                Field::Null => assert_eq!(cell, "", "{name}"),
                Field::Str(word) => assert_eq!(cell, word, "{name}"),
                Field::Double(number) => assert_eq!(cell.parse(), Ok(*number), "{name}"),
                Field::Long(count) => assert_eq!(cell.parse(), Ok(*count), "{name}"),
                Field::Bool(flag) => assert_eq!(cell.parse(), Ok(*flag), "{name}"),
                other => panic!("{name} is {other:?}"),
            }
        }
    }
}

/// The tables of predictions of a classification and of a regression, without a group and an id here and there.
#[cfg(feature = "parquet")]
#[test]
fn parquet_of_predictions_has_the_values_of_the_table() {
    use parquet::{
        file::reader::{FileReader as _, SerializedFileReader},
        record::Field,
    };

    const CLASSES: &str = "\
split,modalities,index,id,group,truth,prediction,logit.swipe left,logit.1
valid,inertial,0,a1_s7_t1,s7,swipe left,1,-0.25,1.5
test,inertial,0,,s2,1,1,0.00000012,3.4028235e38
test,inertial+skeleton,1,\"a,\"\"b\"\"\",,1,swipe left,-1e-45,0.33333334
";
    const NUMBERS: &str = "\
split,modalities,index,id,group,truth,prediction
valid,language,0,03b[1],03b,-1.6,0.1
test,language,7,7,,3,-2.9999998
";
    for (csv, typed) in [(CLASSES, "logit.1"), (NUMBERS, "prediction")] {
        let bytes = colearn_report::predictions_parquet(csv.as_bytes()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("predictions.parquet");
        std::fs::write(&path, bytes).unwrap();
        let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
        let mut records = csv::Reader::from_reader(csv.as_bytes());
        let heading = records.headers().unwrap().clone();
        let (mut rows, mut numbers) = (0, 0);
        for (record, row) in records.records().map(Result::unwrap).zip(reader.get_row_iter(None).unwrap()) {
            let row = row.unwrap();
            let fields: Vec<(&String, &Field)> = row.get_column_iter().collect();
            assert_eq!(fields.len(), heading.len());
            for ((name, field), (expected, cell)) in fields.into_iter().zip(heading.iter().zip(&record)) {
                assert_eq!(name, expected);
                match field {
                    Field::Null => assert_eq!(cell, "", "{name}"),
                    Field::Str(word) => assert_eq!(cell, word, "{name}"),
                    Field::Long(count) => assert_eq!(cell.parse(), Ok(*count), "{name}"),
                    Field::Double(number) => {
                        assert_eq!(cell.parse(), Ok(*number), "{name}");
                        numbers += usize::from(name == typed);
                    }
                    other => panic!("{name} is {other:?}"),
                }
            }
            rows += 1;
        }
        let all = csv.lines().count() - 1;
        assert_eq!((rows, numbers), (all, all), "every row, and numbers in the column {typed}");
    }
    colearn_report::predictions_parquet(b"a,b\n1\n").unwrap_err();
}

#[test]
fn settings_that_differ_without_being_swept_are_on_the_page() {
    let source = made_up::SWEEP.replace("shuffle: once,", "shuffle: once, modality_replacement: mean,");
    let page = Written::new(&made_up::material(&source, |_| 0.5)).page();
    let section = page.split("Settings that differ besides the parameters").nth(1).unwrap();
    let fact = "<dt>training.modality_replacement</dt><dd>mean, zero</dd>";
    assert!(section.contains(fact), "a unimodal network has no use for it: {section}");
    let plain = Written::new(&made_up::material(made_up::SWEEP, |_| 0.5)).page();
    assert!(!plain.contains("Settings that differ besides"));
}
