//! The training loop of a cohort.

use std::{collections::BTreeSet, time::Instant};

use colearn_core::{
    failure::{Failure, FailureReason},
    id::TaskId,
    result::{EpochRecord, TaskResult, curve, metric},
};
use colearn_trainer_protocol::{Event, Member, checkpoint::Store};
use tch::{Kind, Tensor};

use super::{
    batches::Batches,
    checkpoints::Checkpoints,
    evaluation::{Evaluation, Evaluations, evaluate, to_vec},
    kept::KeptFiles,
    network::Network,
    plan::Plan,
    progress::Progress,
    result::result,
    source::DataSource,
};
use crate::model::Draws;

/// The training loop reports events here, and asks here which tasks are abandoned.
pub trait Control {
    /// Reports an event.
    fn emit(&mut self, event: Event);
    /// The tasks abandoned since the last call; called before every optimizer step. No more events of these tasks are
    /// reported.
    fn abandoned(&mut self) -> Vec<TaskId>;
    /// Whether all members are to be parked. Once true, it stays true until the end of the cohort.
    fn parks(&mut self) -> bool {
        false
    }
}

/// Trains members together until each is finished, failed, abandoned or parked. Members that cannot be trained on
/// this data set, or not together with the first, fail at once. A member with a checkpoint in `checkpoints` continues
/// from it, so members can be at different epochs.
///
/// `device` is the name of the device in the results.
///
/// # Panics
/// If libtorch panics, for example when memory is short. The caller catches the panic.
pub fn train(
    source: &DataSource,
    members: &[Member],
    device: &str,
    control: &mut dyn Control,
    checkpoints: Option<&Store>,
) {
    let start = Instant::now();
    let plans = agreeing_plans(source, members, control);
    if !plans.is_empty() {
        Cohort::new(source, plans, checkpoints).run(start, device, control);
    }
}

