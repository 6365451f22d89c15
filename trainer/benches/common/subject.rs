//! The networks that are measured, at the sizes of shipped sweeps. The bench, the GPU probe and the tests share them.
//! `benches/subjects.py` has the same sizes for PyTorch.

use colearn_trainer::model::{
    BiEflstm, BiEflstmShape, Kernels, Mfn, MfnDropout, MfnModality, MfnShape, Model, Objective,
};
use tch::{Device, Kind};

/// Number of classes of the labels that measurements are made with. No classification has fewer.
pub(crate) const CLASSES: i64 = 6;

/// A network to measure, with the batch size of its sweep.
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
    /// A cohort with one member per seed. `name` is that of a sweep file; `bi-eflstm` and `mfn` are the sizes of the
    /// paper's IEMOCAP and MOSI experiments. `None` if the name is unknown.
    pub(crate) fn of(name: &str, seeds: &[u64], options: (Kind, Device), kernels: Kernels) -> Option<Self> {
        match name {
            "demo" => {
                let (hidden, layers) = (32, 1);
                let shape = Shape { dims: &[24, 8, 12], outputs: 6, samples: 32, steps: 8, hidden, layers };
                Some(bi_eflstm(&shape, seeds, options, kernels))
            }
            "iemocap-bi-eflstm" | "bi-eflstm" => {
                let shape = Shape { dims: &[300, 80, 310], outputs: 9, samples: 30, ..PAPER };
                Some(bi_eflstm(&shape, seeds, options, kernels))
            }
            "utd-mhad" => {
                let shape = Shape { dims: &[6, 60], outputs: 27, samples: 15, ..PAPER };
                Some(bi_eflstm(&shape, seeds, options, kernels))
            }
            "mosi-mfn" | "mfn" => {
                let widths = Widths { memory: 128, nn1: 128, nn2: 64, gamma1: 256, gamma2: 64, out: 64 };
                let modalities = [(300, 128), (5, 32), (20, 32)];
                Some(mfn((&modalities, widths, Objective::L1), (128, 20), seeds, options, kernels))
            }
            "utd-mhad-mfn" => {
                let widths = Widths { memory: 64, nn1: 64, nn2: 64, gamma1: 64, gamma2: 64, out: 64 };
                let modalities = [(3, 32), (3, 32), (60, 64)];
                let sizes = (&modalities[..], widths, Objective::CrossEntropy);
                Some(mfn(sizes, (32, 30), seeds, options, kernels))
            }
            _ => None,
        }
    }
}

/// The columns of modalities of these widths, side by side.
fn columns(dims: impl IntoIterator<Item = i64>) -> Vec<(i64, i64)> {
    let place = |first: &mut i64, dim| {
        *first += dim;
        Some((*first - dim, dim))
    };
    dims.into_iter().scan(0, place).collect()
}

/// The sizes of a bi-EFLSTM, and of its batches.
struct Shape<'a> {
    /// Width of each modality.
    dims: &'a [i64],
    outputs: i64,
    samples: i64,
    steps: i64,
    hidden: i64,
    layers: i64,
}

/// What the sweeps with the paper's network have in common.
const PAPER: Shape<'_> = Shape { dims: &[], outputs: 0, samples: 0, steps: 30, hidden: 128, layers: 2 };

fn bi_eflstm(shape: &Shape<'_>, seeds: &[u64], options: (Kind, Device), kernels: Kernels) -> Subject {
    let Shape { dims, outputs, samples, steps, hidden, layers } = *shape;
    let (features, objective) = (dims.iter().sum(), Objective::CrossEntropy);
    let shape = BiEflstmShape { features, hidden, layers, outputs, objective };
    let model = BiEflstm::new(shape, seeds, &vec![0.5; seeds.len()], options).with_kernels(kernels);
    let columns = columns(dims.iter().copied());
    Subject { model: Box::new(model), objective, features, columns, samples, steps }
}

/// The widths of an MFN's memory, and of the hidden layers of its inner networks.
struct Widths {
    memory: i64,
    nn1: i64,
    nn2: i64,
    gamma1: i64,
    gamma2: i64,
    out: i64,
}

/// An MFN on modalities with these numbers of features and hidden units.
fn mfn(
    (modalities, widths, objective): (&[(i64, i64)], Widths, Objective),
    (samples, steps): (i64, i64),
    seeds: &[u64],
    options: (Kind, Device),
    kernels: Kernels,
) -> Subject {
    let columns = columns(modalities.iter().map(|(dim, _)| *dim));
    let modality = |(&(dim, hidden), &(first, _)): (&(i64, i64), &(i64, i64))| MfnModality {
        name: format!("modality{first}"),
        first,
        dim,
        hidden,
    };
    let Widths { memory, nn1, nn2, gamma1, gamma2, out } = widths;
    let shape = MfnShape {
        modalities: modalities.iter().zip(&columns).map(modality).collect(),
        memory,
        nn1,
        nn2,
        gamma1,
        gamma2,
        out,
        outputs: if objective == Objective::L1 { 1 } else { 27 },
        objective,
    };
    let dropout = MfnDropout { nn1: 0.0, nn2: 0.2, gamma1: 0.0, gamma2: 0.2, out: 0.5 };
    let model = Mfn::new(shape, seeds, &vec![dropout; seeds.len()], options).with_kernels(kernels);
    let features = columns.iter().map(|(_, count)| count).sum();
    Subject { model: Box::new(model), objective, features, columns, samples, steps }
}
