//! Comparisons of configurations and sweeps, and the selection of rows.

use std::sync::Arc;

use colearn_core::table::TaskOutcome;
use colearn_report::{
    Material, Selection,
    compare::{self, Side},
};

use crate::{Written, made_up};

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

/// The made-up sweep under another name, with `add` to every accuracy.
fn other(name: &str, add: f64) -> Material {
    let mut material = made_up::paper();
    material.sweep.name = name.parse().unwrap();
    for outcome in material.outcomes.values_mut() {
        if let TaskOutcome::Done(result) = outcome {
            result.metrics.insert("accuracy", result.metrics["accuracy"] + add);
            result.data_digest = name.to_owned();
        }
    }
    material
}

#[test]
fn configurations_are_compared_at_the_seeds_that_both_have() {
    let material = made_up::paper();
    let table = material.table();
    let sides: Vec<Side<'_>> =
        table.configurations.iter().map(|row| Side::of(&material, &table, row)).collect();
    let baseline = table.configurations.iter().position(|row| row.baseline).unwrap();
    let pairs = compare::configurations(&sides[baseline], &sides, &["accuracy".to_owned()], 0.95).unwrap();
    for (row, own) in pairs.rows.iter().zip(&table.configurations) {
        assert!(row.second.ends_with(&colearn_core::names::as_argument(&own.name)), "{row:?}");
        let Some(expected) = own.comparisons.get("accuracy") else { continue };
        let found = row.comparison.unwrap();
        assert_eq!((found.pairs, found.t_p), (expected.pairs, expected.t_p), "{}", row.name);
        near(found.mean_difference, expected.mean_difference);
    }
    let unknown = compare::configurations(&sides[0], &sides, &["nope".to_owned()], 0.95).unwrap_err();
    assert!(unknown.contains("`nope`") && unknown.contains("accuracy"), "{unknown}");
}

#[test]
fn two_sweeps_are_compared_by_the_names_of_their_configurations() {
    let (one, two) = (made_up::paper(), other("two", 0.1));
    let tables = (one.table(), two.table());
    let pairs =
        compare::sweeps((&one, &tables.0), (&two, &tables.1), &["accuracy".to_owned()], 0.95).unwrap();
    assert_eq!(pairs.rows.len(), tables.0.configurations.len());
    for row in &pairs.rows {
        near(row.comparison.unwrap().mean_difference, 0.1);
    }
    let sheet = &pairs.sheets()[0];
    assert!(sheet.title.contains("two (second) against iemocap-bi-eflstm (first)"), "{}", sheet.title);
    let records = pairs.records();
    assert!(records.iter().all(|record| record.len() == records[0].len()));
    assert_eq!(pairs.json()["comparisons"].as_array().unwrap().len(), pairs.rows.len());
}

#[test]
fn several_sweeps_have_ranks_and_probabilities_of_improvement() {
    let sweeps = [made_up::paper(), other("two", 0.1), other("three", -0.1)];
    let tables: Vec<_> = sweeps.iter().map(Material::table).collect();
    let all: Vec<_> = sweeps.iter().zip(&tables).collect();
    let across = compare::across(&all, &["accuracy".to_owned()], 0.95).unwrap();
    assert_eq!(across.sweeps, ["iemocap-bi-eflstm", "two", "three"]);
    let metric = &across.metrics[0];
    // All three rank the configurations alike.
    let ranks = metric.ranks.as_ref().unwrap();
    near(ranks.friedman.unwrap(), 3.0 * (metric.rows.len() as f64 - 1.0));
    let baseline = across.baseline.as_deref().unwrap();
    for (at, row) in metric.rows.iter().enumerate() {
        near(row.means[1].unwrap(), row.means[0].unwrap() + 0.1);
        assert_eq!(row.improvement.is_none(), row.name == baseline, "{}", row.name);
        assert_eq!(row.profile.len(), metric.thresholds.len());
        assert!((1.0..=metric.rows.len() as f64).contains(&ranks.average[at]));
    }
    let records = across.records();
    assert!(records.iter().all(|record| record.len() == records[0].len()));
    let mut renamed = other("four", 0.0);
    for configuration in &mut renamed.sweep.configurations {
        Arc::make_mut(&mut configuration.values)
            .insert("model.hidden".to_owned(), configuration.id.to_string().into());
    }
    let table = renamed.table();
    let error = compare::across(&[all[0], (&renamed, &table)], &[], 0.95).unwrap_err();
    assert!(error.contains("no configuration has the same name"), "{error}");
}

