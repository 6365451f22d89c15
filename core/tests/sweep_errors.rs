//! The messages for likely mistakes in a sweep file.

use colearn_core::sweep::{Diagnostics, Parsed, Severity, Sweep};

/// The lines that every sweep needs; the text under test begins on line 4.
const HEAD: &str = "name: x\ndataset: d\nprimary: language\n";

fn fails(rest: &str) -> Diagnostics {
    match Sweep::parse(&format!("{HEAD}{rest}\n"), "x.yaml") {
        Ok(_) => panic!("this is accepted:\n{rest}"),
        Err(diagnostics) => diagnostics,
    }
}

fn parses(rest: &str) -> Parsed {
    Sweep::parse(&format!("{HEAD}{rest}\n"), "x.yaml").unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
}

/// The messages of the errors, with `line:column`.
fn messages(rest: &str) -> Vec<String> {
    fails(rest).all.iter().map(|d| format!("{}:{} {}", d.place.line, d.place.column, d.message)).collect()
}

#[track_caller]
fn assert_shown(rest: &str, expected: &str) {
    assert_eq!(fails(rest).to_string(), expected.trim_matches('\n'));
}

#[test]
fn an_unknown_key() {
    assert_shown(
        "trainning: {epochs: 3}",
        "
error: there is no key `trainning`
 --> x.yaml:4:1
  |
4 | trainning: {epochs: 3}
  | ^^^^^^^^^
  = help: did you mean `training`?",
    );
}

