//! Sweeps for tests.

use colearn_core::sweep::Sweep;
use serde_json::{Value, json};

/// A sweep of `configurations` configurations, whose ids count from 1, and `seeds` seeds, which count from 0.
pub(crate) fn small_sweep(name: &str, configurations: u64, seeds: u64) -> Sweep {
    let configuration = |id: u64| -> Value {
        json!({
            "id": format!("{id:016x}"),
            "settings": {
                "dataset": "waves",
                "primary": "inertial",
                "unimodal": false,
                "model": {"kind": "bi-eflstm", "hidden": 8, "layers": 1, "dropout": 0.5},
                "training": {
                    "epochs": 10, "batch_size": 4, "learning_rate": 0.001,
                    "shuffle": "once", "drop_last": false, "modality_draw": "shared"
                },
                "modality_dropout": {}
            },
            "values": {"n": id},
            "baseline": false,
            "cohort_key": 1
        })
    };
    let sweep = json!({
        "name": name,
        "parameters": ["n"],
        "configurations": (1..=configurations).map(configuration).collect::<Vec<_>>(),
        "seeds": (0..seeds).collect::<Vec<_>>(),
        "report": {"metrics": ["accuracy"], "confidence": 0.95},
        "retries": {
            "max_attempts": 3,
            "initial_backoff": {"secs": 0, "nanos": 0},
            "max_backoff": {"secs": 60, "nanos": 0}
        }
    });
    serde_json::from_value(sweep).expect("it is a sweep")
}
