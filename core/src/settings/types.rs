//! The resolved settings of a built-in network: every field has a value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All settings of a built-in network except the seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSettings {
    /// The data set: a bare name (`utd-mhad` is `utd-mhad.safetensors` in the worker's data folder) or a path to a file.
    pub dataset: String,
    /// The modality that is present at validation and test time.
    pub primary: String,
    /// Train on the primary modality alone: the others are zero in training too.
    pub unimodal: bool,
    /// The network.
    pub model: ModelSettings,
    /// The training loop.
    pub training: TrainingSettings,
    /// Probability in [0, 1] with which a modality is set to zero, by modality. A modality that is not named is never
    /// dropped.
    pub modality_dropout: BTreeMap<String, f64>,
    /// Further subsets of modalities for the test, in addition to the primary modality alone; each sorted, without
    /// duplicates. Empty in settings of versions without this field.
    #[serde(default)]
    pub evaluate: Vec<Vec<String>>,
}

/// The network and its sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ModelSettings {
    /// Early-fusion bidirectional LSTM: modalities concatenated per step (paper, section 3).
    BiEflstm(BiEflstmSettings),
    /// Memory Fusion Network (Zadeh et al. 2018; paper, section 3): an LSTM for each modality, attention over their
    /// cell states, and a gated memory.
    Mfn(MfnSettings),
}

/// Sizes of the bi-EFLSTM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BiEflstmSettings {
    /// Hidden units per direction and layer, and width of the head.
    pub hidden: u32,
    /// Number of stacked bidirectional layers.
    pub layers: u32,
    /// Dropout between the layers and in the head, in [0, 1).
    pub dropout: f64,
}

/// Hidden units of the LSTM of a modality that is not named.
pub(super) const DEFAULT_HIDDEN: u32 = 32;

/// Sizes of the Memory Fusion Network. Each inner network is Linear, ReLU, dropout, Linear. Its width is that of the
/// inner layer; its dropout is in [0, 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MfnSettings {
    /// Hidden units of the LSTM of each modality; 32 for a modality that is not named.
    pub hidden: BTreeMap<String, u32>,
    /// Width of the memory.
    pub memory: u32,
    /// Width of the network that turns cell states into attention.
    pub nn1: u32,
    /// Dropout in NN1.
    pub nn1_dropout: f64,
    /// Width of the network that proposes a new memory.
    pub nn2: u32,
    /// Dropout in NN2.
    pub nn2_dropout: f64,
    /// Width of the gate that retains the memory.
    pub gamma1: u32,
    /// Dropout in gamma1.
    pub gamma1_dropout: f64,
    /// Width of the gate that updates the memory.
    pub gamma2: u32,
    /// Dropout in gamma2.
    pub gamma2_dropout: f64,
    /// Width of the head.
    pub out: u32,
    /// Dropout in the head.
    pub out_dropout: f64,
}

impl MfnSettings {
    /// Hidden units of a modality's LSTM.
    #[must_use]
    pub fn hidden_of(&self, modality: &str) -> u32 {
        self.hidden.get(modality).copied().unwrap_or(DEFAULT_HIDDEN)
    }
}

/// The training loop. A field that is missing, because the sweep was stored by an earlier version, has its default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
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
    /// Whether one draw decides for all modalities, or one for each.
    pub modality_draw: ModalityDraw,
    /// The unit that one draw decides for.
    pub modality_granularity: ModalityGranularity,
    /// The part of a modality that a drop sets to zero.
    pub modality_part: ModalityPart,
    /// Probability in [0, 1] with which a partial drop sets each feature or time step to zero; drawn again for every
    /// drop.
    pub modality_fraction: f64,
    /// What a modality's values become where it is dropped, and where it is absent at validation and test time.
    pub modality_replacement: ModalityReplacement,
    /// Divide the values that dropout keeps by the share that it keeps on average.
    pub modality_rescale: bool,
    /// Number of epochs over which the levels of dropout change; 0 for constant levels.
    pub modality_anneal_epochs: u32,
    /// Factor of the levels in the first epoch, in [0, 1].
    pub modality_anneal_start: f64,
    /// Factor of the levels after the last of these epochs, in [0, 1].
    pub modality_anneal_end: f64,
    /// Decay of Adam's mean of the gradient, in [0, 1).
    pub beta1: f64,
    /// Decay of Adam's mean of the squared gradient, in [0, 1).
    pub beta2: f64,
    /// L2 penalty: this factor times the weights is added to the gradient (`torch.optim.Adam`, not AdamW).
    pub weight_decay: f64,
    /// Largest L2 norm of the gradient of all weights together; 0 for no limit.
    pub gradient_clip: f64,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Factor of the learning rate at a plateau, in (0, 1).
    pub plateau_factor: f64,
    /// Number of epochs without a lower validation loss that do not count as a plateau yet.
    pub plateau_patience: u32,
    /// Number of epochs without a lower validation loss after which training stops; 0 for never.
    pub patience: u32,
    /// The weights that are tested.
    pub keep: Keep,
    /// The modalities in the validation whose loss decides: which epoch is the best, and when `patience` and the
    /// plateau are over. Sorted, without duplicates; empty for the primary modality alone.
    pub keep_by: Vec<String>,
}

