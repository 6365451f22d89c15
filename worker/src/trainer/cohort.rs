//! The training loop of a cohort.

use std::time::Instant;

use colearn_core::{
    failure::{Failure, FailureReason},
    id::TaskId,
    result::{EpochRecord, TaskResult},
};
use tch::{Kind, Tensor};

use super::{
    batches::gather,
    evaluation::{evaluate, to_vec},
    plan::{Common, Plan, batches},
    source::Source,
};
use crate::{
    model::{BiEflstm, BiEflstmShape, Draws, Model, Objective},
    optimizer::{Adam, AdamSettings},
    protocol::{Event, Member},
};

/// Where the training loop tells what happens, and hears what is no longer wanted.
pub trait Control {
    /// Something happened.
    fn emit(&mut self, event: Event);
    /// The tasks abandoned since the last call; asked before every optimizer step. Nothing more is said of them.
    fn abandoned(&mut self) -> Vec<TaskId>;
}

/// Trains members together until each is finished, failed or abandoned. Members that can not be trained on
/// this data set, or not together with the first, fail at once.
///
/// `device` is what results say they were trained on.
///
/// # Panics
/// When libtorch does, for want of memory for example: the caller contains that.
pub fn train(source: &Source, members: &[Member], device: &str, control: &mut dyn Control) {
    let start = Instant::now();
    let plans = agreeing_plans(source, members, control);
    if let Some(first) = plans.first() {
        let common = first.common();
        let mut cohort = Cohort::new(source, common, plans);
        if cohort.run(control) {
            cohort.finish(start, device, control);
        }
    }
}

fn agreeing_plans(source: &Source, members: &[Member], control: &mut dyn Control) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::new();
    for member in members {
        let planned = Plan::new(member, source).and_then(|plan| match plans.first().map(Plan::common) {
            Some(common) if common != plan.common() => {
                let message =
                    format!("can not be trained in one cohort: {:?} differs from {common:?}", plan.common());
                Err(Failure::new(FailureReason::Settings, message))
            }
            _ => Ok(plan),
        });
        match planned {
            Ok(plan) => plans.push(plan),
            Err(failure) => control.emit(Event::Failed { task: member.task, failure }),
        }
    }
    plans
}

/// Members in training: the position in `members` is that along K of every tensor.
struct Cohort<'a> {
    source: &'a Source,
    common: Common,
    members: Vec<Progress>,
    model: BiEflstm,
    adam: Adam,
    /// Copies of the parameters and buffers of each member's best epoch.
    best: [Tensor; 2],
    /// Sum of the losses of the epoch's steps so far, [K].
    losses: Tensor,
}

/// How far a member is.
struct Progress {
    plan: Plan,
    history: Vec<EpochRecord>,
    best: Best,
}

/// The epoch of lowest validation loss so far; of equal ones the later.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Best {
    epoch: u32,
    loss: f64,
}

impl Best {
    const NONE: Self = Self { epoch: 0, loss: f64::INFINITY };

    /// Takes in an epoch; whether it is the best now.
    fn take(&mut self, epoch: u32, loss: f64) -> bool {
        let better = loss <= self.loss;
        if better {
            *self = Self { epoch, loss };
        }
        better
    }
}

impl<'a> Cohort<'a> {
    fn new(source: &'a Source, common: Common, plans: Vec<Plan>) -> Self {
        let shape = BiEflstmShape {
            features: source.width(),
            hidden: i64::from(common.hidden),
            layers: i64::from(common.layers),
            outputs: source.classes() as i64,
            objective: Objective::CrossEntropy,
        };
        let seeds: Vec<u64> = plans.iter().map(|plan| plan.seed).collect();
        let dropout: Vec<f64> = plans.iter().map(|plan| plan.model.dropout).collect();
        let settings = |plan: &Plan| AdamSettings {
            learning_rate: plan.training.learning_rate,
            ..AdamSettings::default()
        };
        let settings: Vec<AdamSettings> = plans.iter().map(settings).collect();
        let model = BiEflstm::new(shape, &seeds, &dropout, (Kind::Float, source.device()));
        let adam = Adam::new(model.parameters(), &settings);
        let best = [model.parameters(), model.buffers()].map(Tensor::copy);
        let losses = Tensor::zeros([plans.len() as i64], (Kind::Double, source.device()));
        let start = |plan| Progress { plan, history: Vec::new(), best: Best::NONE };
        Self { source, common, members: plans.into_iter().map(start).collect(), model, adam, best, losses }
    }

    /// All epochs. False when no member is left.
    fn run(&mut self, control: &mut dyn Control) -> bool {
        (1..=self.common.epochs)
            .all(|epoch| self.train_epoch(epoch, control) && self.close_epoch(epoch, control))
    }

    fn train_epoch(&mut self, epoch: u32, control: &mut dyn Control) -> bool {
        let samples = self.source.train().len();
        let mut orders: Vec<(TaskId, Vec<i64>)> =
            self.members.iter().map(|m| (m.plan.task, m.plan.order(samples, epoch))).collect();
        let mut buffer = None;
        let mut taken = 0;
        let _ = self.losses.zero_();
        for (step, count) in (0_u32..).zip(batches(samples, &self.common)) {
            if !self.drop_abandoned(control) {
                return false;
            }
            orders.retain(|(task, _)| self.members.iter().any(|member| member.plan.task == *task));
            let chosen: Vec<&[i64]> = orders.iter().map(|(_, order)| &order[taken..taken + count]).collect();
            let plans: Vec<&Plan> = self.members.iter().map(|member| &member.plan).collect();
            let batch = gather(self.source, &plans, &chosen, (epoch, step), &mut buffer);
            let seeds: Vec<u64> = plans.iter().map(|plan| plan.seed).collect();
            let epochs = vec![epoch; seeds.len()];
            let losses = self.model.train(&batch, &Draws { seeds: &seeds, epochs: &epochs, step });
            self.adam.step(self.model.parameters(), self.model.gradients());
            let _ = self.losses.g_add_(&losses);
            taken += count;
        }
        true
    }

