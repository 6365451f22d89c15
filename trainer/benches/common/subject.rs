//! The networks that are measured, at the sizes of the paper's experiments. The bench, the GPU probe and the tests
//! share them.

use colearn_trainer::model::{
    BiEflstm, BiEflstmShape, Kernels, Mfn, MfnDropout, MfnModality, MfnShape, Model, Objective,
};
use tch::{Device, Kind};

/// Number of classes of IEMOCAP.
pub(crate) const CLASSES: i64 = 9;

/// A network to measure, with the batch size of its experiment.
pub(crate) struct Subject {
    pub(crate) model: Box<dyn Model>,
    pub(crate) objective: Objective,
    pub(crate) features: i64,
    /// The columns of each modality as (first, count), as the training loop passes them.
    pub(crate) columns: Vec<(i64, i64)>,
    pub(crate) samples: i64,
    pub(crate) steps: i64,
}

impl Subject {
    /// A cohort with one member per seed; `None` if the name of the network is unknown.
    pub(crate) fn of(
        network: &str,
        seeds: &[u64],
        options: (Kind, Device),
        kernels: Kernels,
    ) -> Option<Self> {
        match network {
            "bi-eflstm" => Some(bi_eflstm(seeds, options, kernels)),
            "mfn" => Some(mfn(seeds, options, kernels)),
            _ => None,
        }
    }
}

/// The bi-EFLSTM at its IEMOCAP size.
fn bi_eflstm(seeds: &[u64], options: (Kind, Device), kernels: Kernels) -> Subject {
    let (features, objective) = (300 + 80 + 310, Objective::CrossEntropy);
    let shape = BiEflstmShape { features, hidden: 128, layers: 2, outputs: CLASSES, objective };
    let model = BiEflstm::new(shape, seeds, &vec![0.5; seeds.len()], options).with_kernels(kernels);
    let model = Box::new(model);
    let columns = vec![(0, 300), (300, 80), (380, 310)];
    Subject { model, objective, features, columns, samples: 15, steps: 30 }
}

/// The MFN at its MOSI size.
fn mfn(seeds: &[u64], options: (Kind, Device), kernels: Kernels) -> Subject {
    let modality = |name: &str, first, dim, hidden| MfnModality { name: name.into(), first, dim, hidden };
    let objective = Objective::L1;
    let shape = MfnShape {
        modalities: vec![
            modality("language", 0, 300, 128),
            modality("audio", 300, 5, 32),
            modality("video", 305, 20, 32),
        ],
        memory: 128,
        nn1: 128,
        nn2: 64,
        gamma1: 256,
        gamma2: 64,
        out: 64,
        outputs: 1,
        objective,
    };
    let dropout = MfnDropout { nn1: 0.0, nn2: 0.2, gamma1: 0.0, gamma2: 0.2, out: 0.5 };
    let model = Box::new(Mfn::new(shape, seeds, &vec![dropout; seeds.len()], options).with_kernels(kernels));
    let columns = vec![(0, 300), (300, 5), (305, 20)];
    Subject { model, objective, features: 325, columns, samples: 128, steps: 20 }
}
