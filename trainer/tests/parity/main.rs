//! Compares the networks, Adam, the learning rate schedule and the metrics with PyTorch, scikit-learn and SciPy.
//!
//! `make_fixtures.py` computes the expected values.

mod networks;
mod scalars;

use std::path::PathBuf;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/parity/fixtures").join(name)
}

fn scalars() -> serde_json::Value {
    let text = std::fs::read_to_string(fixture("scalars.json")).expect("the fixture is committed");
    serde_json::from_str(&text).expect("the fixture is JSON")
}