impl Default for TrainingSettings {
    /// Equal to the defaults in the settings table; a test compares them.
    fn default() -> Self {
        Self {
            epochs: 40,
            batch_size: 15,
            learning_rate: 0.001,
            shuffle: Shuffle::EveryEpoch,
            drop_last: true,
            modality_draw: ModalityDraw::Independent,
            modality_granularity: ModalityGranularity::Batch,
            modality_part: ModalityPart::All,
            modality_fraction: 0.5,
            modality_replacement: ModalityReplacement::Zero,
            modality_rescale: false,
            modality_anneal_epochs: 0,
            modality_anneal_start: 0.0,
            modality_anneal_end: 1.0,
            beta1: 0.9,
            beta2: 0.999,
            weight_decay: 0.0,
            gradient_clip: 0.0,
            schedule: Schedule::Constant,
            plateau_factor: 0.1,
            plateau_patience: 10,
            patience: 0,
            keep: Keep::Best,
            keep_by: Vec::new(),
        }
    }
}

impl TrainingSettings {
    /// The factor of all levels of modality dropout in an epoch, counted from 1. It changes linearly from epoch to
    /// epoch, as in `torch.optim.lr_scheduler.LinearLR`.
    #[must_use]
    pub fn modality_anneal_factor(&self, epoch: u32) -> f64 {
        let (done, all) = (epoch.saturating_sub(1), self.modality_anneal_epochs);
        if all == 0 {
            return 1.0;
        }
        let [start, end] = [self.modality_anneal_start, self.modality_anneal_end];
        if done >= all { end } else { start + (end - start) * f64::from(done) / f64::from(all) }
    }

    /// The share of a modality that a drop takes on average.
    #[must_use]
    pub fn modality_dropped_share(&self) -> f64 {
        match self.modality_part {
            ModalityPart::All => 1.0,
            ModalityPart::Features | ModalityPart::Steps => self.modality_fraction,
        }
    }
}

/// When the training split is shuffled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shuffle {
    /// Once at the start, as the paper's code does: every epoch sees the same batches.
    Once,
    /// At every epoch.
    EveryEpoch,
}

/// How the modalities are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModalityDraw {
    /// One uniform draw for all modalities: modality m is dropped if the draw is below p_m (the paper's code).
    /// Modalities of equal level are dropped together.
    Shared,
    /// One draw for each modality (the paper's text, equations 13-15).
    Independent,
    /// One uniform draw, which drops at most one modality (AV-HuBERT, Shi et al. 2022): [0, 1) begins with an interval
    /// of length p_m for each modality, in the order of the data set, and m is dropped if the draw lies in its own.
    Exclusive,
}

/// The unit that one draw of modality dropout decides for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModalityGranularity {
    /// The whole batch, as in the paper.
    Batch,
    /// Each sample.
    Sample,
    /// Each time step of each sample.
    Step,
    /// Each time step, for all samples of the batch together.
    BatchStep,
}

/// The part of a modality that a drop takes (the paper's section 5 leaves partial drops to future work).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModalityPart {
    /// The whole modality.
    All,
    /// Some of its features, the same ones at all time steps.
    Features,
    /// Some of its time steps, with all features.
    Steps,
}

/// What the dropped values become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModalityReplacement {
    /// Zero, as in the paper.
    Zero,
    /// The mean of the feature over all samples and time steps of the training split.
    Mean,
    /// A normal number with the mean and the standard deviation of the feature in the training split, drawn for each
    /// value; where a modality is absent at validation and test time, the mean.
    Noise,
}

/// How the learning rate changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// It stays constant.
    Constant,
    /// `torch.optim.lr_scheduler.ReduceLROnPlateau` on the validation loss, with its defaults for everything that is
    /// not a setting: mode min, relative threshold 1e-4, no cooldown, no minimum rate.
    Plateau,
}

/// The weights that are tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The weights of the epoch with the lowest validation loss, on the modalities of
    /// [`keep_by`](TrainingSettings::keep_by); the last one on ties.
    Best,
    /// The weights of the last epoch.
    Last,
}
