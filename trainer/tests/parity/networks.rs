//! Compares outputs, losses, gradients, and the weights and running values after twenty steps of Adam.

use std::collections::HashMap;

use colearn_trainer::{
    model::{
        Batch, BiEflstm, BiEflstmShape, Columns, Draws, Kernels, Layout, Mfn, MfnDropout, MfnModality,
        MfnShape, Model, Objective,
    },
    optimizer::{Adam, AdamSettings},
};
use tch::{Device, Kind, Tensor};

use super::{fixture, scalars};

/// Members of a cohort, as their numbers in the fixture.
const COHORTS: [&[usize]; 4] = [&[0], &[1], &[2], &[0, 1, 2]];
const OPTIONS: [(Kind, f64); 2] = [(Kind::Double, 1e-9), (Kind::Float, 1e-5)];

/// A network's fixture: everything of member k has a name that ends in `.k`.
struct Fixture {
    tensors: HashMap<String, Tensor>,
    new: fn(&[u64], Kernels, Kind) -> Box<dyn Model>,
}

impl Fixture {
    fn open(name: &str, new: fn(&[u64], Kernels, Kind) -> Box<dyn Model>) -> Self {
        let tensors = Tensor::read_safetensors(fixture(name)).expect("the fixture is committed");
        Self { tensors: tensors.into_iter().collect(), new }
    }

    fn get(&self, name: &str, member: usize) -> &Tensor {
        let name = format!("{name}.{member}");
        self.tensors.get(&name).unwrap_or_else(|| panic!("the fixture has no {name}"))
    }

    fn model(&self, members: &[usize], kernels: Kernels, kind: Kind) -> Box<dyn Model> {
        // The seeds do not matter: the fixture overwrites all values.
        let model = (self.new)(&vec![9; members.len()], kernels, kind);
        for (layout, flat) in [(model.layout(), model.parameters()), (model.buffer_layout(), model.buffers())]
        {
            for entry in layout.entries() {
                for (k, &member) in members.iter().enumerate() {
                    let value = self.get(&format!("start.{}", entry.name), member);
                    layout.view(flat, &entry.name).get(k as i64).copy_(value);
                }
            }
        }
        model
    }

    /// The batch of a step of Adam.
    fn batch(&self, members: &[usize], step: i64, kind: Kind) -> Batch {
        let gather = |name: &str| {
            let parts: Vec<Tensor> = members.iter().map(|&member| self.get(name, member).get(step)).collect();
            Tensor::stack(&parts, 0)
        };
        let x = gather("x");
        let [_, steps, samples, width] = x.size()[..] else { panic!("x is [K, T, B, F]") };
        let features = x.flatten(1, 2).to_kind(kind);
        let columns = Columns::alike(members.len() as i64, &[(0, width)]);
        Batch { features, columns, steps, samples, labels: gather("y") }
    }

    fn check(&self) {
        for (kind, tolerance) in OPTIONS {
            for kernels in [Kernels::InMemory, Kernels::InPlace, Kernels::Fused] {
                for members in COHORTS {
                    self.check_one_pass(members, (kernels, kind), tolerance);
                    for run in ["plain", "full"] {
                        self.check_adam(run, members, (kernels, kind), tolerance);
                    }
                }
            }
        }
    }

    fn check_one_pass(&self, members: &[usize], (kernels, kind): (Kernels, Kind), tolerance: f64) {
        let mut model = self.model(members, kernels, kind);
        let batch = self.batch(members, 0, kind);
        let outputs = model.evaluate(&batch);
        let losses = train(model.as_mut(), &batch, members.len());
        for (k, &member) in members.iter().enumerate() {
            let row = k as i64;
            let what = |name: &str| format!("{kernels:?}, {kind:?}, members {members:?}, {name} of {member}");
            assert_close(&outputs.get(row), self.get("outputs_eval", member), tolerance, &what("outputs"));
            assert_close(&losses.narrow(0, row, 1), self.get("loss", member), tolerance, &what("loss"));
            self.compare("gradient", member, (model.layout(), model.gradients(), row), tolerance, &what);
        }
    }

