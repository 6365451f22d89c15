//! Sweep files that are shipped, and those in documents.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{faults, parses, validator};

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    String::from_utf8(fs::read(path).expect("the file ships")).expect("it is UTF-8")
}

#[test]
fn every_shipped_sweep_follows_the_schema() {
    let validator = validator();
    let mut count = 0;
    for entry in fs::read_dir(checkout().join("sweeps")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let found = faults(&validator, &read(&path));
            assert!(found.is_empty(), "{}: {found:?}", path.display());
            count += 1;
        }
    }
    assert!(count >= 9, "{count}");
}

/// All Markdown pages of a folder and of the folders in it.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The YAML blocks of a page, as they are written.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("```yaml") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim_start() != "```").collect();
            blocks.push(block.join("\n") + "\n");
        }
    }
    blocks
}

/// Examples on pages are whole files, or parts of one: what every file needs is added to parts.
#[test]
fn every_example_on_a_page_follows_the_schema_and_parses() {
    let validator = validator();
    let mut found = vec![checkout().join("README.md")];
    for folder in ["docs", "deploy", "sweeps"] {
        pages(&checkout().join(folder), &mut found);
    }
    let (mut examples, mut others) = (0, 0);
    for path in &found {
        for block in blocks(&read(path)) {
            // Manifests of Kubernetes and the like.
            if block.contains("apiVersion:") || block.contains("rules:\n") || block.contains("scrape_configs")
            {
                others += 1;
                continue;
            }
            let whole = completed(&block);
            let faults = faults(&validator, &whole);
            assert!(faults.is_empty(), "{}: {faults:?}\n{whole}", path.display());
            assert!(parses(&whole), "{}: the parser refuses this:\n{whole}", path.display());
            examples += 1;
        }
    }
    assert!(examples >= 8, "{examples} examples, {others} others");
}

/// The part of a sweep file with the keys that every file needs.
fn completed(part: &str) -> String {
    let mut text = part.to_owned();
    let has = |key: &str| part.lines().any(|line| line.starts_with(&format!("{key}:")));
    if has("command") {
        // The contents of `program`.
        text = "program:\n".to_owned();
        text.extend(part.lines().map(|line| format!("  {line}\n")));
    }
    let own = text.starts_with("program:") || text.contains("\nprogram:");
    if own && !text.contains("command:") {
        text = text.replace("program:\n", "program:\n  command: [./a.out, \"${args}\"]\n");
    }
    let mut add = |key: &str, value: &str| {
        if !text.lines().any(|line| line.starts_with(&format!("{key}:"))) {
            text.push_str(&format!("{key}: {value}\n"));
        }
    };
    add("name", "x");
    if own {
        add("report", "{metrics: [accuracy]}");
    } else {
        add("dataset", "x");
        add("primary", "language");
    }
    text
}

#[test]
fn parts_of_a_file_are_completed() {
    assert!(parses(&completed("keep: [weights]\n")));
    assert!(parses(&completed("command: [./a.out]\n")));
    assert!(!parses(&completed("keep: [weight]\n")));
}

/// docs/sweep.schema.json is what `colearn schema` prints.
#[test]
fn the_copy_of_the_schema_is_up_to_date() {
    let path = checkout().join("docs/sweep.schema.json");
    let schema = serde_json::to_string_pretty(&colearn_core::sweep::json_schema()).unwrap() + "\n";
    super::page::compare(&path, &schema);
}