/// A loss that explodes is finite up to 1.8e308: sums and differences of such numbers are not.
#[test]
fn numbers_at_the_end_of_the_range_are_compared_without_infinities() {
    let exploding = |name: &str, sign: f64| {
        let mut material = other(name, 0.0);
        for ((id, seed), outcome) in &mut material.outcomes {
            let TaskOutcome::Done(result) = outcome else { continue };
            let sign = if (id.0 ^ *seed).is_multiple_of(3) { sign } else { 1.0 };
            let loss = sign * (1.5e308 + 1e307 * (*seed as f64 % 3.0));
            result.metrics.insert("loss", loss);
            result.metrics.insert("valid/loss", loss);
        }
        material
    };
    for sign in [1.0, -1.0] {
        let sweeps = [exploding("one", sign), exploding("two", 1.0), exploding("three", sign)];
        let tables: Vec<_> = sweeps.iter().map(Material::table).collect();
        let all: Vec<_> = sweeps.iter().zip(&tables).collect();
        let wanted = ["loss".to_owned()];
        let across = compare::across(&all, &wanted, 0.95).unwrap();
        let pairs = compare::sweeps(all[0], all[1], &wanted, 0.95).unwrap();
        assert!(
            across.metrics[0].rows.iter().all(|row| row.means.iter().flatten().all(|mean| mean.is_finite()))
        );
        let mut said: Vec<String> =
            across.sheets().iter().chain(&pairs.sheets()).map(compare::Sheet::markdown).collect();
        said.extend([compare::csv(&across.records()), compare::csv(&pairs.records())]);
        for text in &said {
            let text = text.to_lowercase();
            let words = text.split(|c: char| !c.is_alphanumeric());
            assert!(words.clone().all(|word| !["inf", "nan"].contains(&word)), "{text}");
            assert!(text.contains("e308"), "{text}");
        }
        let first = &across.json()["metrics"][0]["configurations"][0];
        assert!(first["interquartile_mean"]["value"].is_number(), "{first}");
        for material in &sweeps {
            Written::new(material).page();
        }
    }
}

#[test]
fn rows_are_sorted_and_cut_and_metrics_chosen() {
    let select = |selection: Selection| {
        let mut table = made_up::paper().table();
        let all = table.configurations.len();
        let hidden = selection.apply(&mut table).map_err(|unknown| unknown.to_string())?;
        assert_eq!(table.configurations.len() + hidden, all);
        Ok::<_, String>(table)
    };
    let sorted = |by: &str| {
        let table = select(Selection { sort: Some(by.to_owned()), ..Selection::default() })?;
        Ok::<_, String>(table.configurations.iter().map(|row| row.metrics["loss"].mean).collect::<Vec<_>>())
    };
    assert!(sorted("loss").unwrap().is_sorted(), "the best comes first");
    assert!(sorted("-loss").unwrap().is_sorted_by(|a, b| a >= b));
    let unknown = sorted("los").unwrap_err();
    assert!(unknown.contains("metric or setting `los`"), "{unknown}");
    let top = select(Selection { top: Some(2), sort: Some("audio".into()), ..Selection::default() }).unwrap();
    assert_eq!(top.configurations.len(), 3, "two and the baseline");
    assert!(top.baseline().is_some());
    let shown = select(Selection {
        columns: Some(vec!["hidden".into(), "audio".into()]),
        metrics: vec!["f_score".into()],
        ..Selection::default()
    })
    .unwrap();
    assert_eq!(colearn_report::setting_columns(&shown), ["model.hidden", "modality_dropout.audio"]);
    assert_eq!(shown.metrics, ["f_score"]);
    let unknown = select(Selection { metrics: vec!["f_scor".into()], ..Selection::default() }).unwrap_err();
    assert!(
        unknown.contains("no metric `f_scor`") && unknown.contains("did you mean `f_score`?"),
        "{unknown}"
    );
}

#[test]
fn two_parameters_that_vary_independently_have_a_map() {
    let has_map = |zip: &str| {
        let text = format!(
            "name: x\ndataset: demo\nprimary: language\nmodel: {{kind: bi-eflstm, hidden: 8, layers: 1, dropout: 0.2}}\ntraining: {{epochs: 3, batch_size: 32, learning_rate: 0.003}}\nparameters:\n  modality_dropout.audio: [0, 0.8]\n  modality_dropout.video: [0, 0.8]\n{zip}include:\n  - {{unimodal: true}}\nseeds: [0, 1, 2]\nreport: {{metrics: [accuracy], baseline: {{unimodal: true}}}}\n"
        );
        let mut material = made_up::paper();
        material.sweep = colearn_core::sweep::Sweep::parse(&text, "x.yaml").unwrap().sweep;
        material.outcomes = material
            .sweep
            .configurations
            .iter()
            .enumerate()
            .flat_map(|(at, it)| (0..3).map(move |seed| (at, it.id, seed)))
            .map(|(at, id, seed)| {
                let value = 0.5 + 0.05 * at as f64 + 0.01 * seed as f64;
                let metrics = [("accuracy".to_owned(), value)].into();
                let result = colearn_core::result::TaskResult { metrics, ..Default::default() };
                ((id, seed), TaskOutcome::Done(result))
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        colearn_report::write(&material, &material.table(), &folder.path().join("report")).unwrap();
        std::fs::read_to_string(folder.path().join("report/plots/heat-accuracy.svg")).ok()
    };
    let map = has_map("").unwrap();
    assert_eq!(map.matches("<rect").count() - usize::from(map.contains("class=\"f-ground\"")), 4, "{map}");
    assert!(map.contains("baseline (unimodal): 0.7"), "{map}");
    assert!(map.contains("dropout of audio") && map.contains("dropout of video"), "{map}");
    assert_eq!(has_map("zip: [[modality_dropout.audio, modality_dropout.video]]\n"), None);
}
