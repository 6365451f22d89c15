//! The checks that need both the header and the data behind it.

use std::ops::Range;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorInfo;

use crate::error::{DatasetError, TensorProblem};
use crate::header::Header;
use crate::layout::{LABELS, Modality, Split, Task, tensor_name};
use crate::scan;
use crate::split::{OwnedLabels, SplitIndex, as_f32};

/// A file whose header was read.
pub(crate) struct Check<'a> {
    pub(crate) path: &'a Path,
    pub(crate) map: &'a [u8],
    pub(crate) header: &'a Header,
}

impl Check<'_> {
    fn error(&self, tensor: &str, problem: TensorProblem) -> DatasetError {
        DatasetError::Tensor { path: self.path.to_owned(), tensor: tensor.to_owned(), problem }
    }

    pub(crate) fn no_unexpected_tensors(&self) -> Result<(), DatasetError> {
        // In the order of the file, so that the same file always gives the same error.
        for name in self.header.tensors.offset_keys() {
            let expected = Split::ALL.iter().any(|split| {
                name.strip_prefix(split.as_str())
                    .and_then(|rest| rest.strip_prefix('/'))
                    .is_some_and(|part| part == LABELS || self.header.modalities.iter().any(|m| m == part))
            });
            if !expected {
                return Err(self.error(&name, TensorProblem::Unexpected));
            }
        }
        Ok(())
    }

    fn info(&self, name: &str, dtype: Dtype, expected: &'static str) -> Result<&TensorInfo, DatasetError> {
        let info = self.header.tensors.info(name).ok_or_else(|| self.error(name, TensorProblem::Missing))?;
        if info.dtype != dtype {
            return Err(
                self.error(name, TensorProblem::Dtype { found: format!("{:?}", info.dtype), expected })
            );
        }
        Ok(info)
    }

    /// T, and the modalities with their D, from the training split. The other splits have to agree with them.
    pub(crate) fn training_shapes(&self) -> Result<(usize, Vec<Modality>), DatasetError> {
        let mut steps = None;
        let mut modalities = Vec::with_capacity(self.header.modalities.len());
        for part in &self.header.modalities {
            let name = tensor_name(Split::Train, part);
            let shape = &self.info(&name, Dtype::F32, "F32")?.shape;
            let wrong = |expected| self.error(&name, TensorProblem::Shape { found: shape.clone(), expected });
            let &[_, t, dim] = shape.as_slice() else {
                return Err(wrong("[samples, steps, features]".to_owned()));
            };
            if t == 0 || dim == 0 {
                return Err(wrong("at least one step and one feature".to_owned()));
            }
            let first = *steps.get_or_insert(t);
            if t != first {
                let of = &self.header.modalities[0];
                return Err(wrong(format!("{first} steps as in `{}`", tensor_name(Split::Train, of))));
            }
            modalities.push(Modality { name: part.clone(), dim });
        }
        Ok((steps.expect("the header has at least one modality"), modalities))
    }

    pub(crate) fn split(
        &self,
        split: Split,
        steps: usize,
        modalities: &[Modality],
    ) -> Result<SplitIndex, DatasetError> {
        let labels = self.labels(split)?;
        let count = labels.view().len();
        let mut features = Vec::with_capacity(modalities.len());
        for modality in modalities {
            let name = tensor_name(split, &modality.name);
            let info = self.info(&name, Dtype::F32, "F32")?;
            if info.shape != [count, steps, modality.dim] {
                let expected = format!(
                    "{:?}: the samples of `{}`, the steps and features of `train`",
                    [count, steps, modality.dim],
                    tensor_name(split, LABELS),
                );
                return Err(self.error(&name, TensorProblem::Shape { found: info.shape.clone(), expected }));
            }
            let range = self.range(info);
            let values = as_f32(&self.map[range.clone()])
                .ok_or_else(|| self.error(&name, TensorProblem::Unaligned))?;
            if let Some((count, at)) = scan::non_finite(values) {
                let sample = steps * modality.dim;
                let first = vec![at / sample, at % sample / modality.dim, at % modality.dim];
                return Err(self.error(&name, TensorProblem::NonFinite { count, first }));
            }
            features.push(range);
        }
        Ok(SplitIndex { features, labels })
    }

    /// Checks that each sample has one name, where samples have names.
    pub(crate) fn names(&self, samples: [usize; 3]) -> Result<(), DatasetError> {
        for (key, names) in self.header.names.lists() {
            for ((split, names), samples) in Split::ALL.into_iter().zip(names).zip(samples) {
                if names.len() != samples {
                    let problem = format!("has {} names for the {samples} {split} samples", names.len());
                    return Err(DatasetError::Metadata { path: self.path.to_owned(), key, problem });
                }
            }
        }
        Ok(())
    }

    fn labels(&self, split: Split) -> Result<OwnedLabels, DatasetError> {
        let name = tensor_name(split, LABELS);
        match &self.header.task {
            Task::Regression => {
                let bytes = self.label_bytes(split, &name, Dtype::F32, "F32 (regression values)")?;
                let values: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
                if let Some((count, first)) = scan::non_finite(&values) {
                    return Err(self.error(&name, TensorProblem::NonFinite { count, first: vec![first] }));
                }
                Ok(OwnedLabels::Values(values))
            }
            Task::Classification { classes } => {
                let bytes = self.label_bytes(split, &name, Dtype::I64, "I64 (class indices)")?;
                let labels: Vec<i64> = bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect();
                let classes = classes.len();
                let bad = |label: &i64| usize::try_from(*label).map_or(true, |label| label >= classes);
                if let Some(first) = labels.iter().position(bad) {
                    let count = labels.iter().filter(|label| bad(label)).count();
                    let label = labels[first];
                    let problem = TensorProblem::LabelOutOfRange { count, first, label, classes };
                    return Err(self.error(&name, problem));
                }
                Ok(OwnedLabels::Classes(labels))
            }
        }
    }

    /// The bytes of a split's labels, with at least one label.
    fn label_bytes(
        &self,
        split: Split,
        name: &str,
        dtype: Dtype,
        expected: &'static str,
    ) -> Result<&[u8], DatasetError> {
        let info = self.info(name, dtype, expected)?;
        let &[count] = info.shape.as_slice() else {
            let expected = "[samples]".to_owned();
            return Err(self.error(name, TensorProblem::Shape { found: info.shape.clone(), expected }));
        };
        if count == 0 {
            return Err(self.error(name, TensorProblem::EmptySplit(split)));
        }
        Ok(&self.map[self.range(info)])
    }

    /// The range of a tensor in the file. It is in bounds, because the header's offsets fill the file exactly.
    fn range(&self, info: &TensorInfo) -> Range<usize> {
        let (start, end) = info.data_offsets;
        self.header.data_start + start..self.header.data_start + end
    }
}