#[test]
fn a_misspelt_path() {
    assert_shown(
        "parameters:\n  modality_dropuot.audio: [0, 0.5]",
        "
error: there is no setting `modality_dropuot.audio`
 --> x.yaml:5:3
  |
5 |   modality_dropuot.audio: [0, 0.5]
  |   ^^^^^^^^^^^^^^^^^^^^^^
  = help: did you mean `modality_dropout.audio`?",
    );
}

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
fn a_duplicate_key() {
    assert_shown(
        "training:\n  epochs: 3\n  epochs: 4",
        "
error: the key `epochs` is given twice
 --> x.yaml:6:3
  |
6 |   epochs: 4
  |   ^^^^^^
note: the first one is here
 --> x.yaml:5:3
  |
5 |   epochs: 3
  |   ------",
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
fn broken_yaml_is_the_only_error() {
    assert_shown(
        "nonsense: 1\nparameters: {model.hidden: 3",
        "
error: this is not valid YAML: unclosed bracket '{'
 --> x.yaml:5:13
  |
5 | parameters: {model.hidden: 3
  |             ^",
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_in_order() {
    assert_eq!(
        messages("seeds: 5\nmodel: {hidden: 0, widht: 3}\ndataste: d\nretries: {max_backoff: 1x}"),
        [
            "4:8 `seeds` must be a list or {count, base}, found the integer 5",
            "5:17 `model.hidden` must be an integer from 1 to 65536, found the integer 0",
            "5:20 there is no key `widht` in `model`",
            "6:1 there is no key `dataste`",
            "7:24 `retries.max_backoff` must be a duration of at most 168h, found the text `1x`",
        ]
    );
}

#[test]
fn what_is_required_is_named() {
    let diagnostics = Sweep::parse("", "x.yaml").expect_err("nothing is not a sweep");
    let messages: Vec<_> = diagnostics.all.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(messages, ["`name` is missing", "`dataset` is missing", "`primary` is missing"]);
}

#[test]
fn a_right_name_in_the_wrong_place_is_recognised() {
    for (rest, help) in [
        ("epochs: 3", "write it in its section: `training: {epochs: ...}`"),
        ("training.epochs: 3", "dotted paths are for `parameters`; here write `training: {epochs: ...}`"),
        ("parameters: {epochs: [1, 2]}", "did you mean `training.epochs`?"),
        ("parameters: {seed: [1, 2]}", "replicates are given by `seeds`, beside `parameters`"),
        ("training: {epochs: [1, 2]}", "to try several values, list them under `parameters`"),
        ("unimodal: yes", "write `true`"),
        ("model: {hidden: '3'}", "remove the quotes"),
    ] {
        assert_eq!(fails(rest).all[0].help.as_deref(), Some(help), "{rest}");
    }
}

#[test]
fn values_out_of_range_are_refused() {
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
            "4:45 the primary modality `language` can not always be dropped: nothing would be left to learn from"
        ]
    );
    // With another primary modality the answer differs.
    parses("include: [{primary: audio, modality_dropout.language: 1}]");
    fails("include: [{primary: audio, modality_dropout.audio: 1}]");
}

#[test]
fn the_baseline_is_one_configuration() {
    assert_eq!(
        messages("report: {baseline: {model.hidden: 7}}"),
        ["4:20 no configuration matches `report.baseline`"]
    );
    let grid = "parameters: {model.hidden: [1, 2], model.layers: [1, 2]}";
    let diagnostics = fails(&format!("{grid}\nreport: {{baseline: {{model.hidden: 1}}}}"));
    assert_eq!(
        diagnostics.all[0].message,
        "2 configurations match `report.baseline`, but only one can be it"
    );
    assert_eq!(diagnostics.all[0].help.as_deref(), Some("they differ in `model.layers`: name its value too"));
}

#[test]
fn what_has_no_effect_is_a_warning() {
    for (rest, message) in [
        (
            "parameters: {model.hidden: [1, 2]}\nexclude: [{model.hidden: 3}]",
            "this entry of `exclude` matches no point of the grid",
        ),
        (
            "parameters: {unimodal: [true, false], modality_dropout.video: [0, 0.5]}",
            "1 point of the grid trains the same as another and was merged with it",
        ),
        (
            "parameters: {model.hidden: [1, 2]}\ninclude: [{model.hidden: 2}]",
            "this configuration is there already, and was merged with it",
        ),
        (
            "parameters: {unimodal: [true, false], model.hidden: [1, 2]}",
            "2 configurations are unimodal, so that none of them is the baseline",
        ),
    ] {
        let warnings = parses(rest).warnings;
        assert_eq!(warnings.len(), 1, "{rest}: {warnings:?}");
        assert_eq!((warnings[0].severity, warnings[0].message.as_str()), (Severity::Warning, message));
        assert!(warnings[0].to_string().starts_with("warning: "));
    }
}

#[test]
fn hostile_files_are_refused_soon_and_quietly() {
    let deep = format!("x: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    let blocks: String = (0..40).map(|depth| format!("{}x:\n", " ".repeat(depth))).collect();
    let wide = format!("x: [{}]", "0,".repeat(30_000));
    let long = format!("description: {}", "x".repeat(2 << 20));
    let bomb = "a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]";
    let too_large = "the file is too large or too deeply nested: at most 20000 values, 32 levels deep";
    let flat_bomb = format!("a: &a [{}]\nb: [{}]", "0,".repeat(5_000), "*a,".repeat(10));
    let too_deep = "this is not valid YAML: recursion limit exceeded";
    let too_long = format!("the file has {} bytes; at most 1048576 are allowed", HEAD.len() + long.len() + 1);
    for (rest, message) in [
        (&*deep, too_deep),
        (&blocks, too_large),
        (&wide, too_large),
        (bomb, too_large),
        (&flat_bomb, too_large),
        (&long, &too_long),
    ] {
        let found = fails(rest).all;
        assert_eq!((found.len(), found[0].message.as_str()), (1, message), "{rest:.80}");
    }
    // Many errors are counted, not listed; long lines are cut; escapes do not reach the terminal.
    let many = fails(&format!("seeds: [{}]\n\"\\e[2J\": 1", "-1,".repeat(5_000)));
    assert_eq!((many.all.len(), many.left_out), (50, 4_951));
    let shown = many.to_string();
    assert!(shown.len() < 50_000 && shown.ends_with("... and 4951 more"), "{}", shown.len());
    assert!(fails("\"\\e[2J\": 1").to_string().contains("`\\u{1b}[2J`"));
}

#[test]
fn places_count_characters_and_survive_windows_line_ends() {
    let text = format!("{HEAD}description: ok\r\nreport: {{metrics: [lüst, löss]}}\r\n")
        .replace('\n', "\r\n")
        .replace("\r\r", "\r");
    let diagnostics = Sweep::parse(&text, "x.yaml").expect_err("an unknown metric");
    let place = &diagnostics.all[1].place;
    assert_eq!((place.line, place.column, place.length), (5, 26, 4));
    assert_eq!(place.text, "report: {metrics: [lüst, löss]}");
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
        ["4:29 `a b` can not be the name of a modality"]
    );
}

#[test]
fn documents_without_anything_in_them_are_none() {
    for end in ["---", "---\n# only a comment", "...", "...\n---\n", "---\n---\n---"] {
        assert!(parses(end).warnings.is_empty(), "{end}");
    }
    assert!(Sweep::parse(&format!("---\n---\n{HEAD}"), "x.yaml").is_ok(), "empty ones before it");
}

#[test]
fn two_sweeps_in_one_file() {
    assert_shown(
        "---\nname: y",
        "
error: one file holds one sweep, but a second document begins here
 --> x.yaml:5:1
  |
5 | name: y
  | ^
  = help: a line `---` ends the first: write each sweep to a file of its own",
    );
    let storm = "---\n- 1\n".repeat(200);
    assert!(messages(&storm)[0].contains("more than 100 documents"), "{:?}", messages(&storm));
}

#[test]
fn a_limit_that_is_exceeded_is_the_one_that_is_named() {
    let anchors: String = (0..200).map(|index| format!("- &a{index} 1\n")).collect();
    assert!(messages(&format!("x:\n{anchors}"))[0].contains("too many anchors"), "anchors");
}

#[test]
fn blanks_that_are_letters_for_yaml() {
    let indented = fails("training:\n\u{a0}\u{a0}epochs: 3");
    let warned = indented.all.iter().find(|d| d.severity == Severity::Warning).expect("a warning");
    assert_eq!((warned.place.line, warned.place.column), (5, 1));
    assert_eq!(warned.message, "this is a no-break space (U+00A0), which YAML takes for a letter");
    let glued = fails("training:\u{a0}{epochs: 3}").to_string();
    assert!(glued.contains("U+00A0") && glued.contains("x.yaml:4:10"), "{glued}");

    // A valid text that may not be what the author meant.
    let trailing = parses("report: {reference: a.csv\u{200b}}").warnings;
    assert_eq!(trailing.len(), 1, "{trailing:?}");
    assert!(trailing[0].message.contains("zero-width space (U+200B)"), "{trailing:?}");
    for harmless in ["# a\u{a0}comment", "description: s\u{e9}rie\u{a0}1", "max_tasks: 100 # \u{a0}"] {
        assert!(parses(harmless).warnings.is_empty(), "{harmless}");
    }
    assert!(Sweep::parse(&format!("\u{feff}{HEAD}"), "x.yaml").expect("a sweep").warnings.is_empty());
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

#[test]
fn a_null_says_how_it_is_written() {
    assert!(messages("training: {epochs: ~}")[0].contains("found nothing (`~`, `null` or no value)"));
}
