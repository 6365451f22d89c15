//! Every shipped sweep file can be run unchanged.

use std::{collections::BTreeSet, fs, path::Path};

use colearn_core::sweep::{Parsed, Sweep};

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

/// The whole grid can be trained in one cohort, and is compared with the unimodal network.
fn assert_one_cohort_and_one_baseline(sweep: &Sweep) {
    let cohorts: BTreeSet<_> = sweep.configurations.iter().map(|c| c.cohort_key).collect();
    assert_eq!(cohorts.len(), 1);
    let baselines: Vec<_> = sweep.configurations.iter().filter(|c| c.baseline).collect();
    assert_eq!(baselines.len(), 1);
    assert!(baselines[0].settings.network().is_some_and(|network| network.unimodal));
}

/// sweeps/README.md contains the output of `colearn settings`.
#[test]
fn the_page_of_settings_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sweeps/README.md");
    let page = String::from_utf8(fs::read(path).expect("the page ships")).expect("the page is UTF-8");
    let reference = colearn_core::sweep::reference();
    assert!(page.contains(&format!("```\n{reference}```\n")), "put this into sweeps/README.md:\n{reference}");
}
