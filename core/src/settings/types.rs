//! The settings of one task, resolved: every field has its value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything that decides what a task trains, but for the seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSettings {
    /// The data set: a bare name (`utd-mhad` is `utd-mhad.safetensors` in the worker's data folder) or a path to a file.
    pub dataset: String,
    /// The modality that is present at validation and test time.
    pub primary: String,
    /// Train on the primary modality alone: the others are zero in training too.
    pub unimodal: bool,
    /// The network.
    pub model: ModelSettings,
    /// How it is trained.
    pub training: TrainingSettings,
    /// Probability in [0, 1] with which a modality's features are zeroed, by modality. A modality that is not
    /// named is never dropped.
    pub modality_dropout: BTreeMap<String, f64>,
}

/// The network and its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ModelSettings {
    /// Early-fusion bidirectional LSTM: modalities concatenated per step (paper, section 3).
    BiEflstm(BiEflstmSettings),
}

/// Sizes of the bi-EFLSTM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BiEflstmSettings {
    /// Hidden units per direction and layer, and width of the head.
    pub hidden: u32,
    /// Stacked bidirectional layers.
    pub layers: u32,
    /// Dropout between the layers and in the head, in [0, 1).
    pub dropout: f64,
}

/// The training loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSettings {
    /// Passes over the training split.
    pub epochs: u32,
    /// Samples per optimizer step.
    pub batch_size: u32,
    /// Adam's step size.
    pub learning_rate: f64,
    /// When the training split is shuffled.
    pub shuffle: Shuffle,
    /// Leave out the last batch of an epoch when it is not full.
    pub drop_last: bool,
    /// Whether one draw decides for all modalities of a batch, or one each.
    pub modality_draw: ModalityDraw,
}

/// When the training split is shuffled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shuffle {
    /// Once at the start, as the paper's code does: every epoch sees the same batches.
    Once,
    /// Anew at every epoch.
    EveryEpoch,
}

/// How the modalities of a batch are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModalityDraw {
    /// One uniform draw a batch: modality m is dropped where the draw is below p_m (the paper's code).
    /// Modalities of equal level drop together.
    Shared,
    /// One draw a batch and modality (the paper's text, equations 13-15).
    Independent,
}
