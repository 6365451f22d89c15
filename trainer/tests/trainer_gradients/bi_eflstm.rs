//! Tests the gradients of the bi-EFLSTM.

use colearn_trainer::{
    model::{Batch, BiEflstm, BiEflstmShape, Columns, Draws, Kernels, Model, Objective},
    random::Purpose,
};
use tch::{Device, Kind, Tensor};

use super::{
    ALL, FEATURES, Leaves, SAMPLES, STEPS, assert_close, assert_close_at, batch, largest, member_features,
    reference_loss,
};

fn shape(layers: i64, objective: Objective) -> BiEflstmShape {
    let outputs = if objective == Objective::L1 { 1 } else { 4 };
    BiEflstmShape { features: FEATURES, hidden: 5, layers, outputs, objective }
}

#[derive(Clone, Copy)]
struct Case {
    layers: i64,
    seeds: &'static [u64],
    dropout: &'static [f64],
    columns: &'static [(i64, i64)],
    objective: Objective,
}

impl Case {
    fn model(&self, kernels: Kernels, kind: Kind) -> Box<dyn Model> {
        let shape = shape(self.layers, self.objective);
        let model = BiEflstm::new(shape, self.seeds, self.dropout, (kind, Device::Cpu));
        Box::new(model.with_kernels(kernels))
    }

    fn batch(&self, kind: Kind) -> Batch {
        batch(self.seeds.len() as i64, self.columns, self.objective, kind)
    }
}

impl Leaves<'_> {
    fn lstm(&self, x: &Tensor, layers: std::ops::Range<i64>) -> Tensor {
        let mut weights = Vec::new();
        for layer in layers.clone() {
            for direction in ["", "_reverse"] {
                for name in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] {
                    weights.push(self.get(&format!("lstm.{name}_l{layer}{direction}")));
                }
            }
        }
        let count = layers.end - layers.start;
        let zero = Tensor::zeros([2 * count, x.size()[1], 5], (x.kind(), x.device()));
        x.lstm(&[&zero, &zero], &weights, true, count, 0.0, true, true, false).0
    }

    /// Logits [B, C] of x [T, B, F]. `masks` are those between the layers, then that of the head.
    fn forward(
        &self,
        x: &Tensor,
        layers: i64,
        masks: Option<&[Tensor]>,
        running: [&Tensor; 2],
        train: bool,
    ) -> Tensor {
        let out = match masks {
            None => self.lstm(x, 0..layers),
            Some(masks) => (0..layers).fold(x.shallow_clone(), |x, layer| {
                let x =
                    if layer == 0 { x } else { &x * masks[layer as usize - 1].view([STEPS, SAMPLES, -1]) };
                self.lstm(&x, layer..layer + 1)
            }),
        };
        let z = self.linear(&out.get(STEPS - 1), "hidden");
        let (weight, bias) = (self.get("norm.weight"), self.get("norm.bias"));
        let [mean, variance] = running;
        let y = z
            .batch_norm(Some(weight), Some(bias), Some(mean), Some(variance), train, 0.1, 1e-5, false)
            .relu();
        let y = masks.map_or_else(|| y.shallow_clone(), |masks| &y * &masks[masks.len() - 1]);
        self.linear(&y, "output")
    }
}

/// Checks the kernels of CPUs and those of GPUs.
fn check(case: &Case, kind: Kind, tolerance: f64) {
    for kernels in [Kernels::InMemory, Kernels::InPlace, Kernels::Fused] {
        check_kernels(case, kernels, kind, tolerance);
    }
}

