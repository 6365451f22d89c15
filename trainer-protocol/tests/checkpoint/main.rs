//! Tests of checkpoints: what is kept, what is refused, and where objects are stored.

#![expect(clippy::unwrap_used, reason = "these are tests; clippy takes their helpers for something else")]

mod format;
mod kept;
mod store;

use std::collections::BTreeMap;

use colearn_core::id::{ConfigurationId, SweepId, TaskId};
use colearn_trainer_protocol::checkpoint::{Checkpoint, Expected, Header, digest_of_text};

fn task(seed: u64) -> TaskId {
    TaskId { sweep: SweepId(26), configuration: ConfigurationId(0xfeed), seed }
}

/// A small checkpoint with floats that are easily changed: a NaN with a payload, -0, a subnormal.
fn checkpoint(seed: u64, attempt: u32, epoch: u32) -> Checkpoint {
    let odd = [f32::from_bits(0x7fa1_2345), -0.0, f32::from_bits(1), f32::NEG_INFINITY, 0.1];
    Checkpoint {
        header: Header {
            task: task(seed),
            attempt,
            epoch,
            data_digest: "da".repeat(32),
            layout_digest: digest_of_text("weight [5]"),
        },
        progress: r#"{"history": [0.5, "ä"]}"#.to_owned(),
        tensors: BTreeMap::from([
            ("adam.mean".to_owned(), vec![epoch as f32; 5]),
            ("buffers".to_owned(), vec![]),
            ("parameters".to_owned(), odd.to_vec()),
        ]),
    }
}

fn expected(seed: u64) -> Expected {
    let Checkpoint { header, tensors, .. } = checkpoint(seed, 1, 1);
    Expected {
        task: header.task,
        data_digest: header.data_digest,
        layout_digest: header.layout_digest,
        tensors: tensors.into_iter().map(|(name, values)| (name, values.len())).collect(),
    }
}

/// Compares every bit; with `==` a NaN differs from itself.
fn same(one: &Checkpoint, other: &Checkpoint) -> bool {
    let bits = |checkpoint: &Checkpoint| -> Vec<(String, Vec<u32>)> {
        let bits = |values: &Vec<f32>| values.iter().map(|value| value.to_bits()).collect();
        checkpoint.tensors.iter().map(|(name, values)| (name.clone(), bits(values))).collect()
    };
    one.header == other.header && one.progress == other.progress && bits(one) == bits(other)
}
