//! The progress of a member.

use colearn_core::{
    result::{EpochRecord, curve},
    settings::{Keep, Schedule},
};
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::plateau::Plateau;

/// A member in training: its state that changes from epoch to epoch, except its tensors.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) plan: Plan,
    pub(super) state: State,
}

/// The part that a checkpoint keeps. A change of these fields, of [`Best`]'s or of [`Plateau`]'s needs a new version
/// of the checkpoint format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Number of finished epochs.
    pub(super) epoch: u32,
    /// The records of all finished epochs, in order.
    pub(super) history: Vec<EpochRecord>,
    /// None before the first epoch.
    pub(super) best: Option<Best>,
    /// The learning rate of the next epoch.
    pub(super) learning_rate: f64,
    pub(super) plateau: Option<Plateau>,
    /// The epochs after which training was continued from a checkpoint.
    pub(super) resumed_after: Vec<u32>,
}

/// The lowest validation loss so far, on the modalities that decide.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Best {
    pub(super) loss: f64,
    /// The first epoch that reached it. Patience is counted from there.
    pub(super) first: u32,
    /// The last epoch that reached it. Its weights are kept.
    pub(super) last: u32,
}

impl Progress {
    pub(super) fn new(plan: Plan) -> Self {
        let training = plan.training();
        let plateau = (training.schedule == Schedule::Plateau)
            .then(|| Plateau::new(training.plateau_factor, training.plateau_patience));
        let state = State {
            epoch: 0,
            history: Vec::new(),
            best: None,
            learning_rate: training.learning_rate,
            plateau,
            resumed_after: Vec::new(),
        };
        Self { plan, state }
    }

    /// Adds a finished epoch; returns whether its weights are the best now.
    pub(super) fn take(&mut self, record: EpochRecord) -> bool {
        let epoch = record.epoch;
        // The records of the loop always have one of them.
        let deciding = record.get(curve::KEEP_LOSS).or_else(|| record.get(curve::VALID_LOSS));
        let loss = deciding.unwrap_or(f64::INFINITY);
        let state = &mut self.state;
        state.epoch = epoch;
        state.history.push(record);
        if let Some(plateau) = &mut state.plateau {
            state.learning_rate = plateau.observe(loss, state.learning_rate);
        }
        let (better, best) = match state.best {
            Some(best) if loss > best.loss => (false, best),
            Some(best) if loss == best.loss => (true, Best { last: epoch, ..best }),
            _ => (true, Best { loss, first: epoch, last: epoch }),
        };
        state.best = Some(best);
        better
    }

    /// Whether the member needs no further epoch.
    pub(super) fn is_done(&self) -> bool {
        let training = self.plan.training();
        let waited = self.state.best.map_or(0, |best| self.state.epoch.saturating_sub(best.first));
        self.state.epoch >= training.epochs || (training.patience > 0 && waited >= training.patience)
    }

    /// Whether a checkpoint is to be written now.
    pub(super) fn is_checkpoint_due(&self) -> bool {
        let every = self.plan.checkpoint_every_epochs;
        every > 0 && self.state.epoch.is_multiple_of(every) && !self.is_done()
    }

    /// Whether checkpoints of the member are written at all.
    pub(super) fn keeps_checkpoints(&self) -> bool {
        self.plan.checkpoint_every_epochs > 0
    }

    /// Whether stopping here would lose epochs that no checkpoint has.
    pub(super) fn is_parking_worth_a_checkpoint(&self) -> bool {
        let epoch = self.state.epoch;
        let is_saved = self.is_checkpoint_due() || self.state.resumed_after.last() == Some(&epoch);
        self.keeps_checkpoints() && epoch > 0 && !is_saved
    }

    /// Whether the weights of the best epoch are tested, and not those of the last.
    pub(super) fn keeps_best(&self) -> bool {
        self.plan.training().keep == Keep::Best
    }

    /// The epoch whose weights are tested.
    pub(super) fn tested_epoch(&self) -> u32 {
        match self.state.best {
            Some(best) if self.keeps_best() => best.last,
            _ => self.state.epoch,
        }
    }
}

#[cfg(test)]
mod tests {
    use colearn_core::settings::TrainingSettings;

    use super::*;

    fn progress(training: TrainingSettings) -> Progress {
        let mut plan = Plan::example(false);
        plan.settings.training = training;
        Progress::new(plan)
    }

    fn record(epoch: u32, valid_loss: f64) -> EpochRecord {
        EpochRecord::of_network(epoch, 1.0, valid_loss, 0.5)
    }

