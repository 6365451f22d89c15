//! The messages for likely mistakes in a sweep file.

mod file;
mod values;

use colearn_core::sweep::{Diagnostics, Parsed, Sweep};

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
