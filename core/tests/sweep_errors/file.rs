//! The file as a whole: its YAML, its keys, and where things stand in it.

use colearn_core::sweep::{Severity, Sweep};

use super::{HEAD, assert_shown, fails, messages, parses};

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
            "this configuration is already in the grid, and was merged with it",
        ),
        (
            "parameters: {unimodal: [true, false], modality_dropout.language: [0, 0.5]}",
            "two unimodal configurations agree in all other settings, so that none is the baseline",
        ),
        (
            "parameters: {model.hidden: [1, 2]}\ninclude: [{unimodal: true}]",
            "2 configurations without a baseline that has the same other settings",
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
fn blanks_that_are_letters_for_yaml() {
    let indented = fails("training:\n\u{a0}\u{a0}epochs: 3");
    let warned = indented.all.iter().find(|d| d.severity == Severity::Warning).expect("a warning");
    assert_eq!((warned.place.line, warned.place.column), (5, 1));
    assert_eq!(warned.message, "this is a no-break space (U+00A0), which YAML treats as a letter");
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
fn a_null_says_how_it_is_written() {
    assert!(messages("training: {epochs: ~}")[0].contains("found nothing (`~`, `null` or no value)"));
}

#[test]
fn a_limit_that_is_exceeded_is_the_one_that_is_named() {
    let anchors: String = (0..200).map(|index| format!("- &a{index} 1\n")).collect();
    assert!(messages(&format!("x:\n{anchors}"))[0].contains("too many anchors"), "anchors");
}

#[test]
fn margins_are_numbers_above_zero_by_metric() {
    let report = |text: &str| parses(&format!("report: {text}")).sweep.report;
    let margins = |text: &str| Vec::from_iter(report(text).margin);
    assert_eq!(margins("{margin: 0.02}"), [("accuracy".to_owned(), 0.02)]);
    // The first metric is that of the verdicts, wherever it stands.
    assert_eq!(margins("{margin: 0.1, metrics: [loss, accuracy]}"), [("loss".to_owned(), 0.1)]);
    assert_eq!(
        margins("{margin: {f_score: 0.02, valid/loss: 0.5}}"),
        [("f_score".to_owned(), 0.02), ("valid/loss".to_owned(), 0.5)]
    );
    for wrong in ["0", "-1", "much", "{accuracy: 0}", "[0.1]"] {
        let found = messages(&format!("report: {{margin: {wrong}}}"));
        assert!(found.iter().any(|it| it.contains("must be a number above 0")), "{wrong}: {found:?}");
    }
    assert_eq!(messages("report: {margin: {acuracy: 0.1}}"), ["4:19 there is no metric `acuracy`"]);
}

#[test]
fn nothing_is_chosen_by_the_test_split() {
    assert_eq!(
        parses("report: {choose_by: valid/f_score}").sweep.report.choose_by.as_deref(),
        Some("valid/f_score")
    );
    assert_shown(
        "report: {choose_by: accuracy}",
        r"
error: `accuracy` is a metric of the test split: nothing may be chosen by it
 --> x.yaml:4:21
  |
4 | report: {choose_by: accuracy}
  |                     ^^^^^^^^
  = help: choose by the validation split: `valid/accuracy`
",
    );
    assert_eq!(messages("report: {choose_by: valid/acuracy}"), ["4:21 there is no metric `valid/acuracy`"]);
    assert_eq!(parses("report: {metrics: [accuracy, valid/loss]}").sweep.report.metrics.len(), 2);
}

#[test]
fn the_error_rate_is_held_over_all_comparisons_or_over_each_alone() {
    use colearn_core::sweep::Adjustment;
    let adjustment = |text: &str| parses(text).sweep.report.adjustment;
    assert_eq!(adjustment("report: {adjustment: none}"), Adjustment::None);
    assert_eq!(adjustment("report: {confidence: 0.9}"), Adjustment::Simultaneous);
    assert_eq!(
        messages("report: {adjustment: holm}"),
        ["4:22 `report.adjustment` must be `simultaneous` or `none`, found `holm`"]
    );
}

#[test]
fn what_is_kept_is_a_list_of_known_words() {
    assert_shown(
        "keep: [weights, prediction]",
        "
error: `keep` has no `prediction`
 --> x.yaml:4:17
  |
4 | keep: [weights, prediction]
  |                 ^^^^^^^^^^
  = help: did you mean `predictions`?",
    );
    assert_shown(
        "keep: best",
        "
error: `keep` must be a list of files to keep
 --> x.yaml:4:7
  |
4 | keep: best
  |       ^^^^
  = help: the epoch whose weights are tested is a setting: `training: {keep: best}`",
    );
    assert_eq!(messages("keep: [weights, weights]"), ["4:17 `weights` is given twice"]);
    assert!(fails("keep: [logs]").to_string().contains("what can be kept is predictions and weights"));
    assert_eq!(messages("keep: weights")[0].split(", found").next(), Some("4:7 `keep` must be a list"));
}
