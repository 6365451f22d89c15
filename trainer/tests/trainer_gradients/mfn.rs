//! Tests the gradients of the Memory Fusion Network.

use colearn_trainer::{
    model::{Batch, Columns, Draws, Kernels, Mfn, MfnDropout, MfnModality, MfnShape, Model, Objective},
    random::Purpose,
};
use tch::{Device, Kind, Tensor};

use super::{
    ALL, FEATURES, Leaves, SAMPLES, STEPS, assert_close, assert_close_at, batch, largest, member_features,
    reference_loss, subject::Subject,
};

/// Modalities of 4, 5 and 2 columns with cells of different sizes.
fn shape(objective: Objective) -> MfnShape {
    let modality = |name: &str, first, dim, hidden| MfnModality { name: name.into(), first, dim, hidden };
    MfnShape {
        modalities: vec![
            modality("language", 0, 4, 5),
            modality("audio", 4, 5, 2),
            modality("video", 9, 2, 3),
        ],
        memory: 6,
        nn1: 7,
        nn2: 8,
        gamma1: 9,
        gamma2: 4,
        out: 5,
        outputs: if objective == Objective::L1 { 1 } else { 4 },
        objective,
    }
}

const NONE: MfnDropout = MfnDropout { nn1: 0.0, nn2: 0.0, gamma1: 0.0, gamma2: 0.0, out: 0.0 };
const SOME: MfnDropout = MfnDropout { nn1: 0.1, nn2: 0.2, gamma1: 0.3, gamma2: 0.4, out: 0.5 };
const LESS: MfnDropout = MfnDropout { nn1: 0.5, nn2: 0.0, gamma1: 0.2, gamma2: 0.0, out: 0.1 };

#[derive(Clone, Copy)]
struct Case {
    seeds: &'static [u64],
    dropout: &'static [MfnDropout],
    columns: &'static [(i64, i64)],
    objective: Objective,
}

impl Case {
    fn model(&self, kernels: Kernels, kind: Kind) -> Box<dyn Model> {
        let model = Mfn::new(shape(self.objective), self.seeds, self.dropout, (kind, Device::Cpu));
        Box::new(model.with_kernels(kernels))
    }

    fn batch(&self, kind: Kind) -> Batch {
        batch(self.seeds.len() as i64, self.columns, self.objective, kind)
    }

    /// One member's masks of the five perceptrons.
    fn masks(&self, draws: &Draws<'_>, member: i64, like: &Tensor) -> [Option<Tensor>; 5] {
        let shape = shape(self.objective);
        let all = STEPS * SAMPLES;
        let mask = |purpose, probability: fn(&MfnDropout) -> f64, rows: i64, width: i64| {
            let probabilities: Vec<f64> = self.dropout.iter().map(probability).collect();
            draws.mask(purpose, &probabilities, &[rows, width], like).map(|mask| mask.get(member))
        };
        let part = Purpose::PerceptronDropout;
        [
            mask(part(0), |d| d.nn1, all, shape.nn1),
            mask(part(1), |d| d.nn2, all, shape.nn2),
            mask(part(2), |d| d.gamma1, all, shape.gamma1),
            mask(part(3), |d| d.gamma2, all, shape.gamma2),
            mask(Purpose::HeadDropout, |d| d.out, SAMPLES, shape.out),
        ]
    }
}

/// The equations, step by step: outputs [B, O] of x [T, B, F].
fn reference(p: &Leaves<'_>, shape: &MfnShape, x: &Tensor, masks: &[Option<Tensor>; 5]) -> Tensor {
    let (steps, samples) = (x.size()[0], x.size()[1]);
    let perceptron = |number: usize, name: &str, x: &Tensor, step: i64| {
        let hidden = p.linear(x, &format!("{name}.0")).relu();
        let hidden = match &masks[number] {
            Some(mask) => hidden * mask.narrow(0, step * samples, samples),
            None => hidden,
        };
        p.linear(&hidden, &format!("{name}.3"))
    };
    let zeros = |width: i64| Tensor::zeros([samples, width], (x.kind(), x.device()));
    let mut hidden: Vec<Tensor> = shape.modalities.iter().map(|m| zeros(m.hidden)).collect();
    let mut cells: Vec<Tensor> = shape.modalities.iter().map(|m| zeros(m.hidden)).collect();
    let mut memory = zeros(shape.memory);
    for step in 0..steps {
        let before: Vec<Tensor> = cells.iter().map(Tensor::shallow_clone).collect();
        for (m, modality) in shape.modalities.iter().enumerate() {
            let get = |part: &str| p.get(&format!("lstm.{}.{part}", modality.name));
            let input = x.get(step).narrow(1, modality.first, modality.dim);
            let (h, c) = input.lstm_cell(
                &[&hidden[m], &cells[m]],
                get("weight_ih"),
                get("weight_hh"),
                Some(get("bias_ih")),
                Some(get("bias_hh")),
            );
            (hidden[m], cells[m]) = (h, c);
        }
        let states: Vec<&Tensor> = before.iter().chain(&cells).collect();
        let states = Tensor::cat(&states, 1);
        let attended = perceptron(0, "nn1", &states, step).softmax(1, None::<Kind>) * states;
        let candidate = perceptron(1, "nn2", &attended, step).tanh();
        let both = Tensor::cat(&[&attended, &memory], 1);
        let keep = perceptron(2, "gamma1", &both, step).sigmoid();
        let take = perceptron(3, "gamma2", &both, step).sigmoid();
        memory = keep * memory + take * candidate;
    }
    let last: Vec<&Tensor> = hidden.iter().chain([&memory]).collect();
    perceptron(4, "out", &Tensor::cat(&last, 1), 0)
}

