//! docs/sweep-file.md: every key with its meaning, values, unit and default, made of the schema.

use std::{fmt::Write as _, fs, path::Path};

use colearn_core::sweep::json_schema;
use serde_json::Value;

/// Compares a file with what it should be; `UPDATE_DOCS=1` writes it instead.
pub(super) fn compare(path: &Path, expected: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, expected).expect("the page can be written");
    }
    let found = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let name = path.file_name().unwrap_or_default().display();
    assert!(
        found == expected,
        "docs/{name} is not up to date: UPDATE_DOCS=1 cargo test -p colearn-core --test sweep_schema"
    );
}

#[test]
fn the_page_of_the_sweep_file_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sweep-file.md");
    compare(&path, &page());
}

const HEAD: &str = "\
# The sweep file

<!-- Generated from the parser's tables: UPDATE_DOCS=1 cargo test -p colearn-core --test sweep_schema -->

One YAML file describes one sweep. It needs `name`, and either `dataset` and `primary` (the built-in networks) or
`program` and `report.metrics` (a program of your own). [Sweeps](../sweeps/README.md) explains the settings of modality
dropout, [Programs as tasks](programs.md) the key `program`, [Metrics](metrics.md) the names in `report.metrics`.

`colearn schema` prints the same as a JSON Schema (draft 7), which is also in [sweep.schema.json](sweep.schema.json).
[Editors](editors.md) says how an editor uses it. `colearn plan FILE` finds also what a schema cannot say, such as lists
of different lengths in `zip`.

A value in `parameters` is one value, a list, `{values: [...]}`, or for numbers `{min, max, count}` with `scale: linear`
or `log`. In `parameters`, `include`, `exclude` and `report.baseline` settings are called by their dotted paths, such as
`training.epochs`; elsewhere they stand in their section, `training: {epochs: 40}`.
";

fn page() -> String {
    let schema = json_schema();
    let mut page = HEAD.to_owned();
    let of = |key: &str| &schema["properties"][key];
    let names: Vec<&String> = schema["properties"].as_object().expect("it has keys").keys().collect();
    let sections = ["model", "training", "modality_dropout"];
    heading(&mut page, "Keys of the file");
    for name in names.iter().filter(|name| !sections.contains(&name.as_str())) {
        row(&mut page, name, of(name));
    }
    for (key, title) in [("seeds", "`seeds`"), ("retries", "`retries`"), ("checkpoint", "`checkpoint`")] {
        heading(&mut page, title);
        let place = if key == "seeds" { &of(key)["anyOf"][1] } else { of(key) };
        rows(&mut page, key, place);
    }
    heading(&mut page, "`report`");
    rows(&mut page, "report", &schema["else"]["properties"]["report"]);
    let better = &schema["then"]["properties"]["report"]["properties"]["better"];
    row(&mut page, "report.better", better);
    heading(&mut page, "`program`");
    rows(&mut page, "program", of("program"));
    for section in sections {
        heading(&mut page, &format!("`{section}`"));
        rows(&mut page, section, of(section));
    }
    page
}

fn heading(page: &mut String, title: &str) {
    let _ = write!(page, "\n## {title}\n\n| key | meaning | unit | default |\n|---|---|---|---|\n");
}

fn rows(page: &mut String, section: &str, schema: &Value) {
    for (name, value) in schema["properties"].as_object().into_iter().flatten() {
        match value["anyOf"].as_array().map(Vec::as_slice) {
            // A value, or one for each modality.
            Some([one, map]) if map["patternProperties"].is_object() => {
                row(page, &format!("{section}.{name}"), one);
                rows(page, &format!("{section}.{name}"), map);
            }
            // A key of programs.
            _ if value == &Value::Bool(false) => {}
            _ => row(page, &format!("{section}.{name}"), value),
        }
    }
    for value in schema["patternProperties"].as_object().into_iter().flat_map(|it| it.values()) {
        row(page, &format!("{section}.<modality>"), value);
    }
}

fn row(page: &mut String, path: &str, schema: &Value) {
    let text = |key: &str| schema[key].as_str().unwrap_or_default().replace('|', "\\|");
    let mut meaning = text("description").replace('<', "&lt;");
    let (low, high) = (&schema["minimum"], &schema["maximum"]);
    // Settings say their range already.
    if low.is_number() && high.is_number() && !meaning.contains("integer") && !meaning.contains("number in") {
        let _ = write!(meaning, "; an integer from {low} to {high}");
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.iter().all(|word| meaning.contains(word.as_str().unwrap_or_default()))
    {
        let words: Vec<String> = words.iter().filter_map(|it| Some(format!("`{}`", it.as_str()?))).collect();
        let _ = write!(meaning, "; {}", words.join(" or "));
    }
    let default = match schema.get("default") {
        None => String::new(),
        Some(Value::String(word)) => format!("`{word}`"),
        Some(value) => format!("`{value}`"),
    };
    let _ = writeln!(page, "| `{path}` | {meaning} | {} | {default} |", text("x-unit"));
}
