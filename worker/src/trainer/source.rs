//! A data set as tensors on the training device.

use std::path::Path;

use colearn_core::failure::{Failure, FailureReason};
use colearn_data_format::{Dataset, Labels, Modality, Split, Task};
use tch::{Device, Kind, Tensor};

/// A data set on the device that it is trained on.
///
/// On the CPU its feature tensors are views of the mapped file: trainers on one host share one copy of it
/// through the page cache. Elsewhere they are copies.
#[derive(Debug)]
pub struct Source {
    // The tensors go first: fields are dropped in the order of their declaration, and on the CPU the tensors
    // point into the map that `dataset` holds.
    splits: [SplitTensors; 3],
    classes: usize,
    device: Device,
    dataset: Dataset,
}

/// One split.
#[derive(Debug)]
pub(super) struct SplitTensors {
    /// By modality, [N, T, D].
    pub(super) features: Vec<Tensor>,
    /// [N] on the device.
    pub(super) labels: Tensor,
    /// The same in memory.
    pub(super) truth: Vec<i64>,
}

impl SplitTensors {
    /// Number of samples.
    pub(super) fn len(&self) -> usize {
        self.truth.len()
    }
}

impl Source {
    /// Opens a data set.
    ///
    /// # Errors
    /// [`FailureReason::Data`] when it is missing, malformed or not for classification.
    pub fn open(path: &Path, device: Device) -> Result<Self, Failure> {
        let dataset =
            Dataset::open(path).map_err(|error| Failure::new(FailureReason::Data, error.to_string()))?;
        let Task::Classification { classes } = dataset.task() else {
            let message = format!("{} is for regression, and a bi-eflstm only classifies", path.display());
            return Err(Failure::new(FailureReason::Data, message));
        };
        let classes = classes.len();
        let splits = [Split::Train, Split::Valid, Split::Test].map(|split| tensors(&dataset, split, device));
        Ok(Self { splits, classes, device, dataset })
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

    /// SHA-256 of the file.
    pub(super) fn digest(&self) -> &str {
        self.dataset.digest()
    }

    pub(super) fn path(&self) -> &Path {
        self.dataset.path()
    }

    pub(super) fn steps(&self) -> i64 {
        self.dataset.steps() as i64
    }

    pub(super) fn classes(&self) -> usize {
        self.classes
    }

    pub(super) fn device(&self) -> Device {
        self.device
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
    let Labels::Classes(labels) = view.labels() else {
        unreachable!("the labels of a classification data set are classes");
    };
    let features = |modality: usize| {
        let values = view.features(modality);
        let size = [view.len(), dataset.steps(), dataset.modalities()[modality].dim].map(|n| n as i64);
        let bytes = values.as_ptr().cast::<u8>();
        let strides = [size[1] * size[2], size[2], 1];
        // SAFETY: the slice has the product of `size` floats in C order and lies in the file's map, which
        // `Source` keeps longer than its tensors. The map is read-only, and nothing writes to these tensors:
        // they are only ever selected from.
        let tensor = unsafe { Tensor::from_blob(bytes, &size, &strides, Kind::Float, Device::Cpu) };
        tensor.to_device(device)
    };
    SplitTensors {
        features: (0..dataset.modalities().len()).map(features).collect(),
        labels: Tensor::from_slice(labels).to_device(device),
        truth: labels.to_vec(),
    }
}
