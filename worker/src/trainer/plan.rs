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

/// Sizes beyond this are a slip of the pen; it also keeps every product of sizes within 64 bits.
const MOST_WEIGHTS: u128 = 1 << 36;

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
        if u128::from(model.hidden).pow(2) * u128::from(model.layers) > MOST_WEIGHTS {
            let message =
                format!("model.hidden {} and model.layers {} are too large", model.hidden, model.layers);
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

#[cfg(test)]
mod tests {
    use colearn_core::id::{ConfigurationId, SweepId};

    use super::*;

    /// Language is the primary modality; the other two have these levels.
    fn plan(audio: f64, video: f64, draw: ModalityDraw, unimodal: bool) -> Plan {
        Plan {
            task: TaskId { sweep: SweepId(1), configuration: ConfigurationId(2), seed: 3 },
            seed: 3,
            model: BiEflstmSettings { hidden: 4, layers: 1, dropout: 0.0 },
            training: TrainingSettings {
                epochs: 1,
                batch_size: 2,
                learning_rate: 0.1,
                shuffle: Shuffle::Once,
                drop_last: true,
                modality_draw: draw,
                ..TrainingSettings::default()
            },
            primary: 0,
            dropout: vec![0.0, audio, video],
            unimodal,
        }
    }

    /// Of 4000 batches: how often audio and video are dropped, and how often they are dropped differently.
    fn counts(plan: &Plan) -> (u32, u32, u32) {
        let mut counts = (0, 0, 0);
        for step in 0..4000 {
            let present = plan.present(1 + step / 100, step % 100);
            assert!(present[0], "the primary modality is never dropped at level 0");
            counts.0 += u32::from(!present[1]);
            counts.1 += u32::from(!present[2]);
            counts.2 += u32::from(present[1] != present[2]);
        }
        counts
    }

    #[test]
    fn a_shared_draw_drops_equal_levels_together() {
        let (audio, video, apart) = counts(&plan(0.6, 0.6, ModalityDraw::Shared, false));
        assert!((2250..2550).contains(&audio), "{audio}");
        assert_eq!((video, apart), (audio, 0));
        // Of unequal levels the higher is dropped wherever the lower is.
        let (audio, video, apart) = counts(&plan(0.2, 0.6, ModalityDraw::Shared, false));
        assert_eq!(apart, video - audio);
    }

    #[test]
    fn independent_draws_drop_apart() {
        let (audio, video, apart) = counts(&plan(0.6, 0.6, ModalityDraw::Independent, false));
        assert!((2250..2550).contains(&audio) && (2250..2550).contains(&video), "{audio} {video}");
        // 2 * 0.6 * 0.4 of 4000.
        assert!((1770..2070).contains(&apart), "{apart}");
    }

    #[test]
    fn never_always_and_unimodal() {
        for draw in [ModalityDraw::Shared, ModalityDraw::Independent] {
            assert_eq!(counts(&plan(0.0, 1.0, draw, false)), (0, 4000, 4000));
            assert_eq!(counts(&plan(0.0, 0.3, draw, true)), (4000, 4000, 0));
        }
    }

    #[test]
    fn batches_of_an_epoch() {
        let common = |batch_size, drop_last| {
            let mut common = plan(0.0, 0.0, ModalityDraw::Shared, false).common();
            (common.batch_size, common.drop_last) = (batch_size, drop_last);
            common
        };
        assert_eq!(batches(10, &common(4, true)), [4, 4]);
        assert_eq!(batches(10, &common(4, false)), [4, 4, 2]);
        assert_eq!(batches(9, &common(4, false)), [4, 4], "batch norm needs two samples");
        assert_eq!(batches(8, &common(4, false)), [4, 4]);
    }

    #[test]
    fn shuffled_once_or_at_every_epoch() {
        let mut plan = plan(0.0, 0.0, ModalityDraw::Shared, false);
        assert_eq!(plan.order(50, 1), plan.order(50, 2));
        plan.training.shuffle = Shuffle::EveryEpoch;
        assert_ne!(plan.order(50, 1), plan.order(50, 2));
        let first = plan.order(50, 1);
        plan.seed += 1;
        assert_ne!(plan.order(50, 1), first);
    }
}