    /// Validates, keeps the best weights and reports. A member whose loss is not finite fails alone: it can
    /// not have touched the others, because nothing is computed across K.
    fn close_epoch(&mut self, epoch: u32, control: &mut dyn Control) -> bool {
        if !self.drop_abandoned(control) {
            return false;
        }
        let steps = batches(self.source.train().len(), &self.common).len() as f64;
        let losses: Vec<f64> = to_vec::<f64>(&self.losses).iter().map(|sum| sum / steps).collect();
        if !self.drop_diverged("training", epoch, &losses, control) {
            return false;
        }
        let losses: Vec<f64> = losses.into_iter().filter(|loss| loss.is_finite()).collect();
        let evaluations = evaluate(&self.model, self.source, self.source.valid(), self.common.primary);
        let valid: Vec<f64> = evaluations.iter().map(|evaluation| evaluation.loss).collect();

        for (k, (member, evaluation)) in self.members.iter_mut().zip(&evaluations).enumerate() {
            if !evaluation.loss.is_finite() {
                continue;
            }
            if member.best.take(epoch, evaluation.loss) {
                for (best, now) in self.best.iter().zip([self.model.parameters(), self.model.buffers()]) {
                    best.get(k as i64).copy_(&now.get(k as i64));
                }
            }
            let record = EpochRecord {
                epoch,
                train_loss: losses[k],
                valid_loss: evaluation.loss,
                valid_accuracy: evaluation.confusion.accuracy(),
            };
            member.history.push(record.clone());
            control.emit(Event::Epoch { task: member.plan.task, record, epochs: self.common.epochs });
        }
        self.drop_diverged("validation", epoch, &valid, control)
    }

    /// Tests every member with its best weights.
    fn finish(&mut self, start: Instant, device: &str, control: &mut dyn Control) {
        for (best, now) in self.best.iter().zip([self.model.parameters(), self.model.buffers()]) {
            now.shallow_clone().copy_(best);
        }
        let evaluations = evaluate(&self.model, self.source, self.source.test(), self.common.primary);
        let losses: Vec<f64> = evaluations.iter().map(|evaluation| evaluation.loss).collect();
        let parameters = self.model.layout().total() as u64;
        for (member, evaluation) in self.members.iter_mut().zip(evaluations) {
            if !evaluation.loss.is_finite() {
                continue;
            }
            let result = TaskResult {
                metrics: evaluation.confusion.metrics(evaluation.loss),
                confusion: evaluation.confusion.counts().to_vec(),
                history: std::mem::take(&mut member.history),
                best_epoch: member.best.epoch,
                parameters,
                seconds: start.elapsed().as_secs_f64(),
                device: device.to_owned(),
                data_digest: self.source.digest().to_owned(),
                ..TaskResult::default()
            };
            control.emit(Event::Finished { task: member.plan.task, result });
        }
        self.drop_diverged("test", self.common.epochs, &losses, control);
    }

    /// Leaves out what is no longer wanted; false when nobody is left.
    fn drop_abandoned(&mut self, control: &mut dyn Control) -> bool {
        let abandoned = control.abandoned();
        let keep: Vec<bool> = self.members.iter().map(|m| !abandoned.contains(&m.plan.task)).collect();
        self.retain(&keep)
    }

    fn drop_diverged(&mut self, what: &str, epoch: u32, losses: &[f64], control: &mut dyn Control) -> bool {
        for (member, loss) in self.members.iter().zip(losses).filter(|(_, loss)| !loss.is_finite()) {
            let message = format!(
                "the {what} loss became {loss} in epoch {epoch}; a lower training.learning_rate (now {}) may help",
                member.plan.training.learning_rate
            );
            let failure = Failure::new(FailureReason::Diverged, message);
            control.emit(Event::Failed { task: member.plan.task, failure });
        }
        let keep: Vec<bool> = losses.iter().map(|loss| loss.is_finite()).collect();
        self.retain(&keep)
    }

    /// Keeps the members that are marked; false when nobody is left.
    fn retain(&mut self, keep: &[bool]) -> bool {
        let kept: Vec<i64> = (0_i64..).zip(keep).filter(|(_, keep)| **keep).map(|(k, _)| k).collect();
        if kept.len() < self.members.len() && !kept.is_empty() {
            let index = Tensor::from_slice(&kept).to_device(self.source.device());
            self.model.retain(&kept);
            self.adam.retain(&kept);
            self.best = [0, 1].map(|which: usize| self.best[which].index_select(0, &index));
            self.losses = self.losses.index_select(0, &index);
            let mut keep = keep.iter();
            self.members.retain(|_| *keep.next().expect("one mark a member"));
        }
        !kept.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_epochs_the_later_is_the_best() {
        let mut best = Best::NONE;
        let taken: Vec<bool> =
            (1..).zip([0.9, 0.5, 0.7, 0.5, 0.6]).map(|(epoch, loss)| best.take(epoch, loss)).collect();
        assert_eq!(taken, [true, true, false, true, false]);
        assert_eq!(best, Best { epoch: 4, loss: 0.5 });
        assert!(!best.take(6, f64::NAN));
    }
}
