//! A data set as tensors on the training device.

use std::cell::OnceCell;

use colearn_core::settings::DataShape;
use colearn_data_format::{Dataset, Labels, Modality, Names, Split, Task};
use tch::{Device, Kind, Tensor};

use super::replacement::{FeatureStatistics, normal_quantiles};
use crate::{
    device::TrainingDevice,
    model::{Kernels, Objective},
};

/// A data set on the device where it is used for training.
///
/// On the CPU its feature tensors are views of the mapped file: all trainers of a host share one copy through the
/// page cache. On other devices they are copies.
#[derive(Debug)]
pub struct DataSource {
    // The tensors must be dropped first: fields are dropped in the order of their declaration, and on the CPU the
    // tensors point into the map that `dataset` holds.
    splits: [SplitTensors; 3],
    /// By modality, computed when they are first used; so is the table of normal numbers.
    statistics: Vec<OnceCell<FeatureStatistics>>,
    normal_quantiles: OnceCell<Tensor>,
    device: Device,
    kernels: Kernels,
    dataset: Dataset,
}

/// One split.
#[derive(Debug)]
pub(super) struct SplitTensors {
    /// One tensor [N, T, D] per modality.
    pub(super) features: Vec<Tensor>,
    /// [N] on the device: classes (i64) or numbers (f32).
    pub(super) labels: Tensor,
    /// The labels in host memory.
    pub(super) truth: Truth,
}

/// The labels of a split.
#[derive(Debug)]
pub(super) enum Truth {
    /// Indices into the names of the classes.
    Classes(Vec<i64>),
    /// The numbers that a regression predicts.
    Values(Vec<f32>),
}

impl SplitTensors {
    /// Number of samples.
    pub(super) fn len(&self) -> usize {
        match &self.truth {
            Truth::Classes(classes) => classes.len(),
            Truth::Values(numbers) => numbers.len(),
        }
    }
}

impl DataSource {
    /// Copies a data set to a device.
    #[must_use]
    pub fn new(dataset: Dataset, device: &TrainingDevice) -> Self {
        let TrainingDevice { device, kernels, .. } = *device;
        let splits = [Split::Train, Split::Valid, Split::Test].map(|split| tensors(&dataset, split, device));
        let statistics = dataset.modalities().iter().map(|_| OnceCell::new()).collect();
        Self { splits, statistics, normal_quantiles: OnceCell::new(), device, kernels, dataset }
    }

    pub(super) fn train(&self) -> &SplitTensors {
        &self.splits[0]
    }

    pub(super) fn valid(&self) -> &SplitTensors {
        &self.splits[1]
    }

    pub(super) fn test(&self) -> &SplitTensors {
        &self.splits[2]
    }

    pub(super) fn modalities(&self) -> &[Modality] {
        self.dataset.modalities()
    }

    /// The names of the samples.
    pub(super) fn names(&self) -> &Names {
        self.dataset.names()
    }

    /// SHA-256 of the file.
    pub(super) fn digest(&self) -> &str {
        self.dataset.digest()
    }

    /// The mean and the deviation of a modality's features in the training split.
    pub(super) fn statistics(&self, modality: usize) -> &FeatureStatistics {
        self.statistics[modality].get_or_init(|| {
            let values = self.dataset.split(Split::Train).features(modality);
            let FeatureStatistics { mean, deviation } =
                FeatureStatistics::of(values, self.modalities()[modality].dim);
            let [mean, deviation] = [mean, deviation].map(|tensor| tensor.to_device(self.device));
            FeatureStatistics { mean, deviation }
        })
    }

    /// The table of [`normal_quantiles`], on the device.
    pub(super) fn normal_quantiles(&self) -> &Tensor {
        self.normal_quantiles.get_or_init(|| normal_quantiles().to_device(self.device))
    }

    /// The properties of the data set that settings must fit.
    pub(super) fn shape(&self) -> DataShape {
        DataShape {
            name: self.dataset.path().display().to_string(),
            modalities: self.modalities().iter().map(|modality| modality.name.clone()).collect(),
            train_samples: self.train().len(),
        }
    }

    pub(super) fn steps(&self) -> i64 {
        self.dataset.steps() as i64
    }

    pub(super) fn task(&self) -> &Task {
        self.dataset.task()
    }

    /// The loss that training minimises.
    pub(super) fn objective(&self) -> Objective {
        match self.task() {
            Task::Classification { .. } => Objective::CrossEntropy,
            Task::Regression => Objective::L1,
        }
    }

    /// Width of a network's output.
    pub(super) fn outputs(&self) -> i64 {
        match self.task() {
            Task::Classification { classes } => classes.len() as i64,
            Task::Regression => 1,
        }
    }

    pub(super) fn device(&self) -> Device {
        self.device
    }

    /// The kernels for networks and optimizers on this device.
    pub(super) fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// Width of all modalities together.
    pub(super) fn width(&self) -> i64 {
        self.modalities().iter().map(|modality| modality.dim as i64).sum()
    }

    /// The columns of a modality in the concatenated features, as (first, count).
    pub(super) fn columns(&self, modality: usize) -> (i64, i64) {
        let before = &self.modalities()[..modality];
        (before.iter().map(|modality| modality.dim as i64).sum(), self.modalities()[modality].dim as i64)
    }
}

fn tensors(dataset: &Dataset, split: Split, device: Device) -> SplitTensors {
    let view = dataset.split(split);
    let (labels, truth) = match view.labels() {
        Labels::Classes(classes) => (Tensor::from_slice(classes), Truth::Classes(classes.to_vec())),
        Labels::Values(numbers) => (Tensor::from_slice(numbers), Truth::Values(numbers.to_vec())),
    };
    let features = |modality: usize| {
        let values = view.features(modality);
        let size = [view.len(), dataset.steps(), dataset.modalities()[modality].dim].map(|n| n as i64);
        let bytes = values.as_ptr().cast::<u8>();
        let strides = [size[1] * size[2], size[2], 1];
        // SAFETY: the slice has the product of `size` floats in C order and lies in the file's map, which
        // `DataSource` keeps longer than its tensors. The map is read-only, and nothing writes to these tensors:
        // they are only selected from.
        let tensor = unsafe { Tensor::from_blob(bytes, &size, &strides, Kind::Float, Device::Cpu) };
        tensor.to_device(device)
    };
    SplitTensors {
        features: (0..dataset.modalities().len()).map(features).collect(),
        labels: labels.to_device(device),
        truth,
    }
}
