//! Values, and what does not go together.

use super::{HEAD, assert_shown, fails, messages, parses};

#[test]
fn unequal_zips() {
    assert_shown(
        "parameters:\n  model.hidden: [1, 2]\n  model.layers: [1, 2, 3]\nzip:\n  - [model.hidden, model.layers]",
        "
error: zipped parameters need equally many values: `model.hidden` has 2, `model.layers` has 3
 --> x.yaml:8:20
  |
8 |   - [model.hidden, model.layers]
  |                    ^^^^^^^^^^^^
note: 2 values
 --> x.yaml:5:3
  |
5 |   model.hidden: [1, 2]
  |   ------------
note: 3 values
 --> x.yaml:6:3
  |
6 |   model.layers: [1, 2, 3]
  |   ------------
  = help: make them equally long, or take one out of the group to combine each with each",
    );
}

#[test]
fn a_wrong_type_in_a_list() {
    assert_shown(
        "parameters:\n  training.batch_size: [15, 30.0, 'many']",
        "
error: `training.batch_size` must be an integer of at least 2, found the number 30.0
 --> x.yaml:5:29
  |
5 |   training.batch_size: [15, 30.0, 'many']
  |                             ^^^^
  = help: write 30, without a decimal point or exponent

error: `training.batch_size` must be an integer of at least 2, found the text `many`
 --> x.yaml:5:35
  |
5 |   training.batch_size: [15, 30.0, 'many']
  |                                   ^^^^^^",
    );
}

#[test]
fn not_a_number() {
    assert_shown(
        "model: {dropout: .nan}",
        "
error: `.nan` is not a finite number
 --> x.yaml:4:18
  |
4 | model: {dropout: .nan}
  |                  ^^^^",
    );
    assert_eq!(messages("model: {dropout: 1e999}"), ["4:18 `1e999` is not a finite number"]);
}

#[test]
fn an_empty_list() {
    assert_shown(
        "parameters:\n  model.hidden: []",
        "
error: `model.hidden` has no values
 --> x.yaml:5:17
  |
5 |   model.hidden: []
  |                 ^^
  = help: list at least one, or remove the parameter",
    );
}

#[test]
fn a_sweep_over_the_limit() {
    assert_shown(
        "max_tasks: 100\nparameters:\n  model.hidden: [1, 2, 3, 4]\n  model.layers: [1, 2, 3, 4, 5]\ninclude: [{unimodal: true}]",
        "
error: the sweep has 105 tasks, more than the limit of 100: (4 (model.hidden) x 5 (model.layers) + 1 included) x 5 seeds
 --> x.yaml:4:12
  |
4 | max_tasks: 100
  |            ^^^
  = help: sweep over fewer values, or set `max_tasks` (at most 1000000); `exclude` is not counted",
    );
}

#[test]
fn a_grid_too_large_to_count_is_refused_at_once() {
    let mut rest = "max_tasks: 1000000\nparameters:\n".to_owned();
    for modality in 0..20 {
        rest += &format!("  modality_dropout.m{modality}: {{min: 0, max: 1, count: 10000}}\n");
    }
    let shown = fails(&rest).to_string();
    assert!(shown.contains("more than 18446744073709551615 tasks"), "{shown}");
    assert!(shown.contains("x 12 more x 5 seeds"), "{shown}");
}

#[test]
fn bad_seeds() {
    assert_shown(
        "seeds: [0, -1, 0]",
        "
error: a seed must be an integer from 0 to 9007199254740991, found the integer -1
 --> x.yaml:4:12
  |
4 | seeds: [0, -1, 0]
  |            ^^

error: the seed 0 is given twice
 --> x.yaml:4:16
  |
4 | seeds: [0, -1, 0]
  |                ^
note: the first one is here
 --> x.yaml:4:9
  |
4 | seeds: [0, -1, 0]
  |         -",
    );
    for (seeds, place) in [
        ("5", "4:8"),
        ("[]", "4:8"),
        ("{count: 0}", "4:16"),
        ("{count: 2, base: 9007199254740991}", "4:8"),
        ("[9007199254740992]", "4:9"),
        ("[1.5]", "4:9"),
        ("{count: 2, start: 1}", "4:19"),
    ] {
        let messages = messages(&format!("seeds: {seeds}"));
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert!(messages[0].starts_with(place), "{messages:?}");
    }
}

#[test]
fn an_unknown_metric() {
    assert_shown(
        "report: {metrics: [acuracy, loss]}",
        "
error: there is no metric `acuracy`
 --> x.yaml:4:20
  |
4 | report: {metrics: [acuracy, loss]}
  |                    ^^^^^^^
  = help: did you mean `accuracy`?",
    );
}

