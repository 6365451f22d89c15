//! The expansion of sweep files.

use std::collections::BTreeSet;

use colearn_core::{
    settings::{ModelSettings, NetworkSettings, Shuffle},
    sweep::{Configuration, Kept, Parsed, Plan, Sweep},
};
use serde_json::{Value, json};

const HEAD: &str = "name: x\ndataset: d\nprimary: language\n";

fn parse(rest: &str) -> Parsed {
    Sweep::parse(&format!("{HEAD}{rest}\n"), "x.yaml").unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

fn configurations(rest: &str) -> Vec<Configuration> {
    parse(rest).sweep.configurations
}

/// The values of one parameter, configuration by configuration.
fn column(path: &str, rest: &str) -> Vec<Value> {
    configurations(rest).iter().map(|c| c.values.get(path).cloned().unwrap_or(Value::Null)).collect()
}

fn only(rest: &str) -> NetworkSettings {
    let mut all = configurations(rest);
    assert_eq!(all.len(), 1);
    all.remove(0).settings.network().expect("the file trains a network").clone()
}

#[test]
fn defaults_fill_in_what_is_not_said() {
    let Parsed { sweep, .. } = parse("");
    assert_eq!(sweep.seeds, [0, 1, 2, 3, 4]);
    assert_eq!(sweep.report.metrics, ["accuracy", "loss", "f_score"]);
    assert_eq!(sweep.report.reference, None);
    assert_eq!((sweep.retries.max_attempts, sweep.retries.max_backoff.as_secs()), (3, 300));
    assert_eq!(
        serde_json::to_value(&sweep.configurations[0].settings).unwrap(),
        json!({
            "dataset": "d",
            "primary": "language",
            "unimodal": false,
            "model": {"kind": "bi-eflstm", "hidden": 128, "layers": 2, "dropout": 0.5},
            "training": {
                "epochs": 40, "batch_size": 15, "learning_rate": 0.001, "shuffle": "every_epoch",
                "drop_last": true, "modality_draw": "independent", "modality_granularity": "batch",
                "modality_part": "all", "modality_fraction": 0.5, "modality_replacement": "zero",
                "modality_rescale": false, "modality_anneal_epochs": 0, "modality_anneal_start": 0.0,
                "modality_anneal_end": 1.0, "beta1": 0.9, "beta2": 0.999,
                "weight_decay": 0.0, "gradient_clip": 0.0, "schedule": "constant", "plateau_factor": 0.1,
                "plateau_patience": 10, "patience": 0, "keep": "best", "keep_by": [],
            },
            "modality_dropout": {},
            "evaluate": [],
        })
    );
}

#[test]
fn every_setting_can_be_given_and_swept() {
    let settings = only(
        "unimodal: true\nmodel: {hidden: 3, layers: 1, dropout: 0}\ntraining: {epochs: 2, batch_size: 4, \
         learning_rate: 1, shuffle: once, drop_last: false, modality_draw: shared}\nmodality_dropout: {language: 0.5}",
    );
    assert_eq!((settings.training.epochs, settings.training.shuffle), (2, Shuffle::Once));
    assert_eq!(settings.modality_dropout["language"], 0.5);
    let swept = configurations(
        "parameters:\n  dataset: [a, b]\n  primary: audio\n  training.drop_last: [true, false]\n  training.shuffle: [once]",
    );
    assert_eq!(swept.len(), 4);
    assert_eq!(
        (
            swept[2].settings.network().unwrap().dataset.as_str(),
            swept[2].settings.network().unwrap().primary.as_str()
        ),
        ("b", "audio")
    );
}

#[test]
fn the_last_parameter_varies_fastest_and_a_group_stands_where_its_first_stands() {
    let grid = "parameters: {model.layers: [1, 2], model.hidden: [8, 16], training.epochs: [5, 6]}";
    assert_eq!(column("training.epochs", grid), [5, 6, 5, 6, 5, 6, 5, 6]);
    assert_eq!(column("model.layers", grid), [1, 1, 1, 1, 2, 2, 2, 2]);
    let zipped = format!("{grid}\nzip: [[training.epochs, model.layers]]");
    assert_eq!(column("model.layers", &zipped), [1, 1, 2, 2]);
    assert_eq!(column("training.epochs", &zipped), [5, 5, 6, 6]);
    assert_eq!(column("model.hidden", &zipped), [8, 16, 8, 16]);
    assert_eq!(parse(&zipped).sweep.parameters, ["model.layers", "model.hidden", "training.epochs"]);
}

#[test]
fn swept_numbers_have_the_type_of_their_field() {
    let zeros = column("model.dropout", "parameters: {model.dropout: [-0.0, 0.5]}");
    assert_eq!(zeros[0].to_string(), "0.0");
    let values = column("training.learning_rate", "parameters: {training.learning_rate: [1, 1e-3]}");
    assert_eq!(values, [json!(1.0), json!(0.001)]);
    assert!(values[0].is_f64());
}

#[test]
fn ranges_are_even_and_tidy_and_end_where_they_say() {
    let range = |path: &str, range: &str| column(path, &format!("parameters: {{{path}: {range}}}"));
    assert_eq!(
        range("model.dropout", "{min: 0.1, max: 0.9, count: 9}"),
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    );
    assert_eq!(
        range("training.learning_rate", "{min: 1e-5, max: 0.1, count: 5, scale: log}"),
        [0.00001, 0.0001, 0.001, 0.01, 0.1]
    );
    assert_eq!(range("model.hidden", "{min: 8, max: 128, count: 5, scale: log}"), [8, 16, 32, 64, 128]);
    assert_eq!(range("training.epochs", "{min: 1, max: 4, count: 4, scale: linear}"), [1, 2, 3, 4]);
    for bad in [
        "{min: 1, max: 3, count: 4}",
        "{min: 3, max: 3, count: 2}",
        "{min: 1, max: 3, count: 1}",
        "{min: 1, max: 3}",
        "{min: 0, max: 3, count: 2}",
        "{min: 1, max: 3, count: 2, scale: cubic}",
        "{min: 1, max: 3, count: 2, values: [1]}",
        "{}",
    ] {
        let text = format!("{HEAD}parameters: {{model.hidden: {bad}}}");
        assert!(Sweep::parse(&text, "x").is_err(), "{bad}");
    }
    assert!(
        Sweep::parse(
            &format!("{HEAD}parameters: {{model.dropout: {{min: 0, max: 0.5, count: 3, scale: log}}}}"),
            "x"
        )
        .is_err()
    );
    assert!(
        Sweep::parse(&format!("{HEAD}parameters: {{training.shuffle: {{min: 0, max: 1, count: 2}}}}"), "x")
            .is_err()
    );
}

#[test]
fn includes_are_extra_configurations_on_top_of_the_file() {
    let text = "model: {hidden: 7}\nparameters: {modality_dropout.audio: [0, 0.5]}\ninclude: [{unimodal: true}, {model.layers: 3}]";
    let all = configurations(text);
    assert_eq!(all.len(), 4);
    // The grid is not changed, unlike in GitHub Actions.
    assert!(all[..2].iter().all(|c| !c.settings.network().unwrap().unimodal));
    assert!(all[2].settings.network().unwrap().unimodal && all[2].baseline);
    assert_eq!(all[3].values.keys().collect::<Vec<_>>(), ["model.layers"]);
    // Without parameters there is no grid, only a list.
    assert_eq!(column("model.layers", "include: [{model.layers: 3}, {model.layers: 4}]"), [3, 4]);
}

#[test]
fn excludes_leave_out_what_matches_all_their_values() {
    let grid = "parameters: {model.hidden: [1, 2, 3], modality_dropout.a: [0, 0.5], training.epochs: [5, 6]}";
    let with = |exclude: &str| configurations(&format!("{grid}\nexclude: {exclude}")).len();
    assert_eq!(with("[]"), 12);
    assert_eq!(with("[{model.hidden: 2}]"), 8);
    assert_eq!(with("[{model.hidden: 2, modality_dropout.a: 0}]"), 10);
    assert_eq!(with("[{model.hidden: 2, modality_dropout.a: 5e-1, training.epochs: 6}]"), 11);
    assert_eq!(with("[{model.hidden: 2}, {modality_dropout.a: 0}]"), 4);
    // A setting that is not swept has one value everywhere.
    assert_eq!(with("[{model.hidden: 2, unimodal: false}]"), 8);
    assert_eq!(with("[{model.hidden: 2, unimodal: true}]"), 12);
    // In a zip, the values of one step count together.
    let zipped = format!("{grid}\nzip: [[modality_dropout.a, training.epochs]]\nexclude: ");
    assert_eq!(configurations(&format!("{zipped}[{{modality_dropout.a: 0, training.epochs: 5}}]")).len(), 3);
    assert_eq!(parse(&format!("{zipped}[{{modality_dropout.a: 0, training.epochs: 6}}]")).warnings.len(), 1);
}

#[test]
fn what_differs_in_details_without_effect_is_merged_and_said_to_be() {
    for (rest, left, why) in [
        (
            "modality_dropout.a: [0.5], training.modality_part: [all, features], training.modality_fraction: [1]",
            1,
            "`training.modality_part=\"features\"` makes no difference to `training.modality_part=\"all\"`",
        ),
        (
            "modality_dropout.a: [0, 0.5], training.modality_draw: [shared, independent]",
            3,
            "`training.modality_draw=\"independent\"` makes no difference to `training.modality_draw=\"shared\"`",
        ),
        (
            "modality_dropout.a: [0, 0.5], training.modality_part: [steps], training.modality_fraction: [0, 0.5]",
            2,
            "makes no difference",
        ),
        ("modality_dropout.a: [0.5], training.modality_draw: [shared, independent]", 2, ""),
        (
            "modality_dropout.a: [0.5], training.modality_part: [features, steps], training.modality_fraction: [0.9]",
            2,
            "",
        ),
    ] {
        let rest = format!("parameters: {{{rest}}}");
        assert_eq!(configurations(&rest).len(), left, "{rest}");
        let warnings = parse(&rest).warnings;
        let help = warnings.first().and_then(|it| it.help.clone()).unwrap_or_default();
        assert!(help.contains(why) && help.is_empty() == why.is_empty(), "{rest}: {help}");
    }
}

#[test]
fn what_trains_the_same_is_one_configuration() {
    let id = |rest: &str| only(rest).configuration_id();
    let plain = id("");
    assert_eq!(id("modality_dropout: {audio: 0}"), plain);
    assert_eq!(id("training: {learning_rate: 1.0e-3}"), plain);
    assert_ne!(id("training: {learning_rate: 1.1e-3}"), plain);
    let unimodal = id("unimodal: true");
    assert_eq!(id("unimodal: true\nmodality_dropout: {audio: 0.5}"), unimodal);
    assert_ne!(id("unimodal: true\nmodality_dropout: {language: 0.5}"), unimodal);
    assert_ne!(id("modality_dropout: {audio: 0.5}"), plain);
}

#[test]
fn identifiers_tell_settings_apart_that_no_file_would_hold() {
    let id = |dropouts: &[(&str, f64)]| {
        let mut settings = only("");
        settings.modality_dropout =
            dropouts.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        settings.configuration_id()
    };
    assert_ne!(id(&[("a\":5e-1,\"modality_dropout.b", 0.5)]), id(&[("a", 0.5), ("b", 0.5)]));
    assert_ne!(id(&[("a\\", 0.5)]), id(&[("a", 0.5)]));
    let (mut plus, mut minus) = (only(""), only(""));
    plus.training.learning_rate = 0.0;
    minus.training.learning_rate = -0.0;
    assert_eq!(plus.configuration_id(), minus.configuration_id());
}

#[test]
fn identifiers_do_not_change_between_versions() {
    // Ids must stay stable: an old store must know its configurations. The numbers are the SHA-256, computed by
    // another program, of `colearn settings 2`, a line feed and
    // {"dataset":"d","modality_dropout.audio":1.5e-1,"primary":"language"}. Settings with their default value are
    // left out.
    let settings = only("modality_dropout: {audio: 0.15}");
    assert_eq!(settings.configuration_id().to_string(), "c99f4c4f4e05e459");
    assert_eq!(settings.cohort_key(), 0xeb25_84d1_21a2_9dff);
}

#[test]
fn what_makes_no_difference_does_not_tell_configurations_apart() {
    let id = |rest: &str| only(rest).configuration_id();
    for (one, other) in [
        ("", "training: {plateau_factor: 0.3, plateau_patience: 2}"),
        ("", "training: {modality_fraction: 0.3}"),
        ("", "evaluate: [[language]]"),
        ("", "training: {keep_by: [language]}"),
        ("training: {keep_by: [b, a]}", "training: {keep_by: [a, b, a]}"),
        ("training: {keep: last}", "training: {keep: last, keep_by: [audio, language]}"),
        ("unimodal: true", "unimodal: true\ntraining: {keep_by: [audio, language]}"),
        ("evaluate: [[b, a], [c]]", "evaluate: [[c], [a, b], [b, a, a], [language]]"),
        ("model: {kind: mfn}", "model: {kind: mfn, hidden: {audio: 32}}"),
    ] {
        assert_eq!(id(one), id(other), "{one} / {other}");
    }
    for (one, other) in [
        ("", "training: {schedule: plateau}"),
        ("training: {schedule: plateau}", "training: {schedule: plateau, plateau_factor: 0.3}"),
        ("training: {modality_part: steps}", "training: {modality_part: steps, modality_fraction: 0.3}"),
        ("", "evaluate: [[audio]]"),
        ("", "training: {keep_by: [audio, language]}"),
        ("training: {keep: last, patience: 2}", "training: {keep: last, patience: 2, keep_by: [audio]}"),
        ("", "model: {kind: mfn}"),
        ("model: {kind: mfn}", "model: {kind: mfn, hidden: {audio: 33}}"),
    ] {
        assert_ne!(id(one), id(other), "{one} / {other}");
    }
}

#[test]
fn a_memory_fusion_network_has_settings_of_its_own() {
    let settings = only(
        "model: {kind: mfn, hidden: {language: 128, audio: 16}, memory: 8, nn1: 7, nn2: 6, nn2_dropout: 0.5}",
    );
    let ModelSettings::Mfn(model) = &settings.model else { panic!("{:?}", settings.model) };
    assert_eq!(model.hidden, [("language".to_owned(), 128), ("audio".to_owned(), 16)].into());
    assert_eq!((model.memory, model.nn1, model.nn2, model.nn2_dropout), (8, 7, 6, 0.5));
    assert_eq!((model.gamma1, model.gamma2_dropout, model.out, model.out_dropout), (256, 0.2, 64, 0.5));
    assert_eq!(
        settings.modalities_named().collect::<Vec<_>>(),
        [("primary", "language"), ("model.hidden", "audio"), ("model.hidden", "language")]
    );
    let swept = "model: {kind: mfn}\nparameters: {model.hidden.audio: [8, 32], model.memory: [4]}";
    assert_eq!(column("model.hidden.audio", swept), [8, 32]);
}

#[test]
fn metrics_follow_what_is_evaluated() {
    let metrics = |rest: &str| parse(rest).sweep.report.metrics;
    assert_eq!(
        metrics("evaluate: [[language], [video, language], [audio]]"),
        ["accuracy", "loss", "f_score", "accuracy@audio", "accuracy@language+video"]
    );
    assert_eq!(
        metrics("evaluate: [[a, b]]\nreport: {metrics: [mae, loss@b+a]}"),
        ["mae", "loss@a+b"],
        "one spelling for each set"
    );
    assert_eq!(only("evaluate: [[b, a], [language]]").evaluate, [["a", "b"]]);
    let swept = "parameters: {evaluate: [[[a]], [[a, b]]]}\nreport: {metrics: [loss@a+b]}";
    assert_eq!(column("evaluate", swept), [json!([["a"]]), json!([["a", "b"]])]);
}

#[test]
fn cohorts_share_what_decides_shapes_and_length() {
    let key = |rest: &str| configurations(rest)[0].cohort_key;
    let plain = key("");
    for same in [
        "unimodal: true",
        "modality_dropout: {audio: 0.5}",
        "model: {dropout: 0.1}",
        "training: {learning_rate: 0.1, modality_draw: shared, shuffle: once}",
        "training: {weight_decay: 0.1, beta1: 0.5, gradient_clip: 1, schedule: plateau, patience: 3, keep: last}",
        "training: {modality_granularity: batch_step, modality_part: features, modality_draw: exclusive}",
        "training: {modality_replacement: mean, modality_rescale: false, modality_anneal_epochs: 4}",
        "training: {keep_by: [audio]}",
        "seeds: [7]",
    ] {
        assert_eq!(key(same), plain, "{same}");
    }
    for other in [
        "model: {hidden: 3}",
        "model: {layers: 1}",
        "training: {epochs: 3}",
        "training: {batch_size: 3}",
        "training: {drop_last: false}",
        "model: {kind: mfn}",
        "evaluate: [[a]]",
        "parameters: {primary: audio}",
        "parameters: {dataset: e}",
    ] {
        assert_ne!(key(other), plain, "{other}");
    }
}

#[test]
fn modalities_are_named_for_a_later_check() {
    let Parsed { sweep, .. } = parse(
        "modality_dropout: {video: 0.5}\nparameters: {modality_dropout.audio: [0]}\ninclude: [{primary: text}]",
    );
    assert_eq!(sweep.modalities_named(), BTreeSet::from(["audio", "language", "text", "video"]));
    let Parsed { sweep, .. } = parse("evaluate: [[a], [language, b]]");
    assert_eq!(sweep.modalities_named(), BTreeSet::from(["a", "b", "language"]));
    let Parsed { sweep, .. } = parse("parameters: {training.keep_by: [[], [language, c]]}");
    assert_eq!(sweep.modalities_named(), BTreeSet::from(["c", "language"]));
    assert_eq!(sweep.configurations.len(), 2);
}

#[test]
fn seeds_are_listed_or_counted() {
    assert_eq!(parse("seeds: [3, 1]").sweep.seeds, [3, 1]);
    assert_eq!(parse("seeds: {count: 3, base: 42}").sweep.seeds, [42, 43, 44]);
    assert_eq!(parse("seeds: {count: 1, base: 9007199254740991}").sweep.seeds, [9_007_199_254_740_991]);
}

#[test]
fn anchors_and_aliases_work() {
    let levels = "parameters: {modality_dropout.a: &levels [0, 0.5], modality_dropout.b: *levels}\nzip: [[modality_dropout.a, modality_dropout.b]]";
    assert_eq!(column("modality_dropout.b", levels), [0.0, 0.5]);
}

/// Nothing is dropped outside of `parameters`, where these settings would have no effect.
#[test]
fn a_plan_shows_what_is_set_as_it_is_set() {
    let parsed = parse(
        "training: {modality_replacement: noise, modality_anneal_epochs: 2}\nparameters: {modality_dropout.a: [0.5, 0.8]}",
    );
    let shown = Plan::of(&parsed, 2).to_string();
    for (path, value) in
        [("replacement", "noise (set)"), ("anneal_epochs", "2 (set)"), ("rescale", "false (default)")]
    {
        let line = shown.lines().find(|line| line.contains(&format!("training.modality_{path} "))).unwrap();
        assert!(line.ends_with(value), "{line}");
    }
}

#[test]
fn a_plan_says_what_would_run_and_who_decided() {
    let parsed = parse(
        "training: {learning_rate: 1e-5}\nparameters: {model.hidden: [8, 16], modality_dropout.audio: [0, 0.5]}\n\
         include: [{unimodal: true}]\nseeds: [3]",
    );
    let shown = Plan::of(&parsed, 2).to_string();
    for line in [
        "sweep x: 5 configurations x 1 seed = 5 tasks",
        "  model.hidden            8, 16",
        "  dataset                          d (set)",
        "  model.hidden                     (swept)",
        "  model.layers                     2 (default)",
        "  training.learning_rate           1e-5 (set)",
        "  modality_dropout.audio           (swept)",
        "  ... and 3 more",
        "retries: 3 attempts in all, waiting 5s to 300s between them",
        "checkpoints: every 5 epochs",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\nis not in\n{shown}");
    }
    let json = serde_json::to_value(Plan::of(&parsed, 9)).unwrap();
    assert_eq!(json["tasks"], 5);
    // Two sizes, and the included configuration with the default size.
    assert_eq!(json["cohorts"], 3);
    assert_eq!(json["first"][4]["baseline"], true);
    assert_eq!(json["parameters"][1], json!({"path": "modality_dropout.audio", "values": [0.0, 0.5]}));
}

/// Sweeps from older journals have no such key.
#[test]
fn a_reference_is_optional_in_a_journaled_sweep() {
    let without = serde_json::to_value(parse("").sweep).unwrap();
    assert_eq!(without["report"].get("reference"), None);
    let read: colearn_core::sweep::Sweep = serde_json::from_value(without).unwrap();
    assert_eq!(read.report.reference, None);

    let with = parse("report: {reference: reference/paper.csv}").sweep;
    assert_eq!(with.report.reference.as_deref(), Some("reference/paper.csv"));
    let read: colearn_core::sweep::Sweep =
        serde_json::from_value(serde_json::to_value(&with).unwrap()).unwrap();
    assert_eq!(read, with);
}

/// Sweeps from older journals have no such key.
#[test]
fn kept_files_are_optional_and_no_part_of_a_configuration() {
    let default = parse("").sweep;
    assert!(default.keep.is_empty() && !serde_json::to_string(&default).unwrap().contains("keep\":["));
    let both = parse("keep: [weights, predictions]");
    assert_eq!(both.sweep.keep, Kept::ALL.into());
    assert_eq!(both.sweep.configurations, default.configurations);
    assert!(Plan::of(&both, 2).to_string().contains("\nkeeps: predictions and weights of each task\n"));
}

/// Sweeps from older journals have no such key.
#[test]
fn checkpoints_are_optional_and_no_part_of_a_configuration() {
    let default = parse("").sweep;
    assert_eq!(default.checkpoint.every_epochs, 5);
    let mut journaled = serde_json::to_value(&default).unwrap();
    journaled.as_object_mut().unwrap().remove("checkpoint").unwrap();
    assert_eq!(serde_json::from_value::<colearn_core::sweep::Sweep>(journaled).unwrap(), default);

    let never = parse("checkpoint: {every_epochs: 0}");
    assert_eq!(never.sweep.checkpoint.every_epochs, 0);
    assert_eq!(never.sweep.configurations, default.configurations);
    assert!(Plan::of(&never, 2).to_string().contains("\ncheckpoints: none\n"));
    assert_eq!(parse("checkpoint: {}").sweep, default);
}
