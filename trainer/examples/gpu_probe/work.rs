//! A cohort and the batches to train it on.

use colearn_trainer::{
    model::{Batch, Columns, Draws, Kernels, Model, Objective},
    optimizer::{Adam, AdamSettings},
    random::{Purpose, Stream},
};
use tch::{Device, Kind, Tensor};

use crate::{
    options::Options,
    subject::{CLASSES, Subject},
};

/// A cohort in training.
pub(crate) struct Work {
    pub(crate) model: Box<dyn Model>,
    pub(crate) adam: Adam,
    objective: Objective,
    features: i64,
    columns: Vec<(i64, i64)>,
    samples: i64,
    steps: i64,
    seeds: Vec<u64>,
    epochs: Vec<u32>,
    options: (Kind, Device),
}

impl Work {
    pub(crate) fn new(
        options: &Options,
        members: usize,
        (kind, device): (Kind, Device),
        kernels: Kernels,
    ) -> Result<Self, String> {
        let seeds: Vec<u64> = (0..members as u64).collect();
        let Subject { model, objective, features, columns, samples, steps } =
            Subject::of(&options.network, &seeds, (kind, device), kernels)
                .ok_or_else(|| format!("`{}` is not a network: bi-eflstm or mfn", options.network))?;
        let (samples, steps) = (options.number("--samples", samples)?, options.number("--steps", steps)?);
        if samples < 2 || steps < 1 {
            return Err("--samples must be at least 2, and --steps at least 1".to_owned());
        }
        let settings = AdamSettings { learning_rate: 1e-4, ..AdamSettings::default() };
        let adam = Adam::new(model.parameters(), &vec![settings; members]).with_kernels(kernels);
        let epochs = vec![1; members];
        Ok(Self {
            model,
            adam,
            objective,
            features,
            columns,
            samples,
            steps,
            seeds,
            epochs,
            options: (kind, device),
        })
    }

    /// The batch of a step, with the same numbers on every device. In every third batch only language is present.
    pub(crate) fn equal_batch(&self, step: u32) -> Batch {
        let mut values = vec![0.0; (self.rows() * self.features) as usize * self.seeds.len()];
        Stream::new(1, Purpose::Shuffle, 1, step).fill_uniform(1.7, &mut values);
        let features = Tensor::from_slice(&values).to_kind(self.options.0).to_device(self.options.1);
        self.batch(features, if step % 3 == 2 { 1 } else { self.columns.len() })
    }

    /// A batch of arbitrary numbers, made on the device.
    pub(crate) fn random_batch(&self) -> Batch {
        let count = self.seeds.len() as i64 * self.rows() * self.features;
        self.batch(Tensor::randn([count], self.options), self.columns.len())
    }

    fn rows(&self) -> i64 {
        self.steps * self.samples
    }

    fn batch(&self, features: Tensor, present: usize) -> Batch {
        let members = self.seeds.len() as i64;
        let classes = Tensor::arange(members * self.samples, (Kind::Int64, Device::Cpu)).remainder(CLASSES);
        let labels = match self.objective {
            Objective::CrossEntropy => classes,
            Objective::L1 => classes.to_kind(self.options.0) - 4.0,
        };
        Batch {
            features: features.view([members, self.rows(), self.features]),
            columns: Columns::alike(members, &self.columns[..present]),
            steps: self.steps,
            samples: self.samples,
            labels: labels.view([members, self.samples]).to_device(self.options.1),
        }
    }

    /// Runs forward and backward; returns the loss of each member, [K].
    pub(crate) fn train(&mut self, batch: &Batch, step: u32) -> Tensor {
        self.model.train(batch, &Draws { seeds: &self.seeds, epochs: &self.epochs, step })
    }

    /// Runs the optimizer's part of a step.
    pub(crate) fn optimize(&mut self) {
        self.adam.step(self.model.parameters(), self.model.gradients());
    }

    /// Waits until the device has finished its work. Times mean nothing without this call, because a GPU receives
    /// work long before it executes it.
    pub(crate) fn synchronize(&self) {
        if let Device::Cuda(number) = self.options.1 {
            tch::Cuda::synchronize(number as i64);
        }
    }
}