#[test]
fn values_out_of_range_are_refused() {
    let schema = jsonschema::draft7::new(&colearn_core::sweep::json_schema()).expect("it is a schema");
    for rest in [
        "training: {learning_rate: 0}",
        "training: {epochs: 0}",
        "training: {batch_size: 1}",
        "training: {shuffle: never}",
        "model: {dropout: 1}",
        "model: {dropout: -0.1}",
        "model: {kind: transformer}",
        "modality_dropout: {audio: 1.01}",
        "modality_dropout: {'a b': 0.5}",
        "description: 3",
        "max_tasks: 1000001",
        "report: {confidence: 1}",
        "report: {metrics: []}",
        "report: {metrics: [loss, loss]}",
        "report: {baseline: {}}",
        "report: {reference: ''}",
        "report: {reference: \"two\\nlines.csv\"}",
        "report: {reference: 3}",
        "retries: {max_attempts: 0}",
        "retries: {initial_backoff: 10m}",
        "retries: {initial_backoff: 5}",
        "checkpoint: {every_epochs: -1}",
        "checkpoint: {every_epochs: 100001}",
        "checkpoint: {every_epoch: 5}",
        "checkpoint: off",
        "exclude: [{}]",
        "include: [3]",
    ] {
        let messages = messages(rest);
        assert_eq!(messages.len(), 1, "{rest}: {messages:?}");
        // The schema for editors refuses them too. It cannot compare two values.
        let file: serde_json::Value = serde_yaml::from_str(&format!("{HEAD}{rest}\n")).expect("it is YAML");
        assert_eq!(schema.is_valid(&file), rest == "retries: {initial_backoff: 10m}", "{rest}");
    }
}

#[test]
fn lists_do_not_repeat_values_however_they_are_spelt() {
    let messages = messages("parameters: {training.learning_rate: [0.1, 1e-1], model.hidden: [8, 0x8]}");
    assert_eq!(
        messages,
        [
            "4:44 `training.learning_rate` has the value 0.1 twice",
            "4:69 `model.hidden` has the value 8 twice"
        ]
    );
    // In a zip, a value may occur again if the others differ.
    let zip = "zip: [[modality_dropout.a, modality_dropout.b]]";
    parses(&format!("parameters: {{modality_dropout.a: [0, 0], modality_dropout.b: [0, 0.5]}}\n{zip}"));
    fails(&format!("parameters: {{modality_dropout.a: [0, 0], modality_dropout.b: [0.5, 0.5]}}\n{zip}"));
}

#[test]
fn zips_name_parameters_once() {
    let parameters = "parameters: {model.hidden: [1, 2], model.layers: [1, 2]}";
    for (zip, place) in [
        ("[[model.hidden, model.dropout]]", "5:22"),
        ("[[model.hidden, model.layers], [model.hidden, model.layers]]", "5:38"),
        ("[[model.hidden, model.hidden]]", "5:22"),
        ("[[model.hidden]]", "5:7"),
        ("[model.hidden, model.layers]", "5:7"),
    ] {
        let messages = messages(&format!("{parameters}\nzip: {zip}"));
        assert!(messages[0].starts_with(place), "{messages:?}");
    }
}

#[test]
fn the_primary_modality_is_not_always_dropped() {
    assert_eq!(
        messages("parameters: {modality_dropout.language: [0, 1], modality_dropout.audio: [0, 1]}"),
        [
            "4:45 the primary modality `language` cannot always be dropped: nothing would be left to learn from"
        ]
    );
    // With another primary modality the answer differs.
    parses("include: [{primary: audio, modality_dropout.language: 1}]");
    fails("include: [{primary: audio, modality_dropout.audio: 1}]");
}

#[test]
fn after_annealing_something_is_left_of_the_primary_modality() {
    let annealed = |end: &str| {
        format!(
            "modality_dropout: {{language: 1}}\ntraining: {{modality_anneal_epochs: 5, modality_anneal_end: {end}}}"
        )
    };
    parses(&annealed("0.5"));
    fails(&annealed("1"));
}

#[test]
fn levels_of_an_exclusive_draw_sum_to_at_most_one() {
    assert_shown(
        "training: {modality_draw: exclusive}
parameters:
  modality_dropout.audio: [0.2, 0.8]
  modality_dropout.video: [0.1, 0.3]",
        "
error: with training.modality_draw `exclusive` at most one modality is dropped, so that the levels must sum to at most 1, but modality_dropout.audio=0.8 and modality_dropout.video=0.3 sum to 1.1 (in 1 of 4 configurations)
 --> x.yaml:4:27
  |
4 | training: {modality_draw: exclusive}
  |                           ^^^^^^^^^
note: modality_dropout.audio=0.8
 --> x.yaml:6:33
  |
6 |   modality_dropout.audio: [0.2, 0.8]
  |                                 ---
note: modality_dropout.video=0.3
 --> x.yaml:7:33
  |
7 |   modality_dropout.video: [0.1, 0.3]
  |                                 ---
  = help: lower the levels, leave such points out with `exclude`, or draw `independent` or `shared`",
    );
    let high = "modality_dropout: {audio: 0.8, video: 0.8}";
    parses(&format!("{high}\ntraining: {{modality_draw: shared}}"));
    parses(&format!("{high}\ntraining: {{modality_draw: exclusive}}\nunimodal: true"));
    parses(
        "parameters: {training.modality_draw: [shared, exclusive], modality_dropout.a: [0.4, 0.8], modality_dropout.b: [0.4]}
exclude: [{training.modality_draw: exclusive, modality_dropout.a: 0.8}]",
    );
}

