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
    for entry in fs::read_dir(checkout().join("sweeps")).expect("the folder ships") {
        let path = entry.expect("it can be read").path();
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
    for entry in fs::read_dir(folder).expect("the folder ships") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The YAML blocks of a page that are sweep files, as they are written. A line `<!-- no sweep file -->` before a block
/// says that it is of another program.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    let mut before = "";
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim() != "```").collect();
            if line.trim() == "```yaml" && !before.starts_with("<!-- no sweep file") {
                blocks.push(block.join("\n") + "\n");
            }
        }
        if !line.trim().is_empty() {
            before = line.trim();
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
    let mut examples = 0;
    for path in &found {
        for block in blocks(&read(path)) {
            let whole = completed(&block);
            let faults = faults(&validator, &whole);
            assert!(faults.is_empty(), "{}: {faults:?}\n{whole}", path.display());
            assert!(parses(&whole), "{}: the parser refuses this:\n{whole}", path.display());
            examples += 1;
        }
    }
    assert!(examples >= 8, "{examples}");
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
fn blocks_of_sweep_files_are_found() {
    let page = "```yaml\na: 1\n```\n```\nx\n```\n<!-- no sweep file -->\n\n```yaml\nb: 1\n```\n```sh\nc\n```\n  ```yaml\nd: 1\n  ```\n";
    assert_eq!(blocks(page), ["a: 1\n", "d: 1\n"]);
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
    let schema = serde_json::to_string_pretty(&colearn_core::sweep::json_schema())
        .expect("JSON can be written")
        + "\n";
    super::page::compare(&path, &schema);
}
