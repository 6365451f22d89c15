//! Many values at every key: the validator and the parser must agree, apart from the listed differences.

use colearn_core::{
    settings::schema::{FIELDS, Kind},
    sweep::{json_schema, reference},
};
use serde_json::Value;

use super::{faults, parses, validator};

const NETWORKS: &str = "name: x\ndataset: d\nprimary: language\n";
const PROGRAM: &str = "name: x\nprogram: {command: [./a.out, '${args}']}\nreport: {metrics: [accuracy]}\n";

/// Values of every type, at and beyond usual bounds.
const VALUES: &[&str] = &[
    "~",
    "true",
    "false",
    "0",
    "1",
    "2",
    "3",
    "-1",
    "0.5",
    "1.5",
    "-0.5",
    "64",
    "65",
    "100",
    "101",
    "1000",
    "1001",
    "-1000",
    "-1001",
    "4096",
    "4097",
    "10000",
    "10001",
    "65536",
    "65537",
    "30000",
    "30001",
    "100000",
    "100001",
    "1000000",
    "1000001",
    "4294967295",
    "4294967296",
    "9007199254740991",
    "9007199254740992",
    "''",
    "' '",
    "x",
    "'a b'",
    "audio",
    "language",
    "'2d'",
    "accuracy",
    "valid/accuracy",
    "valid/nonsense",
    "higher",
    "lower",
    "best",
    "plateau",
    "mfn",
    "by_seed",
    "by_configuration",
    "simultaneous",
    "none",
    "5s",
    "1h30m",
    "'2h 15m'",
    "8d",
    "soon",
    "'5'",
    "'0'",
    "8GB",
    "512MiB",
    "'8'",
    "'8 GB'",
    "8XB",
    "a.out",
    "'acc=(?P<accuracy>.*)'",
    "'acc=(.*)'",
    "[]",
    "[x]",
    "[1]",
    "[0, 1]",
    "[1, 1]",
    "[true]",
    "['']",
    "[audio]",
    "[accuracy]",
    "[loss, loss]",
    "[valid/loss, accuracy]",
    "[weights]",
    "[weights, weights]",
    "[logs]",
    "[[audio]]",
    "[[]]",
    "[[audio, 3]]",
    "[~]",
    "[{}]",
    "[{x: 1}]",
    "[{unimodal: true}]",
    "[{model.hidden: 1}]",
    "[{model.hidden: 0}]",
    "{}",
    "{x: 1}",
    "{a: 1}",
    "{audio: 0.5}",
    "{audio: 8}",
    "{audio: x}",
    "{'a b': 1}",
    "{accuracy: 0.1}",
    "{accuracy: 0}",
    "{accuracy: lower}",
    "{values: [1]}",
    "{values: []}",
    "{values: 1}",
    "{min: 0, max: 1}",
    "{min: 0.1, max: 0.5, count: 3}",
    "{min: 1, max: 4, count: 2}",
    "{min: 1, max: 4, count: 1}",
    "{min: 1, max: 4, count: 2, scale: log}",
    "{min: 1, max: 4, count: 2, scale: sqrt}",
    "{count: 3, base: 1}",
    "{count: 0}",
    "{base: 9007199254740992}",
    "{every_epochs: 0}",
    "{every_epochs: 100001}",
    "{max_attempts: 1}",
    "{max_attempts: 101}",
    "{json: 'out/${task}.json'}",
    "{json: out.json}",
    "{csv: '${checkpoint_dir}/a.csv'}",
    "{json: '${task}', csv: '${task}'}",
    "{command: [a]}",
    "{command: []}",
    "{A: 1}",
    "{A: x}",
    "{COLEARN_X: 1}",
    "{A-B: 1}",
    "{seed: 1}",
    "{program.x: 1}",
    "{a.b: [1, 2]}",
    "{a: {b: 1}}",
    "{unimodal: true}",
    "{model.hidden: 3}",
    "{model.hidden: [3, 4]}",
    "{model.hidden: '3'}",
    "{training.keep_by: [audio]}",
    "{training.keep_by: [[audio], []]}",
    "{modality_dropout.audio: [0, 1]}",
    "{modality_dropout.audio: 2}",
    "{model.kind: [mfn, bi-eflstm]}",
    "{nonsense: 1}",
];

