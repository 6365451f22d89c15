//! The network of a cohort, and its tensors that are kept between epochs.

use colearn_core::settings::{BiEflstmSettings, MfnSettings, ModelSettings};
use tch::{Kind, Tensor};

use super::{plan::Plan, source::DataSource};
use crate::{
    model::{BiEflstm, BiEflstmShape, Mfn, MfnDropout, MfnModality, MfnShape, Model},
    optimizer::{Adam, AdamSettings},
};

/// The tensors of a cohort that outlast an epoch.
pub(super) struct Network {
    pub(super) model: Box<dyn Model>,
    pub(super) adam: Adam,
    /// Copies of the parameters and buffers of each member's best epoch.
    pub(super) best: [Tensor; 2],
}

impl Network {
    pub(super) fn new(source: &DataSource, plans: &[Plan]) -> Self {
        let model = model(source, plans);
        let settings: Vec<AdamSettings> = plans
            .iter()
            .map(|plan| {
                let training = plan.training();
                AdamSettings {
                    learning_rate: training.learning_rate,
                    beta1: training.beta1,
                    beta2: training.beta2,
                    weight_decay: training.weight_decay,
                    gradient_clip: training.gradient_clip,
                }
            })
            .collect();
        let adam = Adam::new(model.parameters(), &settings).with_kernels(source.kernels());
        let best = [model.parameters(), model.buffers()].map(Tensor::copy);
        Self { model, adam, best }
    }

    /// The current parameters and buffers.
    pub(super) fn now(&self) -> [&Tensor; 2] {
        [self.model.parameters(), self.model.buffers()]
    }

    pub(super) fn keep_as_best(&self, k: i64) {
        for (best, now) in self.best.iter().zip(self.now()) {
            best.get(k).copy_(&now.get(k));
        }
    }

    pub(super) fn return_to_best(&self, k: i64) {
        for (best, now) in self.best.iter().zip(self.now()) {
            now.get(k).copy_(&best.get(k));
        }
    }

    pub(super) fn retain(&mut self, kept: &[i64]) {
        let index = Tensor::from_slice(kept).to_device(self.best[0].device());
        self.model.retain(kept);
        self.adam.retain(kept);
        self.best = [0, 1].map(|which: usize| self.best[which].index_select(0, &index));
    }
}

/// A model with a member for each plan; all have the shape of the first.
fn model(source: &DataSource, plans: &[Plan]) -> Box<dyn Model> {
    let seeds: Vec<u64> = plans.iter().map(Plan::seed).collect();
    let options = (Kind::Float, source.device());
    match &plans[0].settings.model {
        ModelSettings::BiEflstm(BiEflstmSettings { hidden, layers, .. }) => {
            let shape = BiEflstmShape {
                features: source.width(),
                hidden: i64::from(*hidden),
                layers: i64::from(*layers),
                outputs: source.outputs(),
                objective: source.objective(),
            };
            let dropout: Vec<f64> = plans
                .iter()
                .filter_map(|plan| match &plan.settings.model {
                    ModelSettings::BiEflstm(model) => Some(model.dropout),
                    ModelSettings::Mfn(_) => None,
                })
                .collect();
            Box::new(BiEflstm::new(shape, &seeds, &dropout, options).with_kernels(source.kernels()))
        }
        ModelSettings::Mfn(model) => {
            let dropout: Vec<MfnDropout> = plans
                .iter()
                .filter_map(|plan| match &plan.settings.model {
                    ModelSettings::BiEflstm(_) => None,
                    ModelSettings::Mfn(model) => Some(MfnDropout {
                        nn1: model.nn1_dropout,
                        nn2: model.nn2_dropout,
                        gamma1: model.gamma1_dropout,
                        gamma2: model.gamma2_dropout,
                        out: model.out_dropout,
                    }),
                })
                .collect();
            let shape = mfn_shape(source, model);
            Box::new(Mfn::new(shape, &seeds, &dropout, options).with_kernels(source.kernels()))
        }
    }
}

fn mfn_shape(source: &DataSource, model: &MfnSettings) -> MfnShape {
    let modality = |number: usize| {
        let (first, dim) = source.columns(number);
        let name = source.modalities()[number].name.clone();
        let hidden = i64::from(model.hidden_of(&name));
        MfnModality { name, first, dim, hidden }
    };
    MfnShape {
        modalities: (0..source.modalities().len()).map(modality).collect(),
        memory: i64::from(model.memory),
        nn1: i64::from(model.nn1),
        nn2: i64::from(model.nn2),
        gamma1: i64::from(model.gamma1),
        gamma2: i64::from(model.gamma2),
        out: i64::from(model.out),
        outputs: source.outputs(),
        objective: source.objective(),
    }
}