    fn check_adam(&self, run: &str, members: &[usize], (kernels, kind): (Kernels, Kind), tolerance: f64) {
        let model = &mut self.model(members, kernels, kind);
        let all = scalars();
        let settings: Vec<AdamSettings> = members.iter().map(|&member| settings(&all[run][member])).collect();
        let mut adam = Adam::new(model.parameters(), &settings).with_kernels(kernels);
        for step in 0..self.get("x", 0).size()[0] {
            let _ = train(model.as_mut(), &self.batch(members, step, kind), members.len());
            adam.step(model.parameters(), model.gradients());
        }
        for (k, &member) in members.iter().enumerate() {
            let row = k as i64;
            let what = |name: &str| {
                format!("{kernels:?}, {kind:?}, members {members:?}, {run} run, {name} of {member}")
            };
            self.compare(run, member, (model.layout(), model.parameters(), row), tolerance, &what);
            self.compare(run, member, (model.buffer_layout(), model.buffers(), row), tolerance, &what);
        }
    }

    /// Every entry of one member's row.
    fn compare(
        &self,
        prefix: &str,
        member: usize,
        (layout, flat, row): (&Layout, &Tensor, i64),
        tolerance: f64,
        what: &dyn Fn(&str) -> String,
    ) {
        for entry in layout.entries() {
            let found = layout.view(flat, &entry.name).get(row);
            let expected = self.get(&format!("{prefix}.{}", entry.name), member);
            assert_close(&found, expected, tolerance, &what(&entry.name));
        }
    }
}

fn train(model: &mut dyn Model, batch: &Batch, members: usize) -> Tensor {
    model.train(batch, &Draws { seeds: &vec![0; members], epochs: &vec![1; members], step: 0 })
}

fn settings(json: &serde_json::Value) -> AdamSettings {
    let default = AdamSettings::default();
    let get = |name: &str, default: f64| {
        json.get(name).map_or(default, |value| value.as_f64().expect("settings are numbers"))
    };
    AdamSettings {
        learning_rate: get("learning_rate", default.learning_rate),
        beta1: get("beta1", default.beta1),
        beta2: get("beta2", default.beta2),
        weight_decay: get("weight_decay", default.weight_decay),
        gradient_clip: get("gradient_clip", default.gradient_clip),
    }
}

/// The tolerance is relative to the largest value.
fn assert_close(found: &Tensor, expected: &Tensor, tolerance: f64, what: &str) {
    let largest = |values: &Tensor| values.abs().max().double_value(&[]);
    assert_eq!(found.size(), expected.size(), "{what}");
    let error = largest(&(found.to_kind(Kind::Double) - expected));
    let scale = largest(expected);
    // The bias before the batch norm has a gradient of exactly zero.
    assert!(error <= tolerance * scale, "{what}: {error:e} off, the largest value is {scale:e}");
}

#[test]
fn the_bi_eflstm_is_pytorchs() {
    let new = |seeds: &[u64], kernels, kind| -> Box<dyn Model> {
        let objective = Objective::CrossEntropy;
        let shape = BiEflstmShape { features: 9, hidden: 4, layers: 2, outputs: 3, objective };
        let model = BiEflstm::new(shape, seeds, &vec![0.0; seeds.len()], (kind, Device::Cpu));
        Box::new(model.with_kernels(kernels))
    };
    Fixture::open("bi_eflstm.safetensors", new).check();
}

#[test]
fn the_memory_fusion_network_is_pytorchs() {
    let new = |seeds: &[u64], kernels, kind| -> Box<dyn Model> {
        let modality = |name: &str, first, dim, hidden| MfnModality { name: name.into(), first, dim, hidden };
        let shape = MfnShape {
            modalities: vec![
                modality("language", 0, 4, 5),
                modality("audio", 4, 2, 3),
                modality("video", 6, 3, 2),
            ],
            memory: 4,
            nn1: 6,
            nn2: 5,
            gamma1: 7,
            gamma2: 3,
            out: 5,
            outputs: 1,
            objective: Objective::L1,
        };
        let dropout = vec![MfnDropout::default(); seeds.len()];
        Box::new(Mfn::new(shape, seeds, &dropout, (kind, Device::Cpu)).with_kernels(kernels))
    };
    Fixture::open("mfn.safetensors", new).check();
}