/// Where each key is put, with `@` for the value.
fn places() -> Vec<(String, String)> {
    let mut places = Vec::new();
    let mut add = |name: &str, head: &str, text: &str| {
        // The key replaces the one in the head.
        let key = text.split(':').next().unwrap_or_default();
        let head: String = head
            .lines()
            .filter(|line| line.split(':').next() != Some(key))
            .map(|line| format!("{line}\n"))
            .collect();
        places.push((name.to_owned(), format!("{head}{text}\n")));
    };
    for key in reference().lines().skip(1).take_while(|line| !line.is_empty()) {
        let key = key.split_whitespace().next().unwrap_or_default();
        add(key, NETWORKS, &format!("{key}: @"));
        add(&format!("{key} of a program"), PROGRAM, &format!("{key}: @"));
    }
    for field in FIELDS {
        let path = field.path.replace("<modality>", "audio");
        let names: Vec<&str> = path.split('.').collect();
        let nested = match names.as_slice() {
            [name] => format!("{name}: @"),
            [section, name] => format!("{section}: {{{name}: @}}"),
            [section, name, modality] => format!("{section}: {{kind: mfn, {name}: {{{modality}: @}}}}"),
            _ => panic!("{path}"),
        };
        let mfn = if field.models == ["mfn"] { "model: {kind: mfn}\n" } else { "" };
        let nested = match (mfn, names.as_slice()) {
            ("", _) | (_, [_, _, _]) => nested,
            (_, [section, name]) => format!("{section}: {{kind: mfn, {name}: @}}"),
            _ => nested,
        };
        add(&path, NETWORKS, &nested);
        add(&format!("parameter {path}"), &format!("{NETWORKS}{mfn}"), &format!("parameters: {{{path}: @}}"));
        add(&format!("included {path}"), &format!("{NETWORKS}{mfn}"), &format!("include: [{{{path}: @}}]"));
    }
    for key in ["count", "base"] {
        add(&format!("seeds.{key}"), NETWORKS, &format!("seeds: {{{key}: @}}"));
    }
    for key in ["max_attempts", "initial_backoff", "max_backoff"] {
        add(&format!("retries.{key}"), NETWORKS, &format!("retries: {{{key}: @}}"));
    }
    add("checkpoint.every_epochs", NETWORKS, "checkpoint: {every_epochs: @}");
    for key in [
        "metrics",
        "baseline",
        "confidence",
        "better",
        "reference",
        "replicates",
        "margin",
        "adjustment",
        "choose_by",
    ] {
        add(&format!("report.{key}"), NETWORKS, &format!("report: {{{key}: @}}"));
        let metrics = if key == "metrics" { "" } else { "metrics: [accuracy], " };
        add(&format!("report.{key} of a program"), PROGRAM, &format!("report: {{{metrics}{key}: @}}"));
    }
    for key in [
        "command",
        "directory",
        "environment",
        "timeout",
        "files",
        "result",
        "gpu",
        "memory",
        "threads",
        "labels",
    ] {
        let command = if key == "command" { "" } else { "command: [a.out, '${args}'], " };
        add(&format!("program.{key}"), PROGRAM, &format!("program: {{{command}{key}: @}}"));
    }
    add("a program's parameter", PROGRAM, "parameters: {lr: @}");
    add("a program's setting", PROGRAM, "settings: {lr: @}");
    add("an unknown key", NETWORKS, "nonsense: @");
    places
}