fn check_kernels(case: &Case, kernels: Kernels, kind: Kind, tolerance: f64) {
    let mut model = case.model(kernels, kind);
    // Twice with different batches: the second pass runs on used workspaces and moved running means.
    for (step, columns) in [ALL, case.columns].into_iter().enumerate() {
        let case = Case { columns, ..*case };
        let batch = case.batch(kind);
        let draws = Draws { seeds: case.seeds, epochs: &[3, 5, 4][..case.seeds.len()], step: step as u32 };
        let before = model.buffers().copy();
        let losses = model.train(&batch, &draws);

        let width = [STEPS * SAMPLES, 10];
        let mask = |purpose, shape: &[i64; 2]| draws.mask(purpose, case.dropout, shape, model.parameters());
        let mut masks: Vec<Option<Tensor>> =
            (1..case.layers).map(|l| mask(Purpose::LayerDropout(l as u32 - 1), &width)).collect();
        masks.push(mask(Purpose::HeadDropout, &[SAMPLES, 5]));
        let masks: Option<Vec<Tensor>> = masks.into_iter().collect();

        let logits = model.evaluate(&batch);
        for k in 0..case.seeds.len() as i64 {
            let reference = Leaves::new(model.layout(), model.parameters(), k);
            let x = member_features(&batch, k);
            let masks: Option<Vec<Tensor>> =
                masks.as_ref().map(|all| all.iter().map(|mask| mask.get(k)).collect());
            let buffers = before.get(k);
            let running = [buffers.narrow(0, 0, 5), buffers.narrow(0, 5, 5)];
            let [mean, variance] = &running;
            let out = reference.forward(&x, case.layers, masks.as_deref(), [mean, variance], true);
            let loss = reference_loss(case.objective, &out, &batch.labels.get(k));
            assert_close(&losses.get(k), &loss, tolerance, &format!("loss of member {k}"));
            assert_close(
                &model.buffers().get(k),
                &buffers,
                tolerance,
                &format!("running values of member {k}"),
            );
            loss.backward();
            // The bias before the batch norm has a gradient of zero up to rounding. In single precision this rounding
            // has the size of everything that was summed up.
            let all = reference.leaves.iter().map(|leaf| largest(&leaf.grad())).fold(0.0, f64::max);
            let floor = if kind == Kind::Float { all } else { 1e-2 * all };
            for (entry, leaf) in model.layout().entries().iter().zip(&reference.leaves) {
                let found = model.layout().view(model.gradients(), &entry.name).get(k);
                let what = format!("step {step}, member {k}, {}", entry.name);
                assert_close_at(&found, &leaf.grad(), largest(&leaf.grad()).max(floor), tolerance, &what);
            }
            let plain = reference.forward(&x, case.layers, None, [mean, variance], false);
            assert_close(&logits.get(k), &plain, tolerance, &format!("logits of member {k}"));
        }
    }
}

fn check_both(case: &Case) {
    for objective in [Objective::CrossEntropy, Objective::L1] {
        let case = Case { objective, ..*case };
        check(&case, Kind::Double, 1e-10);
        // Batch norm over seven samples of nearly equal features divides by small deviations. This enlarges the
        // rounding of both sides. The run in double precision above tests the equations.
        check(&case, Kind::Float, 1e-4);
    }
}

const CLASSES: Objective = Objective::CrossEntropy;

#[test]
fn one_member() {
    check_both(&Case { layers: 2, seeds: &[1], dropout: &[0.0], columns: ALL, objective: CLASSES });
}

#[test]
fn one_member_with_dropout() {
    check_both(&Case { layers: 2, seeds: &[1], dropout: &[0.5], columns: ALL, objective: CLASSES });
}

#[test]
fn one_layer() {
    check_both(&Case { layers: 1, seeds: &[4], dropout: &[0.3], columns: &[(3, 4)], objective: CLASSES });
}

#[test]
fn three_layers_and_three_different_members() {
    check_both(&Case {
        layers: 3,
        seeds: &[7, 8, 9],
        dropout: &[0.0, 0.5, 0.2],
        columns: ALL,
        objective: CLASSES,
    });
}

#[test]
fn absent_columns_have_no_gradient() {
    check_both(&Case {
        layers: 2,
        seeds: &[7, 8],
        dropout: &[0.1, 0.1],
        columns: &[(0, 3), (5, 4)],
        objective: CLASSES,
    });
    check_both(&Case {
        layers: 2,
        seeds: &[7, 8],
        dropout: &[0.0, 0.0],
        columns: &[(6, 5)],
        objective: CLASSES,
    });
}

/// A batch in which every modality is dropped equals a batch of zeros.
#[test]
fn no_columns_at_all() {
    let case = Case { layers: 2, seeds: &[7, 8], dropout: &[0.5, 0.5], columns: &[], objective: CLASSES };
    let [zeros, none] = [ALL, &[]].map(|columns| {
        let mut batch = case.batch(Kind::Double);
        let _ = batch.features.zero_();
        batch.columns = Columns::alike(case.seeds.len() as i64, columns);
        let mut model = case.model(Kernels::InPlace, Kind::Double);
        let loss =
            model.train(&batch, &Draws { seeds: case.seeds, epochs: &[1; 3][..case.seeds.len()], step: 0 });
        (loss, model.gradients().copy())
    });
    assert_close(&none.0, &zeros.0, 1e-12, "loss");
    assert_close(&none.1, &zeros.1, 1e-12, "gradients");
}