fn agreeing_plans(source: &DataSource, members: &[Member], control: &mut dyn Control) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::new();
    for member in members {
        let planned = Plan::new(member, source).and_then(|plan| match plans.first() {
            Some(first) if !plan.agrees_with(first) => {
                let message = "cannot be trained in one cohort: its settings give it other shapes, or a loop \
                               of another length, than the first member has";
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

/// Members in training. The index in `members` is the position along K of every tensor.
struct Cohort<'a> {
    source: &'a DataSource,
    checkpoints: Checkpoints<'a>,
    members: Vec<Progress>,
    network: Network,
    /// Sum of the losses of the epoch's steps so far, [K].
    losses: Tensor,
    /// Reused for every batch, [K, T * B, F].
    buffer: Option<Tensor>,
}

impl<'a> Cohort<'a> {
    fn new(source: &'a DataSource, plans: Vec<Plan>, checkpoints: Option<&'a Store>) -> Self {
        let mut network = Network::new(source, &plans);
        let checkpoints = Checkpoints::new(checkpoints, source, network.model.as_ref());
        let losses = Tensor::zeros([plans.len() as i64], (Kind::Double, source.device()));
        let mut members: Vec<Progress> = plans.into_iter().map(Progress::new).collect();
        for (k, member) in (0_i64..).zip(&mut members) {
            checkpoints.restore(member, k, &mut network);
        }
        Self { source, checkpoints, members, network, losses, buffer: None }
    }

    /// Trains epoch by epoch, until no member is left. Each call trains the next epoch of every member.
    fn run(&mut self, start: Instant, device: &str, control: &mut dyn Control) {
        while self.finish_done(start, device, control)
            && !self.park(control)
            && self.train_epoch(control)
            && self.close_epoch(control)
        {}
    }

    /// The members' plans, in the order of K.
    fn plans(&self) -> Vec<&Plan> {
        self.members.iter().map(|member| &member.plan).collect()
    }

    fn train_epoch(&mut self, control: &mut dyn Control) -> bool {
        let mut batches = Batches::new(self.source, &self.members);
        let _ = self.losses.zero_();
        for step in 0..batches.steps() {
            if !self.drop_abandoned(control) || (!self.keeps_checkpoints() && self.park(control)) {
                return false;
            }
            batches.keep(&self.members);
            let plans: Vec<&Plan> = self.members.iter().map(|member| &member.plan).collect();
            let seeds: Vec<u64> = plans.iter().map(|plan| plan.seed()).collect();
            let batch = batches.gather(&plans, step, &mut self.buffer);
            let draws = Draws { seeds: &seeds, epochs: batches.epochs(), step };
            let Network { model, adam, .. } = &mut self.network;
            let losses = model.train(&batch, &draws);
            adam.step(model.parameters(), model.gradients());
            let _ = self.losses.g_add_(&losses);
        }
        true
    }

    /// Validates, keeps the best weights, reports and writes checkpoints. A member whose loss is not finite fails
    /// alone: it cannot have changed the others, because nothing is computed across K.
    fn close_epoch(&mut self, control: &mut dyn Control) -> bool {
        if !self.drop_abandoned(control) {
            return false;
        }
        let plan = &self.members[0].plan;
        let steps = plan.batches(self.source.train().len()).len() as f64;
        let alone = plan.alone();
        let losses: Vec<f64> = to_vec::<f64>(&self.losses).iter().map(|sum| sum / steps).collect();
        if !self.drop_diverged("training", &losses, control) {
            return false;
        }
        let losses: Vec<f64> = losses.into_iter().filter(|loss| loss.is_finite()).collect();
        let evaluations = self.validate(&alone);
        let deciding = self.deciding_losses();
        let valid: Vec<f64> = evaluations
            .iter()
            .zip(&deciding)
            .map(|(evaluation, deciding)| evaluation.loss + deciding.unwrap_or(0.0))
            .collect();

        for (k, (member, evaluation)) in self.members.iter_mut().zip(&evaluations).enumerate() {
            if !valid[k].is_finite() {
                continue;
            }
            let mut record = EpochRecord::of_network(
                member.state.epoch + 1,
                losses[k],
                evaluation.loss,
                evaluation.accuracy(),
            );
            if let Some(loss) = deciding[k] {
                record.values.insert(curve::KEEP_LOSS, loss);
            }
            if member.take(record.clone()) {
                self.network.keep_as_best(k as i64);
            }
            self.network.adam.set_learning_rate(k, member.state.learning_rate);
            if member.is_checkpoint_due() {
                self.checkpoints.save(member, k as i64, &self.network);
            }
            let epochs = member.plan.training().epochs;
            control.emit(Event::Epoch { task: member.plan.task, record, epochs });
        }
        self.drop_diverged("validation", &valid, control)
    }

    /// Validates every member with these modalities present.
    fn validate(&self, present: &[bool]) -> Vec<Evaluation> {
        evaluate(self.network.model.as_ref(), self.source, self.source.valid(), present, &self.plans())
    }

    /// For each member, the validation loss that decides about its best epoch, if that is not the one on the primary
    /// modality alone.
    fn deciding_losses(&self) -> Vec<Option<f64>> {
        let mut losses = vec![None; self.members.len()];
        let subsets: BTreeSet<&Vec<bool>> =
            self.members.iter().filter_map(|member| member.plan.keep_by.as_ref()).collect();
        for present in subsets {
            let found = self.validate(present);
            for ((loss, member), found) in losses.iter_mut().zip(&self.members).zip(found) {
                if member.plan.keep_by.as_ref() == Some(present) {
                    *loss = Some(found.loss);
                }
            }
        }
        losses
    }

    /// Tests the members that are done and removes them. Returns false if no member is left.
    fn finish_done(&mut self, start: Instant, device: &str, control: &mut dyn Control) -> bool {
        let done: Vec<bool> = self.members.iter().map(Progress::is_done).collect();
        if !done.contains(&true) {
            return true;
        }
        // Members that are not done are evaluated too; their results are ignored.
        for (k, member) in self.members.iter().enumerate() {
            if done[k] && member.keeps_best() {
                self.network.return_to_best(k as i64);
            }
        }
        let plans = self.plans();
        let kept = KeptFiles::of(&self.members, &done, &self.network, self.source, self.checkpoints.store());
        let on = |split| Evaluations::of(self.network.model.as_ref(), self.source, split, &plans);
        let (test, valid) = (on(self.source.test()), on(self.source.valid()));
        let losses: Vec<f64> =
            self.members.iter().enumerate().map(|(k, member)| test.loss(k, &member.plan)).collect();
        for (k, member) in self.members.iter().enumerate() {
            if !done[k] || !losses[k].is_finite() {
                continue;
            }
            let mut metrics = test.metrics(k, &member.plan);
            let valid = valid.metrics(k, &member.plan).into_iter();
            // On a subset that decided nothing the validation loss may be infinite, which is no number to report.
            let valid = valid.filter(|(_, value)| value.is_finite());
            metrics.extend(valid.map(|(name, value)| (metric::on_validation(&name), value)));
            let mut result = TaskResult {
                metrics: metrics.into(),
                confusion: test.alone[k].confusion(),
                seconds: start.elapsed().as_secs_f64(),
                device: device.to_owned(),
                ..result(member, k as i64, &self.network, self.source)
            };
            kept.keep(member, k, &self.network, &mut result);
            control.emit(Event::Finished { task: member.plan.task, result: Box::new(result) });
        }
        let failed: Vec<f64> =
            losses.iter().zip(&done).map(|(loss, done)| if *done { *loss } else { 0.0 }).collect();
        self.say_diverged("test", &failed, control);
        let keep: Vec<bool> = done.iter().map(|done| !done).collect();
        self.retain(&keep)
    }

    /// Whether a checkpoint at the end of an epoch would be used. All members of a cohort are of one sweep, so the
    /// answer is the same for all.
    fn keeps_checkpoints(&self) -> bool {
        self.checkpoints.are_kept() && self.members.iter().any(Progress::keeps_checkpoints)
    }

    /// Parks all members if that was requested, and returns whether it was. Called between two epochs, or between two
    /// steps for members without checkpoints. Members that were done have been tested before.
    fn park(&mut self, control: &mut dyn Control) -> bool {
        if !control.parks() {
            return false;
        }
        for (k, member) in self.members.iter().enumerate() {
            if member.is_parking_worth_a_checkpoint() {
                self.checkpoints.save(member, k as i64, &self.network);
            }
            control.emit(Event::Parked { task: member.plan.task });
        }
        true
    }

    /// Removes abandoned members; returns false if no member is left.
    fn drop_abandoned(&mut self, control: &mut dyn Control) -> bool {
        let abandoned = control.abandoned();
        let keep: Vec<bool> = self.members.iter().map(|m| !abandoned.contains(&m.plan.task)).collect();
        self.retain(&keep)
    }

    fn drop_diverged(&mut self, what: &str, losses: &[f64], control: &mut dyn Control) -> bool {
        self.say_diverged(what, losses, control);
        let keep: Vec<bool> = losses.iter().map(|loss| loss.is_finite()).collect();
        self.retain(&keep)
    }

    fn say_diverged(&self, what: &str, losses: &[f64], control: &mut dyn Control) {
        for (member, loss) in self.members.iter().zip(losses).filter(|(_, loss)| !loss.is_finite()) {
            let epoch = if member.is_done() { member.tested_epoch() } else { member.state.epoch + 1 };
            let message = format!(
                "the {what} loss became {loss} in epoch {epoch}; a lower training.learning_rate (now {}) may help",
                member.state.learning_rate
            );
            let failure = Failure::new(FailureReason::Diverged, message);
            control.emit(Event::Failed { task: member.plan.task, failure });
        }
    }

    /// Keeps the marked members; returns false if no member is left.
    fn retain(&mut self, keep: &[bool]) -> bool {
        let kept: Vec<i64> = (0_i64..).zip(keep).filter(|(_, keep)| **keep).map(|(k, _)| k).collect();
        if kept.len() < self.members.len() && !kept.is_empty() {
            let index = Tensor::from_slice(&kept).to_device(self.source.device());
            self.network.retain(&kept);
            self.losses = self.losses.index_select(0, &index);
            let mut keep = keep.iter();
            self.members.retain(|_| *keep.next().expect("one mark a member"));
        }
        !kept.is_empty()
    }
}
