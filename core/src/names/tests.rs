use std::sync::Arc;

use serde_json::json;

use super::*;

const FILE: &str = "\
name: small
dataset: demo
primary: language
model: {kind: bi-eflstm, hidden: 8, layers: 1, dropout: 0.2}
training: {epochs: 3, batch_size: 32, learning_rate: 0.003}
parameters:
  modality_dropout.audio: [0, 0.8]
  modality_dropout.video: [0, 0.8]
  training.learning_rate: [0.003]
include:
  - {unimodal: true}
";

fn sweep(text: &str) -> Sweep {
    Sweep::parse_in(text, "x.yaml", "/tmp").unwrap_or_else(|errors| panic!("{errors}")).sweep
}

fn names(sweep: &Sweep) -> Vec<String> {
    let names = Names::of(sweep);
    sweep.configurations.iter().map(|configuration| names.name(configuration)).collect()
}

/// A sweep over the parameters of a program.
fn program(parameters: &str) -> Sweep {
    replicated(parameters, "")
}

fn replicated(parameters: &str, by: &str) -> Sweep {
    let (head, report) = ("name: p\nprogram: {command: [\"true\"]}\nparameters:\n", "report: {metrics: [m]");
    sweep(&format!("{head}{parameters}{report}, replicates: [{by}]}}\n"))
}

#[test]
fn a_configuration_is_named_by_the_values_that_differ() {
    let all = names(&sweep(FILE));
    let expected = [
        "audio=0.0 video=0.0",
        "audio=0.0 video=0.8",
        "audio=0.8 video=0.0",
        "audio=0.8 video=0.8",
        "unimodal",
    ];
    assert_eq!(all, expected);
    let two = FILE.replace("training.learning_rate: [0.003]", "training.dropout_of.audio: [1]");
    assert!(Sweep::parse(&two, "x").is_err(), "the next test would mean nothing");
    let both = program("  a.rate: [1, 2]\n  b.rate: [3]\n  c: [x, 'y z', '1', 1, '[x', null, [a, 'b c']]\n");
    assert_eq!(
        names(&both)[..7],
        [
            "rate=1 c=x",
            "rate=1 c=\"y z\"",
            "rate=1 c=\"1\"",
            "rate=1 c=1",
            "rate=1 c=\"[x\"",
            "rate=1 c=null",
            "rate=1 c=[\"a\",\"b c\"]"
        ]
    );
    let same_end = program("  a.rate: [1, 2]\n  b.rate: [3, 4]\n");
    assert_eq!(names(&same_end)[0], "a.rate=1 b.rate=3");
}

#[test]
fn without_a_difference_all_values_are_named() {
    assert_eq!(names(&program("  lr: [0.1]\n")), ["lr=0.1"]);
    let bare = FILE.split("parameters:").next().unwrap();
    assert_eq!(names(&sweep(bare)), [AS_IN_FILE]);
}

#[test]
fn replicates_come_last() {
    let folds = replicated("  fold: [0, 1]\n  lr: [1, 2]\n", "fold");
    assert_eq!(names(&folds), ["lr=1 fold=0", "lr=2 fold=0", "lr=1 fold=1", "lr=2 fold=1"]);
}

/// Journals of older versions may have several configurations with the same values.
#[test]
fn equal_names_are_told_apart_by_other_settings_or_by_ids() {
    let mut old = sweep(FILE);
    for configuration in &mut old.configurations[..2] {
        configuration.values = Arc::default();
    }
    old.configurations[2].values = old.configurations[3].values.clone();
    old.configurations[2].settings = old.configurations[3].settings.clone();
    let all = names(&old);
    assert_eq!(all[1], "modality_dropout.video=0.8");
    assert_eq!(all[0], format!("as-in-file id={}", old.configurations[0].id));
    let (one, other) = (old.configurations[2].id, old.configurations[3].id);
    assert_eq!(
        all[2..4],
        [format!("audio=0.8 video=0.8 id={one}"), format!("audio=0.8 video=0.8 id={other}")]
    );
    let found = Names::of(&old);
    for (configuration, name) in old.configurations.iter().zip(&all) {
        let id = found.find(&old, &Criteria::new(name).unwrap()).map(|it| it.id);
        assert_eq!(id, Ok(configuration.id), "{name}");
    }
}