/// Checks the kernels of CPUs and those of GPUs.
fn check(case: &Case, kind: Kind, tolerance: f64) {
    for kernels in [Kernels::InMemory, Kernels::InPlace, Kernels::Fused] {
        check_kernels(case, kernels, kind, tolerance);
    }
}

fn check_kernels(case: &Case, kernels: Kernels, kind: Kind, tolerance: f64) {
    let shape = shape(case.objective);
    let mut model = case.model(kernels, kind);
    // Twice with different batches: the second pass runs on used workspaces.
    for (step, columns) in [ALL, case.columns].into_iter().enumerate() {
        let case = Case { columns, ..*case };
        let batch = case.batch(kind);
        let epochs = &[3, 5, 4][..case.seeds.len()];
        let draws = Draws { seeds: case.seeds, epochs, step: step as u32 };
        let losses = model.train(&batch, &draws);
        let outputs = model.evaluate(&batch);
        for k in 0..case.seeds.len() as i64 {
            let leaves = Leaves::new(model.layout(), model.parameters(), k);
            let x = member_features(&batch, k);
            let masks = case.masks(&draws, k, model.parameters());
            let loss =
                reference_loss(case.objective, &reference(&leaves, &shape, &x, &masks), &batch.labels.get(k));
            assert_close(&losses.get(k), &loss, tolerance, &format!("loss of member {k}"));
            loss.backward();
            // In single precision the smallest gradients are sums of terms that nearly cancel.
            let all = leaves.leaves.iter().map(|leaf| largest(&leaf.grad())).fold(0.0, f64::max);
            let floor = if kind == Kind::Float { 1e-2 * all } else { 0.0 };
            for (entry, leaf) in model.layout().entries().iter().zip(&leaves.leaves) {
                let found = model.layout().view(model.gradients(), &entry.name).get(k);
                let what = format!("step {step}, member {k}, {}", entry.name);
                let scale = largest(&leaf.grad()).max(floor).max(f64::MIN_POSITIVE);
                assert_close_at(&found, &leaf.grad(), scale, tolerance, &what);
            }
            let plain = reference(&leaves, &shape, &x, &Default::default());
            assert_close(&outputs.get(k), &plain, tolerance, &format!("outputs of member {k}"));
        }
    }
}

fn check_both(case: &Case) {
    for objective in [Objective::L1, Objective::CrossEntropy] {
        let case = Case { objective, ..*case };
        check(&case, Kind::Double, 1e-10);
        check(&case, Kind::Float, 2e-5);
    }
}

const L1: Objective = Objective::L1;

#[test]
fn one_member() {
    check_both(&Case { seeds: &[1], dropout: &[NONE], columns: ALL, objective: L1 });
    check_both(&Case { seeds: &[1], dropout: &[SOME], columns: ALL, objective: L1 });
}

#[test]
fn different_members() {
    check_both(&Case { seeds: &[7, 8], dropout: &[NONE, NONE], columns: ALL, objective: L1 });
    check_both(&Case { seeds: &[7, 8, 9], dropout: &[NONE, SOME, LESS], columns: ALL, objective: L1 });
}

