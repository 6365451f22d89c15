//! Compares the hand-written passes with libtorch's own layers and autograd, member by member.

mod bi_eflstm;
mod mfn;
#[path = "../../benches/common/subject.rs"]
#[expect(dead_code, reason = "the tests need the networks alone, not the batches they are measured with")]
mod subject;

use colearn_trainer::{
    model::{Batch, Columns, Layout, Objective},
    random::{Purpose, Stream},
};
use tch::{Device, Kind, Tensor};

const STEPS: i64 = 6;
const SAMPLES: i64 = 7;
const FEATURES: i64 = 11;
const ALL: &[(i64, i64)] = &[(0, FEATURES)];

/// Random features of every member, of which only `columns` are present, and labels for the objective.
fn batch(members: i64, columns: &[(i64, i64)], objective: Objective, kind: Kind) -> Batch {
    // The values are large enough for the gates to leave their linear range.
    let mut values = vec![0.0; (members * STEPS * SAMPLES * FEATURES) as usize];
    Stream::new(columns.len() as u64, Purpose::Shuffle, 0, 0).fill_uniform(4.0, &mut values);
    let features = Tensor::from_slice(&values).view([members, STEPS * SAMPLES, FEATURES]).to_kind(kind);
    // Absent columns may hold any values.
    let mut seen = 0;
    for &(first, count) in columns {
        let _ = features.narrow(2, seen, first - seen).fill_(f64::NAN);
        seen = first + count;
    }
    let _ = features.narrow(2, seen, FEATURES - seen).fill_(f64::NAN);
    let classes =
        Tensor::arange(members * SAMPLES, (Kind::Int64, Device::Cpu)).remainder(4).view([members, SAMPLES]);
    let labels = match objective {
        Objective::CrossEntropy => classes,
        Objective::L1 => (classes.to_kind(Kind::Float) * 1.3).sin() * 0.2,
    };
    Batch { features, columns: Columns::alike(members, columns), steps: STEPS, samples: SAMPLES, labels }
}

/// The input of a member, [T, B, F], with zeros for absent columns.
fn member_features(batch: &Batch, member: i64) -> Tensor {
    let whole = batch.features.get(member).nan_to_num(0.0, None::<f64>, None::<f64>);
    whole.view([STEPS, SAMPLES, FEATURES])
}

/// libtorch's own loss of outputs [B, O].
fn reference_loss(objective: Objective, outputs: &Tensor, labels: &Tensor) -> Tensor {
    match objective {
        Objective::CrossEntropy => outputs.log_softmax(-1, outputs.kind()).nll_loss(labels),
        Objective::L1 => {
            outputs.squeeze_dim(1).l1_loss(&labels.to_kind(outputs.kind()), tch::Reduction::Mean)
        }
    }
}

/// One member's parameters as leaves of autograd, by name.
struct Leaves<'a> {
    layout: &'a Layout,
    leaves: Vec<Tensor>,
}

impl<'a> Leaves<'a> {
    fn new(layout: &'a Layout, flat: &Tensor, member: i64) -> Self {
        let one = flat.narrow(0, member, 1);
        let leaves =
            layout.entries().iter().map(|entry| layout.view(&one, &entry.name).squeeze_dim(0).copy());
        Self { layout, leaves: leaves.map(|leaf| leaf.set_requires_grad(true)).collect() }
    }

    fn get(&self, name: &str) -> &Tensor {
        let number = self.layout.entries().iter().position(|entry| entry.name == name);
        &self.leaves[number.expect("the name exists")]
    }

    fn linear(&self, x: &Tensor, name: &str) -> Tensor {
        x.linear(self.get(&format!("{name}.weight")), Some(self.get(&format!("{name}.bias"))))
    }
}

fn largest(values: &Tensor) -> f64 {
    values.abs().max().double_value(&[])
}

fn assert_close(found: &Tensor, expected: &Tensor, tolerance: f64, what: &str) {
    assert_close_at(found, expected, largest(expected), tolerance, what);
}

fn assert_close_at(found: &Tensor, expected: &Tensor, scale: f64, tolerance: f64, what: &str) {
    let error = largest(&(found - expected)) / scale;
    assert!(error < tolerance, "{what}: relative error {error:e}");
}
