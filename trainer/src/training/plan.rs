//! What a member's settings mean for a data set, or why they cannot be trained.

use std::collections::BTreeSet;

use colearn_core::{
    failure::{Failure, FailureReason},
    id::TaskId,
    settings::{ModalityReplacement, NetworkSettings, SettingsError, Shuffle, TrainingSettings},
    sweep::Kept,
};
use colearn_trainer_protocol::Member;

use super::{modality_dropout::Presence, source::DataSource};
use crate::random::{Purpose, Stream};

/// The resolved settings of one member.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) task: TaskId,
    /// What the task is called in logs.
    pub(super) called: String,
    pub(super) settings: NetworkSettings,
    /// Epochs between two checkpoints; 0 for no checkpoints.
    pub(super) checkpoint_every_epochs: u32,
    pub(super) keep: BTreeSet<Kept>,
    /// The folder for these files, within the location of checkpoints; empty for the location itself.
    pub(super) kept_in: String,
    pub(super) attempt: u32,
    /// Index of the primary modality.
    pub(super) primary: usize,
    /// For each further subset of [`NetworkSettings::evaluate`]: which modalities are present.
    pub(super) subsets: Vec<Vec<bool>>,
    /// Which modalities are present in the validation that decides about the best epoch, unless it is the primary
    /// modality alone.
    pub(super) keep_by: Option<Vec<bool>>,
    /// Dropout probability of each modality.
    dropout: Vec<f64>,
    /// Equal for all members of a cohort.
    cohort_key: u64,
}

impl Plan {
    /// Checks a member against its data set.
    pub(super) fn new(member: &Member, source: &DataSource) -> Result<Self, Failure> {
        let settings = network(member)?;
        let data = source.shape();
        settings.validate().and_then(|()| settings.fits(&data)).map_err(settings_failure)?;
        let position = |key: &str, name: &str| data.modality(key, name).map_err(settings_failure);
        let mut dropout = vec![0.0; data.modalities.len()];
        for (name, &probability) in &settings.modality_dropout {
            dropout[position("modality_dropout", name)?] = probability;
        }
        let primary = position("primary", &settings.primary)?;
        if settings.unimodal {
            // What is never seen takes no part in an exclusive draw.
            let others = dropout.iter_mut().enumerate().filter(|(modality, _)| *modality != primary);
            others.for_each(|(_, level)| *level = 0.0);
        }
        let subset = |key: &str, names: &[String]| {
            let mut present = vec![false; data.modalities.len()];
            for name in names {
                present[position(key, name)?] = true;
            }
            Ok::<_, Failure>(present)
        };
        let subsets = settings.evaluate.iter().map(|names| subset("evaluate", names));
        let subsets = subsets.collect::<Result<Vec<_>, _>>()?;
        // The normalized settings name none where they would change nothing.
        let keep_by = match settings.clone().normalized().training.keep_by {
            names if names.is_empty() => None,
            names => Some(subset("training.keep_by", &names)?),
        };
        Ok(Self {
            task: member.task,
            called: member.called(),
            settings: settings.clone(),
            checkpoint_every_epochs: member.checkpoint_every_epochs,
            keep: member.keep.clone(),
            kept_in: member.kept_in.clone(),
            attempt: member.attempt,
            primary,
            subsets,
            keep_by,
            dropout,
            cohort_key: settings.cohort_key(),
        })
    }