/// Absent columns: whole modalities, one or two at once; a part of a modality; ranges that span two modalities; all
/// columns.
#[test]
fn absent_columns_are_zeros() {
    let absent: [&'static [(i64, i64)]; 6] =
        [&[(0, 4)], &[(4, 7)], &[(4, 5)], &[(0, 2), (3, 4), (10, 1)], &[(0, 9)], &[]];
    for columns in absent {
        check_both(&Case { seeds: &[7, 8], dropout: &[SOME, LESS], columns, objective: L1 });
    }
}

#[test]
fn the_authors_network_has_its_size() {
    let options = (Kind::Float, Device::Cpu);
    let Subject { model, .. } = Subject::of("mfn", &[0], options, Kernels::InPlace).unwrap();
    assert_eq!(model.layout().total(), 589_825);
    assert_eq!(model.parameters().size(), [1, 589_825]);
    assert_eq!(model.buffers().size(), [1, 0]);
}

/// A batch of a single time step, and one of a single sample.
#[test]
fn the_smallest_batches() {
    smallest_batches(Kernels::InPlace, Kind::Double, 1e-10);
    smallest_batches(Kernels::InMemory, Kind::Float, 2e-5);
}

fn smallest_batches(kernels: Kernels, kind: Kind, tolerance: f64) {
    let case = Case { seeds: &[5], dropout: &[NONE], columns: ALL, objective: L1 };
    let whole = case.batch(kind);
    let mut model = case.model(kernels, kind);
    for (steps, samples) in [(1, SAMPLES), (STEPS, 1), (1, 1)] {
        let x = member_features(&whole, 0).narrow(0, 0, steps).narrow(1, 0, samples);
        let features = x.reshape([1, steps * samples, FEATURES]);
        let labels = whole.labels.narrow(1, 0, samples);
        let batch = Batch { features, columns: Columns::alike(1, ALL), steps, samples, labels };
        let _ = model.train(&batch, &Draws { seeds: &[5], epochs: &[1], step: 0 });
        let leaves = Leaves::new(model.layout(), model.parameters(), 0);
        let outputs = reference(&leaves, &shape(L1), &x, &Default::default());
        reference_loss(L1, &outputs, &batch.labels.get(0)).backward();
        for (entry, leaf) in model.layout().entries().iter().zip(&leaves.leaves) {
            let found = model.layout().view(model.gradients(), &entry.name).get(0);
            // With one step the recurrent weights are not used.
            let expected = leaf.grad();
            let expected = if expected.defined() { expected } else { leaf.zeros_like() };
            let scale = largest(&expected).max(1e-3);
            assert_close_at(&found, &expected, scale, tolerance, &format!("{steps} steps, {}", entry.name));
        }
    }
}

/// Batches whose steps are computed in several blocks: in memory as by operations on tensors.
#[test]
fn blocks_of_steps() {
    let case = Case { seeds: &[5, 6], dropout: &[SOME, NONE], columns: ALL, objective: L1 };
    for (steps, samples) in [(5, 70), (9, 40), (2, 130), (70, 2)] {
        let count = 2 * steps * samples;
        let values: Vec<f32> = (0..count * FEATURES).map(|i| (i as f32 * 1.3).sin()).collect();
        let labels: Vec<f32> = (0..2 * samples).map(|i| (i as f32 * 0.7).cos()).collect();
        let batch = Batch {
            features: Tensor::from_slice(&values).view([2, steps * samples, FEATURES]),
            labels: Tensor::from_slice(&labels).view([2, samples]),
            columns: Columns::alike(2, ALL),
            steps,
            samples,
        };
        let [in_memory, as_tensors] = [Kernels::InMemory, Kernels::InPlace].map(|kernels| {
            let mut model = case.model(kernels, Kind::Float);
            let losses = model.train(&batch, &Draws { seeds: &[5, 6], epochs: &[1, 1], step: 0 });
            (losses, model.evaluate(&batch), model)
        });
        assert_close(&in_memory.0, &as_tensors.0, 1e-5, "loss");
        assert_close(&in_memory.1, &as_tensors.1, 1e-5, "outputs");
        let layout = in_memory.2.layout();
        for entry in layout.entries() {
            let [found, expected] =
                [&in_memory.2, &as_tensors.2].map(|model| layout.view(model.gradients(), &entry.name));
            let scale = largest(&expected).max(1e-2 * largest(as_tensors.2.gradients()));
            assert_close_at(&found, &expected, scale, 2e-5, &format!("{steps} steps, {}", entry.name));
        }
    }
}

/// A member computes the same alone and beside others, also after others have left.
#[test]
fn members_do_not_see_each_other() {
    for kernels in [Kernels::InMemory, Kernels::InPlace, Kernels::Fused] {
        members_are_alone(kernels, Kind::Double, 1e-12);
    }
    // Bit by bit.
    members_are_alone(Kernels::InMemory, Kind::Float, f64::MIN_POSITIVE);
}

fn members_are_alone(kernels: Kernels, kind: Kind, tolerance: f64) {
    let case = Case { seeds: &[1, 2, 3], dropout: &[SOME, LESS, NONE], columns: ALL, objective: L1 };
    let mut together = case.model(kernels, kind);
    let mut alone = Case { seeds: &[2], dropout: &[LESS], ..case }.model(kernels, kind);
    let all = case.batch(kind);
    let one = Batch {
        features: all.features.narrow(0, 1, 1),
        labels: all.labels.narrow(0, 1, 1),
        columns: Columns::alike(1, ALL),
        ..all
    };
    // The first member diverges, which must not affect the others.
    let _ = all.features.get(0).get(0).fill_(f64::INFINITY);
    let loss = together.train(&all, &Draws { seeds: case.seeds, epochs: &[1, 4, 2], step: 0 });
    let expected = alone.train(&one, &Draws { seeds: &[2], epochs: &[4], step: 0 });
    assert_close(&loss.get(1), &expected.get(0), tolerance, "loss");
    assert_close(&together.gradients().get(1), &alone.gradients().get(0), tolerance, "gradients");
    together.retain(&[1]);
    let loss = together.train(&one, &Draws { seeds: &[2], epochs: &[4], step: 1 });
    let expected = alone.train(&one, &Draws { seeds: &[2], epochs: &[4], step: 1 });
    assert_close(&loss, &expected, tolerance, "loss after the others went");
    assert_close(together.gradients(), alone.gradients(), tolerance, "gradients after the others went");
}
