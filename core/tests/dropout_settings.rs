//! The identity of settings of modality dropout.

use colearn_core::sweep::{Parsed, Sweep};

fn parse(rest: &str) -> Parsed {
    Sweep::parse(&format!("name: x\ndataset: d\nprimary: language\n{rest}\n"), "x.yaml")
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

fn id(rest: &str) -> String {
    let sweep = parse(rest).sweep;
    assert_eq!(sweep.configurations.len(), 1);
    sweep.configurations[0].id.to_string()
}

/// The identifiers of results that exist: settings that are added later are not part of them.
#[test]
fn identifiers_stay_the_same() {
    for (rest, expected) in [
        ("", "eb2584d121a29dff"),
        ("unimodal: true\ntraining: {shuffle: once}", "e2e80f2a36ba9602"),
        (
            "modality_dropout: {audio: 0.8, video: 0.8}\ntraining: {modality_draw: shared, modality_part: steps}",
            "e75e390ecddfc27a",
        ),
    ] {
        assert_eq!(id(rest), expected, "{rest}");
    }
}

#[test]
fn schemes_tell_configurations_apart_where_they_make_a_difference() {
    let dropping = "modality_dropout: {a: 0.5}\n";
    for (settings, training, is_same) in [
        ("", "modality_rescale: true, modality_anneal_epochs: 5", true),
        ("unimodal: true\n", "modality_replacement: mean", true),
        (dropping, "modality_anneal_start: 0.5", true),
        (dropping, "modality_anneal_epochs: 5, modality_anneal_start: 1", true),
        // The absent modalities of the test are replaced even where nothing is dropped.
        ("", "modality_replacement: mean", false),
        (dropping, "modality_replacement: mean", false),
        (dropping, "modality_rescale: true", false),
        (dropping, "modality_anneal_epochs: 5", false),
        (dropping, "modality_draw: exclusive", false),
        (dropping, "modality_granularity: batch_step", false),
    ] {
        let with = format!("{settings}training: {{{training}}}");
        assert_eq!(id(settings) == id(&with), is_same, "{with}");
    }
    let replaced =
        |settings: &str, by: &str| id(&format!("{settings}training: {{modality_replacement: {by}}}"));
    assert_eq!(replaced("", "mean"), replaced("", "noise"), "noise is tested with the mean");
    assert_ne!(replaced(dropping, "mean"), replaced(dropping, "noise"));
}

#[test]
fn what_trains_the_same_is_merged() {
    let count = |rest: &str| {
        let Parsed { sweep, warnings, .. } = parse(rest);
        (sweep.configurations.len(), warnings.len())
    };
    // With one level an exclusive draw is a shared one.
    let draws = "parameters: {training.modality_draw: [shared, exclusive]}";
    assert_eq!(count(&format!("modality_dropout: {{a: 0.5}}\n{draws}")), (1, 1));
    assert_eq!(count(&format!("modality_dropout: {{a: 0.5, b: 0.5}}\n{draws}")), (2, 0));
    // A partial drop of nothing keeps everything, so that there is nothing to make up for.
    let rescaled = "training: {modality_part: features, modality_fraction: 0}\nparameters: {training.modality_rescale: [true, false]}";
    assert_eq!(count(&format!("modality_dropout: {{a: 0.5}}\n{rescaled}")), (1, 1));
}