    /// Whether both can be trained in one cohort: their shapes and the length of their loops are the same.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        self.cohort_key == other.cohort_key
    }

    pub(super) fn seed(&self) -> u64 {
        self.task.seed
    }

    pub(super) fn training(&self) -> &TrainingSettings {
        &self.settings.training
    }

    /// Whether the member is ever trained with a modality.
    pub(super) fn sees(&self, modality: usize) -> bool {
        !self.settings.unimodal || modality == self.primary
    }

    /// The draws that decide which part of a modality the member sees in a batch.
    pub(super) fn presence(&self, epoch: u32, step: u32, modality: usize) -> Presence<'_> {
        Presence::new(self.training(), &self.dropout, self.seed(), (epoch, step), modality)
    }

    /// What the values of a modality become where it is dropped or absent. A unimodal member gets only zeros from
    /// modalities other than its own.
    pub(super) fn replacement(&self, modality: usize) -> ModalityReplacement {
        if self.sees(modality) { self.training().modality_replacement } else { ModalityReplacement::Zero }
    }

    /// Whether modalities that are absent in validation and test are replaced by their means.
    pub(super) fn replaces_absent(&self) -> bool {
        !self.settings.unimodal && self.training().modality_replacement != ModalityReplacement::Zero
    }

    /// The modalities that are present in validation.
    pub(super) fn alone(&self) -> Vec<bool> {
        (0..self.dropout.len()).map(|modality| modality == self.primary).collect()
    }

    /// The order of the training samples in an epoch (counting from 1).
    pub(super) fn order(&self, samples: usize, epoch: u32) -> Vec<i64> {
        let epoch = match self.training().shuffle {
            Shuffle::Once => 0,
            Shuffle::EveryEpoch => epoch,
        };
        Stream::new(self.seed(), Purpose::Shuffle, epoch, 0).permutation(samples)
    }

    /// The numbers of samples of an epoch's batches.
    pub(super) fn batches(&self, samples: usize) -> Vec<usize> {
        self.settings.batch_sizes(samples)
    }
}

/// The settings of a member, which must be those of a network.
pub(super) fn network(member: &Member) -> Result<&NetworkSettings, Failure> {
    let other = || Failure::new(FailureReason::Settings, "this trainer trains networks and runs no programs");
    member.settings.network().ok_or_else(other)
}

fn settings_failure(error: SettingsError) -> Failure {
    Failure::new(FailureReason::Settings, error.to_string())
}

#[cfg(test)]
mod tests {
    use colearn_core::{
        id::{ConfigurationId, SweepId},
        settings::{BiEflstmSettings, ModelSettings},
    };

    use super::*;

    impl Plan {
        /// A plan with language as the primary modality of three.
        pub(in crate::training) fn example(unimodal: bool) -> Self {
            let settings = NetworkSettings {
                dataset: "d".into(),
                primary: "language".into(),
                unimodal,
                model: ModelSettings::BiEflstm(BiEflstmSettings { hidden: 4, layers: 1, dropout: 0.0 }),
                training: TrainingSettings {
                    batch_size: 4,
                    shuffle: Shuffle::Once,
                    drop_last: false,
                    ..TrainingSettings::default()
                },
                modality_dropout: [("audio".to_owned(), 0.5)].into(),
                evaluate: Vec::new(),
            };
            Self {
                task: TaskId { sweep: SweepId(1), configuration: ConfigurationId(2), seed: 3 },
                called: "demo/audio=0.5/3".to_owned(),
                cohort_key: settings.cohort_key(),
                settings,
                checkpoint_every_epochs: 0,
                keep: BTreeSet::new(),
                kept_in: String::new(),
                attempt: 1,
                primary: 0,
                subsets: Vec::new(),
                keep_by: None,
                dropout: vec![0.0, 0.5, 0.0],
            }
        }
    }

    #[test]
    fn a_unimodal_member_sees_its_primary_modality_alone() {
        let seen = |unimodal| [0, 1, 2].map(|modality| Plan::example(unimodal).sees(modality));
        assert_eq!((seen(false), seen(true)), ([true; 3], [true, false, false]));
        assert_eq!(Plan::example(false).alone(), [true, false, false]);
    }

    #[test]
    fn shuffled_once_or_at_every_epoch() {
        let mut plan = Plan::example(false);
        assert_eq!(plan.order(50, 1), plan.order(50, 2));
        plan.settings.training.shuffle = Shuffle::EveryEpoch;
        assert_ne!(plan.order(50, 1), plan.order(50, 2));
        let first = plan.order(50, 1);
        plan.task.seed += 1;
        assert_ne!(plan.order(50, 1), first);
    }
}
