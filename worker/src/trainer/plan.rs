//! What a member's settings mean for a data set, or why they can not be trained.

use std::fmt::Write as _;

use colearn_core::{
    failure::{Failure, FailureReason},
    id::TaskId,
    settings::{BiEflstmSettings, ModalityDraw, ModelSettings, Shuffle, TrainingSettings},
};

use super::source::Source;
use crate::{
    protocol::Member,
    random::{Purpose, Stream},
};

/// One member, resolved.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) task: TaskId,
    pub(super) seed: u64,
    pub(super) model: BiEflstmSettings,
    pub(super) training: TrainingSettings,
    /// Index of the primary modality.
    pub(super) primary: usize,
    /// Probability by modality.
    dropout: Vec<f64>,
    unimodal: bool,
}

/// What all members of a cohort share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Common {
    pub(super) primary: usize,
    pub(super) hidden: u32,
    pub(super) layers: u32,
    pub(super) epochs: u32,
    pub(super) batch_size: u32,
    pub(super) drop_last: bool,
}

impl Plan {
    /// Checks a member against its data set.
    pub(super) fn new(member: &Member, source: &Source) -> Result<Self, Failure> {
        let settings = &member.settings;
        let ModelSettings::BiEflstm(model) = &settings.model;
        let training = &settings.training;
        let modality = |name: &str, field: &str| {
            let found = source.modalities().iter().position(|modality| modality.name == name);
            found.ok_or_else(|| unknown_modality(name, field, source))
        };
        let primary = modality(&settings.primary, "primary")?;
        let mut dropout = vec![0.0; source.modalities().len()];
        for (name, &probability) in &settings.modality_dropout {
            let field = format!("modality_dropout.{name}");
            if !(0.0..=1.0).contains(&probability) {
                return Err(settings_failure(format!(
                    "{field} is {probability}: use a probability from 0 to 1"
                )));
            }
            dropout[modality(name, &field)?] = probability;
        }
        if !(0.0..1.0).contains(&model.dropout) {
            let message = format!("model.dropout is {}: use a probability from 0 to below 1", model.dropout);
            return Err(settings_failure(message));
        }
        if model.hidden == 0 || model.layers == 0 || training.epochs == 0 {
            return Err(settings_failure(
                "model.hidden, model.layers and training.epochs are at least 1".into(),
            ));
        }
        if training.batch_size < 2 {
            let message =
                format!("training.batch_size is {}: batch norm needs 2 samples", training.batch_size);
            return Err(settings_failure(message));
        }
        let samples = source.train().len();
        if training.batch_size as usize > samples {
            return Err(settings_failure(format!(
                "training.batch_size is {}, but the training split of {} has {samples} samples",
                training.batch_size,
                source.path().display()
            )));
        }
        Ok(Self {
            task: member.task,
            seed: member.task.seed,
            model: model.clone(),
            training: training.clone(),
            primary,
            dropout,
            unimodal: settings.unimodal,
        })
    }

    pub(super) fn common(&self) -> Common {
        Common {
            primary: self.primary,
            hidden: self.model.hidden,
            layers: self.model.layers,
            epochs: self.training.epochs,
            batch_size: self.training.batch_size,
            drop_last: self.training.drop_last,
        }
    }

    /// The order of the training samples in an epoch (counting from 1).
    pub(super) fn order(&self, samples: usize, epoch: u32) -> Vec<i64> {
        let epoch = match self.training.shuffle {
            Shuffle::Once => 0,
            Shuffle::EveryEpoch => epoch,
        };
        Stream::new(self.seed, Purpose::Shuffle, epoch, 0).permutation(samples)
    }

    /// Which modalities a batch has.
    ///
    /// A modality is dropped where a draw from [0, 1) is below its probability: with 0 never, with 1 always.
    pub(super) fn present(&self, epoch: u32, step: u32) -> Vec<bool> {
        let stream = Stream::new(self.seed, Purpose::Modality, epoch, step);
        let present = |(modality, &probability): (usize, &f64)| {
            let index = match self.training.modality_draw {
                ModalityDraw::Shared => 0,
                ModalityDraw::Independent => modality as u32,
            };
            let absent = self.unimodal && modality != self.primary;
            !absent && stream.uniform(index) >= probability
        };
        self.dropout.iter().enumerate().map(present).collect()
    }
}

/// The numbers of samples of an epoch's batches. A last batch of a single sample is left out, because batch
/// norm needs two.
pub(super) fn batches(samples: usize, common: &Common) -> Vec<usize> {
    let size = common.batch_size as usize;
    let mut batches = vec![size; samples / size];
    let rest = samples % size;
    if !common.drop_last && rest >= 2 {
        batches.push(rest);
    }
    batches
}

fn settings_failure(message: String) -> Failure {
    Failure::new(FailureReason::Settings, message)
}

fn unknown_modality(name: &str, field: &str, source: &Source) -> Failure {
    let names: Vec<&str> = source.modalities().iter().map(|modality| modality.name.as_str()).collect();
    let mut message = format!("{field}: {} has no modality `{name}`", source.path().display());
    let nearest = names.iter().max_by(|a, b| strsim::jaro(name, a).total_cmp(&strsim::jaro(name, b)));
    if let Some(nearest) = nearest.filter(|nearest| strsim::jaro(name, nearest) > 0.75) {
        let _ = write!(message, "; did you mean `{nearest}`?");
    }
    let _ = write!(message, " (it has {})", names.join(", "));
    settings_failure(message)
}
