//! What a member's settings mean for a data set, or why they can not be trained.

use std::fmt::Write as _;

use colearn_core::{
    failure::{Failure, FailureReason},
    id::TaskId,
    settings::{MfnSettings, ModelSettings, Shuffle, TaskSettings, TrainingSettings},
};
use colearn_trainer_protocol::Member;

use super::source::Source;
use crate::random::{Purpose, Stream};

/// Sizes beyond this are a slip of the pen; it also keeps every product of sizes within 64 bits.
const MOST_WEIGHTS: u128 = 1 << 36;

/// One member, resolved.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) task: TaskId,
    pub(super) settings: TaskSettings,
    /// Epochs between two checkpoints; 0 for none.
    pub(super) checkpoint_every_epochs: u32,
    pub(super) attempt: u32,
    /// Index of the primary modality.
    pub(super) primary: usize,
    /// What the further subsets of [`TaskSettings::evaluate`] have of each modality.
    pub(super) subsets: Vec<Vec<bool>>,
    /// Probability by modality.
    dropout: Vec<f64>,
    /// All members of a cohort have the same.
    cohort_key: u64,
}

impl Plan {
    /// Checks a member against its data set.
    pub(super) fn new(member: &Member, source: &Source) -> Result<Self, Failure> {
        let settings = &member.settings;
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
        let mut subsets = Vec::new();
        for subset in &settings.evaluate {
            let mut present = vec![false; source.modalities().len()];
            for name in subset {
                present[modality(name, "evaluate")?] = true;
            }
            subsets.push(present);
        }
        match &settings.model {
            ModelSettings::BiEflstm(model) => {
                check_dropout("model.dropout", model.dropout)?;
                if model.hidden == 0 || model.layers == 0 {
                    return Err(settings_failure("model.hidden and model.layers are at least 1".into()));
                }
                if u128::from(model.hidden).pow(2) * u128::from(model.layers) > MOST_WEIGHTS {
                    let message = format!(
                        "model.hidden {} and model.layers {} are too large",
                        model.hidden, model.layers
                    );
                    return Err(settings_failure(message));
                }
            }
            ModelSettings::Mfn(model) => {
                for name in model.hidden.keys() {
                    modality(name, "model.hidden")?;
                }
                check_mfn(model, source)?;
            }
        }
        check_training(&settings.training)?;
        let plan = Self {
            task: member.task,
            settings: settings.clone(),
            checkpoint_every_epochs: member.checkpoint_every_epochs,
            attempt: member.attempt,
            primary,
            subsets,
            dropout,
            cohort_key: settings.cohort_key(),
        };
        let samples = source.train().len();
        if plan.batches(samples).is_empty() {
            return Err(settings_failure(format!(
                "training.batch_size is {}, but the training split of {} has {samples} samples; choose a smaller \
                 batch, or set training.drop_last to false",
                settings.training.batch_size,
                source.path().display()
            )));
        }
        Ok(plan)
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

    /// The probability with which a modality is dropped.
    pub(super) fn dropout(&self, modality: usize) -> f64 {
        self.dropout[modality]
    }

    /// Which modalities are present in validation.
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

    /// The numbers of samples of an epoch's batches. Batch norm needs two samples: a last batch of a single one
    /// is left out where there is a batch norm.
    pub(super) fn batches(&self, samples: usize) -> Vec<usize> {
        let least = match self.settings.model {
            ModelSettings::BiEflstm(_) => 2,
            ModelSettings::Mfn(_) => 1,
        };
        let size = self.training().batch_size as usize;
        let mut batches = vec![size; samples / size];
        let rest = samples % size;
        if !self.training().drop_last && rest >= least {
            batches.push(rest);
        }
        batches
    }
}

fn check_mfn(model: &MfnSettings, source: &Source) -> Result<(), Failure> {
    for (field, dropout) in [
        ("model.nn1_dropout", model.nn1_dropout),
        ("model.nn2_dropout", model.nn2_dropout),
        ("model.gamma1_dropout", model.gamma1_dropout),
        ("model.gamma2_dropout", model.gamma2_dropout),
        ("model.out_dropout", model.out_dropout),
    ] {
        check_dropout(field, dropout)?;
    }
    let widths = [model.memory, model.nn1, model.nn2, model.gamma1, model.gamma2, model.out];
    let hidden = || source.modalities().iter().map(|modality| model.hidden_of(&modality.name));
    if widths.contains(&0) || hidden().any(|hidden| hidden == 0) {
        return Err(settings_failure("every width of a memory fusion network is at least 1".into()));
    }
    let cells: u128 = hidden().map(u128::from).sum();
    let inner: u128 = widths.iter().copied().map(u128::from).sum();
    if (2 * cells + inner).pow(2) > MOST_WEIGHTS {
        return Err(settings_failure("the widths of the memory fusion network are too large".into()));
    }
    Ok(())
}

fn check_training(training: &TrainingSettings) -> Result<(), Failure> {
    if training.epochs == 0 {
        return Err(settings_failure("training.epochs is at least 1".into()));
    }
    if training.batch_size < 2 {
        let message = format!("training.batch_size is {}: it is at least 2", training.batch_size);
        return Err(settings_failure(message));
    }
    for (field, value, range) in [
        ("modality_fraction", training.modality_fraction, 0.0..=1.0),
        ("beta1", training.beta1, 0.0..=1.0_f64.next_down()),
        ("beta2", training.beta2, 0.0..=1.0_f64.next_down()),
        ("weight_decay", training.weight_decay, 0.0..=f64::MAX),
        ("gradient_clip", training.gradient_clip, 0.0..=f64::MAX),
        ("plateau_factor", training.plateau_factor, f64::MIN_POSITIVE..=1.0_f64.next_down()),
    ] {
        if !range.contains(&value) {
            let (least, most) = (range.start(), range.end());
            return Err(settings_failure(format!(
                "training.{field} is {value}: it must be from {least} to {most}"
            )));
        }
    }
    Ok(())
}

fn check_dropout(field: &str, dropout: f64) -> Result<(), Failure> {
    if (0.0..1.0).contains(&dropout) {
        return Ok(());
    }
    Err(settings_failure(format!("{field} is {dropout}: use a probability from 0 to below 1")))
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
    use colearn_core::{
        id::{ConfigurationId, SweepId},
        settings::BiEflstmSettings,
    };

    use super::*;

    impl Plan {
        /// Language is the primary modality of three.
        pub(in crate::training) fn example(unimodal: bool) -> Self {
            let settings = TaskSettings {
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
                cohort_key: settings.cohort_key(),
                settings,
                checkpoint_every_epochs: 0,
                attempt: 1,
                primary: 0,
                subsets: Vec::new(),
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
    fn batches_of_an_epoch() {
        let mut plan = Plan::example(false);
        assert_eq!(plan.batches(10), [4, 4, 2]);
        assert_eq!(plan.batches(9), [4, 4], "batch norm needs two samples");
        assert_eq!(plan.batches(8), [4, 4]);
        plan.settings.training.drop_last = true;
        assert_eq!(plan.batches(10), [4, 4]);
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

    #[test]
    fn values_that_a_sweep_file_would_not_let_through() {
        assert!(check_dropout("model.dropout", 1.0).unwrap_err().message.contains("model.dropout is 1"));
        assert!(check_dropout("model.dropout", f64::NAN).is_err());
        assert!(check_dropout("model.dropout", 0.0).is_ok());
    }
}
