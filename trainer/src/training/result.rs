//! The result of a finished member.

use colearn_core::{result::TaskResult, text::shortened};
use colearn_data_format::Task;
use sha2::{Digest, Sha256};
use tch::{Kind, Tensor};

use super::{evaluation::to_vec, network::Network, progress::Progress, source::DataSource};
use crate::metrics::Regression;

/// The parts of a result that do not depend on the test.
pub(super) fn result(member: &Progress, k: i64, network: &Network, source: &DataSource) -> TaskResult {
    TaskResult {
        classes: classes(source.task()).into(),
        history: member.state.history.clone(),
        best_epoch: member.tested_epoch(),
        parameters: network.model.layout().total() as u64,
        data_digest: source.digest().to_owned(),
        weights_digest: weights_digest(network.now().map(|flat| flat.get(k))),
        resumed_after: member.state.resumed_after.clone(),
        ..TaskResult::default()
    }
}

fn classes(task: &Task) -> Vec<String> {
    match task {
        // A result must fit its message, however long the class names of the data set are.
        Task::Classification { classes } => classes.iter().map(|name| shortened(name, 256)).collect(),
        Task::Regression => Regression::CLASSES.map(str::to_owned).to_vec(),
    }
}

/// SHA-256 of parameters and buffers, each [P], as little-endian floats.
fn weights_digest(flat: [Tensor; 2]) -> String {
    let mut hasher = Sha256::new();
    for tensor in flat {
        for value in to_vec::<f32>(&tensor.to_kind(Kind::Float)) {
            hasher.update(value.to_le_bytes());
        }
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