/// What the schema cannot say: the parser looks at other places of the file, or at what a text means.
fn is_beyond_a_schema(place: &str, value: &str) -> bool {
    let repeated = ["[1, 1]", "[loss, loss]", "[weights, weights]"].contains(&value);
    match place.trim_end_matches(" of a program") {
        // In a zip, a value may be repeated.
        place if place.starts_with("parameter ") || place == "a program's parameter" => repeated,
        // Names that must be those of other parts of the file.
        "report.baseline" | "report.better" | "exclude" => value.contains(':'),
        "report.replicates" => value.starts_with('['),
        // Which of the two depends on `model.kind`.
        "model.hidden" => value.starts_with('{'),
        // A sweep with the default seeds has more tasks.
        "max_tasks" => ["1", "2", "3"].contains(&value),
        "seeds.count" if value.parse().is_ok_and(|count: u64| count > 10_000) => true,
        "seeds.count" | "seeds.base" | "seeds" => value.contains("9007199254740991"),
        // One of the two durations is longer than the other, or one is longer than a week.
        "retries.initial_backoff" => ["8d", "1h30m", "'2h 15m'", "'2d'"].contains(&value),
        "retries.max_backoff" => ["8d", "'0'"].contains(&value),
        "program.timeout" => ["8d", "'0'"].contains(&value),
        "program.memory" => value == "'0'",
        "program.command" => value == "['']",
        _ => false,
    }
}

#[test]
fn at_every_key_validator_and_parser_say_the_same_of_every_value() {
    let validator = validator();
    let (mut compared, mut accepted, mut beyond) = (0, 0, Vec::new());
    let mut differ = Vec::new();
    for (place, text) in places() {
        for value in VALUES {
            let yaml = text.replace('@', value);
            let (parses, faults) = (parses(&yaml), faults(&validator, &yaml));
            compared += 1;
            accepted += usize::from(parses);
            // What the parser accepts must follow the schema, always; what it refuses must not, with exceptions.
            if parses == faults.is_empty() {
                continue;
            }
            if !parses && is_beyond_a_schema(&place, value) {
                beyond.push(format!("{place}: {value}"));
            } else {
                differ.push(format!("{place}: {value}: the parser says {parses}, the schema {faults:?}"));
            }
        }
    }
    assert!(differ.is_empty(), "{} of {compared} differ:\n{}", differ.len(), differ.join("\n"));
    assert!(
        compared > 10_000 && accepted > 800 && beyond.len() < 170,
        "{compared} {accepted} {}:\n{}",
        beyond.len(),
        beyond.join("\n")
    );
}

/// Every key and setting that `colearn settings` prints, with its meaning, unit, range and default.
#[test]
fn the_schema_has_what_the_list_of_settings_says() {
    let schema = json_schema();
    let text = reference();
    let keys: Vec<&str> = text
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(keys.len(), 18);
    for key in keys {
        let described = &schema["properties"][key];
        assert!(described["description"].is_string(), "{key}: {described}");
    }
    for field in FIELDS {
        let found = find(&schema, field.path);
        let described = found["description"].as_str().unwrap_or_default();
        assert!(described.starts_with(field.doc), "{}: {found}", field.path);
        assert!(described.contains(&field.kind.to_string()), "{}: {described}", field.path);
        assert_eq!(found.get("default").cloned(), field.default.map(|it| it.value()), "{}", field.path);
        let number = matches!(field.kind, Kind::Integer { .. } | Kind::Number { .. });
        assert_eq!(number, !field.unit.is_empty(), "{}", field.path);
        if number {
            assert_eq!(found["x-unit"], field.unit, "{}", field.path);
        }
    }
}

/// The schema of a setting in its section.
fn find<'s>(schema: &'s Value, path: &str) -> &'s Value {
    let mut place = &schema["properties"];
    for name in path.split('.') {
        if name == "<modality>" {
            let patterns = place["patternProperties"].as_object().and_then(|it| it.values().next());
            return patterns.unwrap_or(place);
        }
        place = match &place["properties"] {
            Value::Null => &place[name],
            properties => &properties[name],
        };
        if path.ends_with("<modality>") && place["anyOf"].is_array() {
            place = &place["anyOf"][1];
        } else if place["anyOf"].is_array() && place.get("default").is_none() {
            place = &place["anyOf"][0];
        }
    }
    place
}