#[test]
fn a_long_name_is_cut_and_gets_the_id() {
    let long = program(&format!("  text: ['{}a', '{}b']\n", "x".repeat(250), "x".repeat(250)));
    for (name, configuration) in names(&long).iter().zip(&long.configurations) {
        assert!(name.len() <= LONGEST && name.ends_with(&format!("... id={}", configuration.id)), "{name}");
        let found = Names::of(&long).find(&long, &Criteria::new(name).unwrap()).unwrap().id;
        assert_eq!(found, configuration.id);
    }
}

#[test]
fn every_name_is_found_with_blanks_and_with_commas() {
    for sweep in [
        sweep(FILE),
        program(
            "  a.b: [x, 'y z', '1', 1, '[x', null, [a, 'b, c']]\n  flag: [true, false]\n  s: ['', ',']\n",
        ),
    ] {
        let names = Names::of(&sweep);
        for configuration in &sweep.configurations {
            let name = names.name(configuration);
            for text in [name.clone(), as_argument(&name), format!(" {}, ", as_argument(&name))] {
                let found = names.find(&sweep, &Criteria::new(&text).unwrap());
                assert_eq!(found.map(|it| it.id), Ok(configuration.id), "{text}");
            }
        }
    }
}

fn find(text: &str) -> Result<String, String> {
    let sweep = sweep(FILE);
    let names = Names::of(&sweep);
    let found = names.find(&sweep, &Criteria::new(text).unwrap());
    found.map(|it| names.name(it)).map_err(|error| error.to_string())
}

#[test]
fn values_that_one_configuration_has_name_it() {
    for (text, name) in [
        ("audio=0.80,video=0.8", "audio=0.8 video=0.8"),
        ("video=0,modality_dropout.audio=8e-1", "audio=0.8 video=0.0"),
        ("unimodal", "unimodal"),
        ("unimodal=true", "unimodal"),
        ("unimodal=false audio=0.0 video=0.8", "audio=0.0 video=0.8"),
        ("model.hidden=8,unimodal", "unimodal"),
        ("audio=0.0 video=0.0", "audio=0.0 video=0.0"),
    ] {
        assert_eq!(find(text).as_deref(), Ok(name), "{text}");
    }
    let id = sweep(FILE).configurations[3].id.to_string();
    for digits in [&id[..6], &id, &id.to_uppercase(), &format!("id={id}")] {
        assert_eq!(find(digits).as_deref(), Ok("audio=0.8 video=0.8"), "{digits}");
    }
}

#[test]
fn of_several_with_the_values_the_one_without_others_is_meant() {
    let sweep = program("  lr: [1, 2]\ninclude:\n  - {lr: 1, wide: true}\n");
    let names = Names::of(&sweep);
    let found = names.find(&sweep, &Criteria::new("lr=1").unwrap()).unwrap();
    assert_eq!(names.name(found), "lr=1");
    assert!(sweep.configurations.iter().any(|it| it.values.contains_key("wide")));
}

/// A unimodal network drops nothing: its probabilities are the default.
#[test]
fn a_value_of_the_file_is_rather_meant_than_a_default() {
    let text = FILE.replace("[0, 0.8]\n  modality_dropout.video: [0, 0.8]", "[0, 0.8]");
    let sweep = sweep(&text);
    let names = Names::of(&sweep);
    let found = names.find(&sweep, &Criteria::new("audio=0").unwrap()).unwrap();
    assert_eq!(names.name(found), "audio=0.0");
}

#[test]
fn what_names_none_or_several_lists_the_names() {
    let told = |text: &str| find(text).unwrap_err();
    let message = told("audio=0.8");
    assert!(
        message.contains(
            "2 configurations that `audio=0.8` may mean: audio=0.8,video=0.0; audio=0.8,video=0.8; name more"
        ),
        "{message}"
    );
    let message = told("adio=0.8");
    assert!(message.contains("no setting is called `adio`; did you mean `audio`?"), "{message}");
    assert!(message.contains("its configurations are audio=0.0,video=0.0; "), "{message}");
    let message = told("audio=0.7");
    assert!(message.contains("no configuration has these values together"), "{message}");
    assert!(told("01a").contains("no setting is called `01a`"));
    assert_eq!(Criteria::new(" , "), None);
    let many = program(&format!("  lr: {}\n", json!((0..20).collect::<Vec<_>>())));
    let message = Names::of(&many).find(&many, &Criteria::new("lr=99").unwrap()).unwrap_err().to_string();
    assert!(message.ends_with("lr=9; and 10 more"), "{message}");
}
