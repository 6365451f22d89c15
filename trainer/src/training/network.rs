//! The network of a cohort.

use colearn_core::settings::{BiEflstmSettings, MfnSettings, ModelSettings};
use tch::Kind;

use super::{plan::Plan, source::Source};
use crate::model::{BiEflstm, BiEflstmShape, Mfn, MfnDropout, MfnModality, MfnShape, Model};

/// A network with a member for each plan. All members have the shape of the first.
pub(super) fn network(source: &Source, plans: &[Plan]) -> Box<dyn Model> {
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

fn mfn_shape(source: &Source, model: &MfnSettings) -> MfnShape {
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
