//! Moves members between the training loop and checkpoints.

use colearn_trainer_protocol::checkpoint::{Checkpoint, Expected, Header, Store, digest_of_text, encode};
use tch::{Kind, Tensor};

use super::{
    evaluation::to_vec,
    network::Network,
    progress::{Progress, State},
    source::DataSource,
};
use crate::model::{Layout, Model};

/// The tensors of a member, in the order of [`rows`].
const TENSORS: [&str; 6] =
    ["parameters", "buffers", "adam.mean", "adam.square", "best.parameters", "best.buffers"];

/// Writes and reads the checkpoints of a cohort's members.
pub(super) struct Checkpoints<'a> {
    store: Option<&'a Store>,
    data_digest: String,
    layout_digest: String,
    /// Length of each of [`TENSORS`].
    lengths: [usize; 6],
}

impl<'a> Checkpoints<'a> {
    pub(super) fn new(store: Option<&'a Store>, source: &DataSource, model: &dyn Model) -> Self {
        let (parameters, buffers) = (model.layout(), model.buffer_layout());
        let [p, q] = [parameters, buffers].map(|layout| layout.total() as usize);
        Self {
            store,
            // The digest needs the whole file to be read, which is useless without a store.
            data_digest: store.map(|_| source.digest().to_owned()).unwrap_or_default(),
            layout_digest: layout_digest([parameters, buffers]),
            lengths: [p, q, p, p, p, q],
        }
    }

    /// The place for checkpoints and kept files.
    pub(super) fn store(&self) -> Option<&'a Store> {
        self.store
    }

    /// Whether checkpoints are kept.
    pub(super) fn are_kept(&self) -> bool {
        self.store.is_some()
    }

    /// Writes a member's checkpoint. If that fails, training goes on: after an interruption the task would start
    /// over, or continue from an older checkpoint.
    pub(super) fn save(&self, member: &Progress, k: i64, network: &Network) {
        let Some(store) = self.store else { return };
        let (task, epoch) = (member.plan.task, member.state.epoch);
        let header = Header {
            task,
            attempt: member.plan.attempt,
            epoch,
            data_digest: self.data_digest.clone(),
            layout_digest: self.layout_digest.clone(),
        };
        let saved =
            Saved { state: member.state.clone(), optimizer_steps: network.adam.state().steps[k as usize] };
        let progress = serde_json::to_string(&saved).expect("the state is plain data with finite numbers");
        let rows = rows(network).map(|flat| to_vec::<f32>(&flat.get(k).to_kind(Kind::Float)));
        let tensors = TENSORS.map(str::to_owned).into_iter().zip(rows).collect();
        let bytes = encode(&Checkpoint { header, progress, tensors });
        if let Err(error) = store.save(task, member.plan.attempt, epoch, bytes) {
            eprintln!("warning: checkpoint of {} after epoch {epoch}: {error}", member.plan.called);
        }
    }

    /// Continues a member from its newest usable checkpoint, if there is one.
    pub(super) fn restore(&self, member: &mut Progress, k: i64, network: &mut Network) {
        let Some(store) = self.store else { return };
        let (task, called) = (member.plan.task, member.plan.called.clone());
        let expected = Expected {
            task,
            data_digest: self.data_digest.clone(),
            layout_digest: self.layout_digest.clone(),
            tensors: TENSORS.map(str::to_owned).into_iter().zip(self.lengths).collect(),
        };
        let warn = &mut |text: String| eprintln!("warning: {called}: {text}");
        let Some(checkpoint) = store.latest(task, &expected, warn) else { return };
        let saved: Saved = match serde_json::from_str(&checkpoint.progress) {
            Ok(saved) => saved,
            Err(error) => {
                eprintln!(
                    "warning: the checkpoint of {called} does not say how far the task is, so the task starts over: {error}"
                );
                return;
            }
        };
        let epoch = saved.state.epoch;
        let values =
            |name: &str| Tensor::from_slice(&checkpoint.tensors[name]).to_device(network.best[0].device());
        let now = network.now().into_iter().zip(["parameters", "buffers"]);
        let best = network.best.iter().zip(["best.parameters", "best.buffers"]);
        for (flat, name) in now.chain(best) {
            flat.get(k).copy_(&values(name));
        }
        let (mean, square) = (values("adam.mean"), values("adam.square"));
        network.adam.restore(k as usize, &mean, &square, saved.optimizer_steps);
        network.adam.set_learning_rate(k as usize, saved.state.learning_rate);
        member.state = saved.state;
        member.state.resumed_after.push(epoch);
        eprintln!("{called} continues after epoch {epoch}");
    }
}

/// The contents of a checkpoint besides the tensors.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    state: State,
    /// Number of optimizer steps of this member.
    optimizer_steps: u32,
}

/// The tensors [K, ...] that [`TENSORS`] names.
fn rows(network: &Network) -> [&Tensor; 6] {
    let ([parameters, buffers], adam) = (network.now(), network.adam.state());
    let [best_parameters, best_buffers] = &network.best;
    [parameters, buffers, adam.mean, adam.square, best_parameters, best_buffers]
}

/// A digest of names and shapes: weights have no meaning in another network.
fn layout_digest(layouts: [&Layout; 2]) -> String {
    let entries = layouts.into_iter().flat_map(Layout::entries);
    digest_of_text(&entries.map(|entry| format!("{} {:?}\n", entry.name, entry.shape)).collect::<String>())
}
