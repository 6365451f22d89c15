//! Every shipped sweep file can be run unchanged.

use std::{collections::BTreeSet, fs, path::Path};

use colearn_core::{
    settings::ModalityDraw,
    sweep::{Parsed, Sweep},
};

fn shipped(name: &str) -> Parsed {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sweeps").join(name);
    let bytes = fs::read(&path).expect("the file ships");
    let source = String::from_utf8(bytes).expect("sweep files are UTF-8");
    match Sweep::parse_in(&source, name, "/home/me/sweeps") {
        Ok(parsed) => parsed,
        Err(diagnostics) => panic!("{diagnostics}"),
    }
}

#[test]
fn every_shipped_file_is_valid_and_without_warnings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sweeps");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        if file.ends_with(".yaml") {
            let parsed = shipped(&file);
            assert!(parsed.warnings.is_empty(), "{file}: {:?}", parsed.warnings);
            assert!(names.insert(parsed.sweep.name.clone()), "{file}: a second sweep of that name");
        }
    }
    assert!(names.len() >= 2);
}

#[test]
fn the_demo_moves_audio_and_video_together() {
    let Parsed { sweep, .. } = shipped("demo.yaml");
    assert_eq!((sweep.configurations.len(), sweep.seeds.len()), (8, 5));
    assert_eq!(sweep.modalities_named(), BTreeSet::from(["audio", "language", "video"]));
    for configuration in &sweep.configurations {
        let dropout = &configuration.settings.network().unwrap().modality_dropout;
        assert_eq!(dropout.get("audio"), dropout.get("video"));
    }
    assert_one_cohort_and_one_baseline(&sweep);
}

#[test]
fn utd_mhad_is_the_papers_grid() {
    let Parsed { sweep, .. } = shipped("utd-mhad.yaml");
    assert_eq!((sweep.configurations.len(), sweep.task_count()), (8, 40));
    let levels: Vec<_> = sweep.configurations[..7]
        .iter()
        .map(|c| c.settings.network().unwrap().modality_dropout.get("skeleton").copied().unwrap_or(0.0))
        .collect();
    assert_eq!(levels, [0.0, 0.15, 0.4, 0.6, 0.8, 0.9, 0.95]);
    assert_one_cohort_and_one_baseline(&sweep);
}

/// The sweeps by the paper's text have the grid of those by the authors' code, and what the text says of training.
#[test]
fn the_sweeps_by_the_text_differ_from_those_by_the_code_in_what_the_text_says() {
    for (code, text) in
        [("iemocap-bi-eflstm.yaml", "iemocap-bi-eflstm-text.yaml"), ("mosi-mfn.yaml", "mosi-mfn-text.yaml")]
    {
        let [code, text] = [code, text].map(|name| shipped(name).sweep);
        assert_eq!((code.configurations.len(), code.task_count()), (8, 40));
        assert_eq!((text.configurations.len(), text.task_count()), (8, 40));
        assert_one_cohort_and_one_baseline(&text);
        for (code, text) in code.configurations.iter().zip(&text.configurations) {
            let [code, text] = [code, text].map(|configuration| configuration.settings.network().unwrap());
            assert_eq!(code.modality_dropout, text.modality_dropout);
            assert_eq!(code.unimodal, text.unimodal);
            assert_eq!(code.training.modality_draw, ModalityDraw::Shared);
            assert_eq!(text.training.modality_draw, ModalityDraw::Independent);
        }
    }
    let text = shipped("iemocap-bi-eflstm-text.yaml").sweep.configurations[0].settings.flat();
    for (path, value) in [
        ("model.hidden", "128"),
        ("model.layers", "1"),
        ("model.dropout", "0.0"),
        ("training.epochs", "40"),
        ("training.batch_size", "15"),
        ("training.learning_rate", "0.0001"),
        ("training.schedule", "\"plateau\""),
        ("training.modality_granularity", "\"batch\""),
    ] {
        assert_eq!(text[path].to_string(), value, "{path}");
    }
}

#[test]
fn the_folds_of_utd_mhad_are_replicates_with_a_baseline_each() {
    let Parsed { sweep, .. } = shipped("utd-mhad-folds.yaml");
    assert_eq!((sweep.configurations.len(), sweep.task_count()), (16, 48));
    assert_eq!(sweep.report.replicates, ["dataset"]);
    let folds: BTreeSet<_> = sweep
        .configurations
        .iter()
        .filter(|configuration| configuration.baseline)
        .map(|configuration| configuration.settings.network().unwrap().dataset.clone())
        .collect();
    // The names that datasets/prepare_utd_mhad.py --folds 4 gives its files.
    assert_eq!(folds, (0..4).map(|fold| format!("utd-mhad-fold{fold}")).collect());
}

/// The whole grid can be trained in one cohort, and is compared with the unimodal network.
fn assert_one_cohort_and_one_baseline(sweep: &Sweep) {
    let cohorts: BTreeSet<_> = sweep.configurations.iter().map(|c| c.cohort_key).collect();
    assert_eq!(cohorts.len(), 1);
    let baselines: Vec<_> = sweep.configurations.iter().filter(|c| c.baseline).collect();
    assert_eq!(baselines.len(), 1);
    assert!(baselines[0].settings.network().is_some_and(|network| network.unimodal));
}