#[test]
fn only_what_becomes_zero_is_made_up_for() {
    assert_shown(
        "modality_dropout: {audio: 0.5}
parameters: {training.modality_replacement: [zero, noise], training.modality_rescale: [false, true]}",
        "
error: `training.modality_rescale` makes up for values that become zero, but `training.modality_replacement` is `noise` (in 1 of 4 configurations)
 --> x.yaml:5:95
  |
5 | parameters: {training.modality_replacement: [zero, noise], training.modality_rescale: [false, true]}
  |                                                                                               ^^^^
note: training.modality_replacement=noise
 --> x.yaml:5:52
  |
5 | parameters: {training.modality_replacement: [zero, noise], training.modality_rescale: [false, true]}
  |                                                    -----
  = help: remove one of the two, or leave such points out with `exclude`",
    );
}

#[test]
fn no_configuration_has_to_choose_between_baselines() {
    assert_eq!(
        messages("report: {baseline: {model.hidden: 7}}"),
        ["4:20 no configuration matches `report.baseline`"]
    );
    // Between these two nothing can choose: they differ in the modalities alone.
    let grid = "parameters: {unimodal: [true, false], modality_dropout.language: [0, 0.5]}";
    let diagnostics = fails(&format!("{grid}\nreport: {{baseline: {{unimodal: true}}}}"));
    assert_eq!(
        diagnostics.all[0].message,
        "two configurations that match `report.baseline` agree in all other settings"
    );
    assert_eq!(
        diagnostics.all[0].help.as_deref(),
        Some("they differ in `modality_dropout.language`: name its value too")
    );
}

#[test]
fn subsets_that_can_not_be_evaluated() {
    for wrong in ["evaluate: language", "evaluate: [language]", "evaluate: [[]]", "evaluate: [[language, 3]]"]
    {
        let found = fails(wrong).to_string();
        assert!(found.contains("`evaluate` must be a list of lists of modalities, found"), "{found}");
        assert!(found.contains("such as `[[language], [language, audio]]`"), "{found}");
    }
}

#[test]
fn modalities_that_can_not_decide() {
    for wrong in ["language", "[[language]]", "[3]", "{language: true}"] {
        let found = fails(&format!("training: {{keep_by: {wrong}}}")).to_string();
        assert!(found.contains("`training.keep_by` must be a list of modalities, found"), "{found}");
        assert!(found.contains("such as `[language, audio]`"), "{found}");
    }
}

#[test]
fn metrics_of_what_is_not_evaluated() {
    assert_shown(
        "report: {metrics: [accuracy, loss@language+audio]}",
        "
error: nothing is tested with audio, language present
 --> x.yaml:4:30
  |
4 | report: {metrics: [accuracy, loss@language+audio]}
  |                              ^^^^^^^^^^^^^^^^^^^
  = help: add `evaluate: [[audio, language]]`",
    );
    assert_eq!(
        messages("evaluate: [[language]]\nreport: {metrics: [loss@language]}"),
        ["5:20 `language` is the primary modality"]
    );
    assert_eq!(messages("report: {metrics: [los@language]}"), ["4:20 there is no metric `los`"]);
}

#[test]
fn a_width_for_all_modalities_of_a_memory_fusion_network() {
    assert_shown(
        "model: {kind: mfn, hidden: 64}",
        "
error: a mfn model has no `model.hidden`
 --> x.yaml:4:20
  |
4 | model: {kind: mfn, hidden: 64}
  |                    ^^^^^^
  = help: give it for each modality, as a mapping",
    );
    assert_eq!(
        messages("model: {hidden: {audio: 3}}"),
        ["4:18 a bi-eflstm model has no `model.hidden.<modality>`"]
    );
    assert_eq!(
        messages("model: {kind: mfn, hidden: {a b: 3}}"),
        ["4:29 `a b` cannot be the name of a modality"]
    );
}

#[test]
fn durations_are_written_as_on_command_lines() {
    let retries = |text: &str| parses(&format!("retries: {{max_backoff: {text}}}")).sweep.retries;
    assert_eq!(retries("1h30m").max_backoff.as_secs(), 5_400);
    assert_eq!(retries("\"2h 15m\"").max_backoff.as_secs(), 8_100);
    for bad in ["169h", "8d", "5", "soon"] {
        let message = &messages(&format!("retries: {{max_backoff: {bad}}}"))[0];
        assert!(message.contains("`retries.max_backoff` must be a duration of at most 168h"), "{message}");
    }
}