    #[test]
    fn of_equal_epochs_the_later_is_the_best() {
        let mut progress = progress(TrainingSettings::default());
        let losses = (1..).zip([0.9, 0.5, 0.7, 0.5, 0.6]);
        let taken: Vec<bool> = losses.map(|(epoch, loss)| progress.take(record(epoch, loss))).collect();
        assert_eq!(taken, [true, true, false, true, false]);
        assert_eq!(progress.state.best, Some(Best { loss: 0.5, first: 2, last: 4 }));
        assert_eq!(progress.tested_epoch(), 4);
        progress.plan.settings.training.keep = Keep::Last;
        assert_eq!(progress.tested_epoch(), 5);
    }

    #[test]
    fn the_loss_on_the_modalities_of_keep_by_decides() {
        let mut progress = progress(TrainingSettings { patience: 1, ..TrainingSettings::default() });
        for (epoch, loss, deciding) in [(1, 0.9, 0.5), (2, 0.8, 0.4), (3, 0.7, 0.6)] {
            let mut record = record(epoch, loss);
            record.values.insert(curve::KEEP_LOSS, deciding);
            progress.take(record);
        }
        assert_eq!(progress.state.best, Some(Best { loss: 0.4, first: 2, last: 2 }));
        assert_eq!((progress.tested_epoch(), progress.is_done()), (2, true));
    }

    #[test]
    fn patience_ends_training_when_nothing_gets_lower() {
        // The epoch after which training ends.
        let ends = |patience, losses: &[f64]| {
            let training = TrainingSettings { epochs: 9, patience, ..TrainingSettings::default() };
            let mut progress = progress(training);
            (1..).zip(losses).find_map(|(epoch, &loss)| {
                progress.take(record(epoch, loss));
                progress.is_done().then_some(epoch)
            })
        };
        let falling = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1];
        assert_eq!(ends(0, &falling), Some(9));
        assert_eq!(ends(2, &falling), Some(9));
        assert_eq!(ends(2, &[0.9, 0.8, 0.85, 0.85, 0.1]), Some(4));
        assert_eq!(ends(1, &[0.9, 0.95]), Some(2));
        assert_eq!(ends(3, &[0.9, 0.9, 0.9, 0.9, 0.9]), Some(4), "an equal loss is not a lower one");
    }

    #[test]
    fn checkpoints_are_due_at_their_epochs_but_not_at_the_end() {
        let mut progress = progress(TrainingSettings { epochs: 6, ..TrainingSettings::default() });
        progress.plan.checkpoint_every_epochs = 2;
        let due = |progress: &mut Progress| {
            let all = (1..=6).filter(|&epoch| {
                progress.take(record(epoch, 1.0));
                progress.is_checkpoint_due()
            });
            all.collect::<Vec<u32>>()
        };
        assert_eq!(due(&mut progress), [2, 4]);
        progress.plan.checkpoint_every_epochs = 0;
        progress.state.epoch = 0;
        assert!(due(&mut progress).is_empty());
    }

    #[test]
    fn the_learning_rate_follows_the_schedule() {
        let rates = |schedule| {
            let training = TrainingSettings {
                schedule,
                plateau_factor: 0.5,
                plateau_patience: 1,
                learning_rate: 0.8,
                ..TrainingSettings::default()
            };
            let mut progress = progress(training);
            let rates = (1..).zip([1.0, 1.0, 1.0, 1.0, 0.5]).map(|(epoch, loss)| {
                progress.take(record(epoch, loss));
                progress.state.learning_rate
            });
            rates.collect::<Vec<f64>>()
        };
        assert_eq!(rates(Schedule::Constant), [0.8; 5]);
        // Two epochs in a row without a lower loss are one more than the patience.
        assert_eq!(rates(Schedule::Plateau), [0.8, 0.8, 0.4, 0.4, 0.4]);
    }

    /// Progress is stored as text; every float must be read back unchanged.
    #[test]
    fn the_state_survives_being_written() {
        let mut progress = progress(TrainingSettings {
            schedule: Schedule::Plateau,
            learning_rate: 0.1 + 0.2,
            ..TrainingSettings::default()
        });
        for (epoch, loss) in (1..).zip([1.0 / 3.0, f64::MIN_POSITIVE, 0.1]) {
            progress.take(record(epoch, loss));
        }
        let text = serde_json::to_string(&progress.state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), progress.state);
    }
}