#[test]
fn the_papers_network_has_the_papers_size() {
    let shape = BiEflstmShape {
        features: 690,
        hidden: 128,
        layers: 2,
        outputs: 9,
        objective: Objective::CrossEntropy,
    };
    let model = BiEflstm::new(shape, &[0], &[0.5], (Kind::Float, Device::Cpu));
    assert_eq!(model.layout().total(), 1_269_257);
    assert_eq!(model.parameters().size(), [1, 1_269_257]);
}

/// A member that lacks columns computes the same beside others that have them, in memory bit by bit.
#[test]
fn a_member_has_its_own_columns() {
    static SEEDS: [u64; 3] = [1, 2, 3];
    static DROPOUT: [f64; 3] = [0.5, 0.2, 0.0];
    let own: [&[(i64, i64)]; 3] = [&[(0, 3), (3, 2), (5, 6)], &[(3, 2), (5, 6)], &[]];
    for (kernels, kind, tolerance) in [
        (Kernels::InMemory, Kind::Float, f64::MIN_POSITIVE),
        (Kernels::InMemory, Kind::Double, 1e-12),
        (Kernels::InPlace, Kind::Double, 1e-12),
        (Kernels::Fused, Kind::Double, 1e-12),
    ] {
        for layers in [1, 2] {
            let case = Case { layers, seeds: &SEEDS, dropout: &DROPOUT, columns: ALL, objective: CLASSES };
            let mut all = case.batch(kind);
            // What a member lacks is zero if others have it.
            let _ = all.features.get(1).narrow(1, 0, 3).zero_();
            let _ = all.features.get(2).zero_();
            all.columns = Columns::new(own.iter().map(|columns| columns.to_vec()).collect());
            let mut together = case.model(kernels, kind);
            let loss = together.train(&all, &Draws { seeds: case.seeds, epochs: &[1, 4, 2], step: 0 });
            let outputs = together.evaluate(&all);
            for (k, epoch) in [1, 4, 2].into_iter().enumerate() {
                let (seeds, dropout) = (&SEEDS[k..=k], &DROPOUT[k..=k]);
                let mut alone = Case { seeds, dropout, ..case }.model(kernels, kind);
                let k = k as i64;
                let one = Batch {
                    features: all.features.narrow(0, k, 1),
                    labels: all.labels.narrow(0, k, 1),
                    columns: Columns::alike(1, own[k as usize]),
                    steps: all.steps,
                    samples: all.samples,
                };
                let expected = alone.train(&one, &Draws { seeds, epochs: &[epoch], step: 0 });
                assert_close(&loss.get(k), &expected.get(0), tolerance, "loss");
                assert_close(&outputs.get(k), &alone.evaluate(&one).get(0), tolerance, "outputs");
                assert_close(&together.gradients().get(k), &alone.gradients().get(0), tolerance, "gradients");
            }
        }
    }
}

/// A member computes the same alone and beside others, also after others have left.
#[test]
fn members_do_not_see_each_other() {
    let case =
        Case { layers: 2, seeds: &[1, 2, 3], dropout: &[0.5, 0.2, 0.0], columns: ALL, objective: CLASSES };
    let mut together = case.model(Kernels::InPlace, Kind::Double);
    let mut alone = Case { seeds: &[2], dropout: &[0.2], ..case }.model(Kernels::InPlace, Kind::Double);
    let all = case.batch(Kind::Double);
    let one = Batch {
        features: all.features.narrow(0, 1, 1),
        labels: all.labels.narrow(0, 1, 1),
        columns: Columns::alike(1, ALL),
        ..all
    };
    let loss = together.train(&all, &Draws { seeds: case.seeds, epochs: &[1, 4, 2], step: 0 });
    let expected = alone.train(&one, &Draws { seeds: &[2], epochs: &[4], step: 0 });
    assert_close(&loss.get(1), &expected.get(0), 1e-12, "loss");
    assert_close(&together.gradients().get(1), &alone.gradients().get(0), 1e-12, "gradients");
    together.retain(&[1]);
    let loss = together.train(&one, &Draws { seeds: &[2], epochs: &[4], step: 1 });
    let expected = alone.train(&one, &Draws { seeds: &[2], epochs: &[4], step: 1 });
    assert_close(&loss, &expected, 1e-12, "loss after the others went");
    assert_close(together.gradients(), alone.gradients(), 1e-12, "gradients after the others went");
    assert_close(together.buffers(), alone.buffers(), 1e-12, "running values after the others went");
}
