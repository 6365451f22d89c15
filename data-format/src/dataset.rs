//! An opened data set: checked once, shared by the page cache, read in place.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use memmap2::Mmap;
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{DatasetError, TensorProblem};
use crate::header::Header;
use crate::layout::{Description, LABELS, Modality, Split, Task, tensor_name};
use crate::scan;

/// An open, checked data set.
///
/// The features stay in the file, which is mapped into memory: processes on one host share one copy through
/// the page cache. The file must not be changed in place while it is open (a shrunk file ends the process
/// with SIGBUS); [`crate::write`] and the scripts in `datasets/` replace a file as a whole, which is safe.
#[derive(Debug)]
pub struct Dataset {
    path: PathBuf,
    map: Mmap,
    modalities: Vec<Modality>,
    steps: usize,
    task: Task,
    description: Description,
    splits: [SplitIndex; 3],
    warnings: Vec<Warning>,
    digest: OnceLock<String>,
}

/// Where a split's tensors lie.
#[derive(Debug)]
struct SplitIndex {
    /// Bytes of the file, by modality. In bounds, aligned and a whole number of f32, as `checked_f32` saw.
    features: Vec<Range<usize>>,
    labels: OwnedLabels,
}

/// Labels are few and may lie unaligned for i64 in the file: they are copied.
#[derive(Debug)]
enum OwnedLabels {
    Classes(Vec<i64>),
    Values(Vec<f32>),
}

/// The labels of a split, by sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Labels<'a> {
    /// Classification: indices into the class names.
    Classes(&'a [i64]),
    /// Regression: finite values.
    Values(&'a [f32]),
}

/// Something that can be trained on but that a person should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Warning {
    /// The network is asked for a class it never saw.
    ClassNotInTraining {
        /// The class's name.
        class: String,
        /// Where it occurs.
        split: Split,
        /// Samples of it there.
        samples: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClassNotInTraining { class, split, samples } => {
                write!(f, "class `{class}` has {samples} {split} sample(s) and none to train on")
            }
        }
    }
}

/// One split of an open data set.
#[derive(Clone, Copy, Debug)]
pub struct SplitView<'a> {
    map: &'a [u8],
    index: &'a SplitIndex,
}

impl Dataset {
    /// Map a data set and check everything about it.
    ///
    /// # Errors
    /// [`DatasetError`] names the file and the tensor or header entry, and what to do.
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        Self::open_as(path, path)
    }

    /// Open `file`, naming it `path` in errors: a writer checks its temporary file so.
    pub(crate) fn open_as(file: &Path, path: &Path) -> Result<Self, DatasetError> {
        let map = map_file(file, path)?;
        let header = Header::parse(path, &map)?;
        let check = Check { path, map: &map, header: &header };
        check.no_unexpected_tensors()?;

        let (steps, modalities) = check.training_shapes()?;
        let splits = [
            check.split(Split::Train, steps, &modalities)?,
            check.split(Split::Valid, steps, &modalities)?,
            check.split(Split::Test, steps, &modalities)?,
        ];
        let warnings = warnings(&header.task, &splits);
        let Header { task, description, .. } = header;
        let digest = OnceLock::new();
        Ok(Self {
            path: path.to_owned(),
            map,
            modalities,
            steps,
            task,
            description,
            splits,
            warnings,
            digest,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's size in bytes.
    #[must_use]
    pub fn file_size(&self) -> u64 {
        self.map.len() as u64
    }

    /// The modalities in the order in which their features are concatenated.
    #[must_use]
    pub fn modalities(&self) -> &[Modality] {
        &self.modalities
    }

    /// Time steps of every sample (T).
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// What the labels mean.
    #[must_use]
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Where the data comes from.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// One split.
    #[must_use]
    pub fn split(&self, split: Split) -> SplitView<'_> {
        let index = match split {
            Split::Train => &self.splits[0],
            Split::Valid => &self.splits[1],
            Split::Test => &self.splits[2],
        };
        SplitView { map: &self.map, index }
    }

    /// What a person should know before training on it.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// SHA-256 of the whole file in lower-case hexadecimal, as `sha256sum` prints it.
    ///
    /// Computed at the first call (it reads the whole file: about a second a gigabyte) and then kept.
    #[must_use]
    pub fn digest(&self) -> &str {
        self.digest.get_or_init(|| {
            Sha256::digest(&self.map[..]).iter().fold(String::with_capacity(64), |mut text, byte| {
                write!(text, "{byte:02x}").expect("writing to a string does not fail");
                text
            })
        })
    }
}

impl<'a> SplitView<'a> {
    /// Number of samples (N).
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an empty split is refused at opening")]
    pub fn len(&self) -> usize {
        self.labels().len()
    }

    /// The features of one modality, in place: [N, T, D] in C order. The index is that of [`Dataset::modalities`].
    ///
    /// # Panics
    /// Where there is no such modality.
    #[must_use]
    pub fn features(&self, modality: usize) -> &'a [f32] {
        let bytes = &self.map[self.index.features[modality].clone()];
        as_f32(bytes).expect("alignment was checked at opening and a map does not move")
    }

    /// The labels, by sample.
    #[must_use]
    pub fn labels(&self) -> Labels<'a> {
        self.index.labels.view()
    }
}

impl Labels<'_> {
    /// Number of samples.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an empty split is refused at opening")]
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(labels) => labels.len(),
            Self::Values(labels) => labels.len(),
        }
    }
}

impl OwnedLabels {
    fn view(&self) -> Labels<'_> {
        match self {
            Self::Classes(labels) => Labels::Classes(labels),
            Self::Values(labels) => Labels::Values(labels),
        }
    }
}

fn map_file(file: &Path, path: &Path) -> Result<Mmap, DatasetError> {
    let failed = |source| DatasetError::Io { path: path.to_owned(), verb: "read", source };
    let opened = File::open(file).map_err(|source| match source.kind() {
        ErrorKind::NotFound => DatasetError::Missing { path: path.to_owned(), remedy: remedy(path) },
        _ => failed(source),
    })?;
    if !opened.metadata().map_err(failed)?.is_file() {
        return Err(failed(ErrorKind::IsADirectory.into()));
    }
    // SAFETY: the map is read-only and the file is, by the contract of `Dataset`, replaced but never
    // changed in place while it is open.
    unsafe { Mmap::map(&opened) }.map_err(failed)
}

/// How to obtain a data set that is not there, by its name.
fn remedy(path: &Path) -> &'static str {
    match path.file_stem().and_then(|stem| stem.to_str()) {
        Some("demo") => "run `colearn data generate` to make the demo set",
        Some("utd-mhad") => "datasets/README.md says how to obtain and prepare it",
        _ => "check the name and the data folder; datasets/README.md says how sets are made",
    }
}

/// The checks that need the header and the bytes.
struct Check<'a> {
    path: &'a Path,
    map: &'a [u8],
    header: &'a Header,
}

impl Check<'_> {
    fn error(&self, tensor: &str, problem: TensorProblem) -> DatasetError {
        DatasetError::Tensor { path: self.path.to_owned(), tensor: tensor.to_owned(), problem }
    }

    fn no_unexpected_tensors(&self) -> Result<(), DatasetError> {
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

    /// T and the modalities with their D, as the training split has them: what the others have to agree with.
    fn training_shapes(&self) -> Result<(usize, Vec<Modality>), DatasetError> {
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

    fn split(&self, split: Split, steps: usize, modalities: &[Modality]) -> Result<SplitIndex, DatasetError> {
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

    fn labels(&self, split: Split) -> Result<OwnedLabels, DatasetError> {
        let name = tensor_name(split, LABELS);
        let (info, regression) = match &self.header.task {
            Task::Classification { .. } => (self.info(&name, Dtype::I64, "I64 (class indices)")?, false),
            Task::Regression => (self.info(&name, Dtype::F32, "F32 (regression values)")?, true),
        };
        let &[count] = info.shape.as_slice() else {
            let expected = "[samples]".to_owned();
            return Err(self.error(&name, TensorProblem::Shape { found: info.shape.clone(), expected }));
        };
        if count == 0 {
            return Err(self.error(&name, TensorProblem::EmptySplit(split)));
        }
        let bytes = &self.map[self.range(info)];
        if regression {
            let values: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
            if let Some((count, first)) = scan::non_finite(&values) {
                return Err(self.error(&name, TensorProblem::NonFinite { count, first: vec![first] }));
            }
            return Ok(OwnedLabels::Values(values));
        }
        let labels: Vec<i64> = bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect();
        let Task::Classification { classes } = &self.header.task else {
            unreachable!("regression was handled above");
        };
        let classes = classes.len();
        let bad = |label: &i64| usize::try_from(*label).map_or(true, |label| label >= classes);
        if let Some(first) = labels.iter().position(bad) {
            let count = labels.iter().filter(|label| bad(label)).count();
            let label = labels[first];
            return Err(self.error(&name, TensorProblem::LabelOutOfRange { count, first, label, classes }));
        }
        Ok(OwnedLabels::Classes(labels))
    }

    /// Where in the file a tensor lies; in bounds because the header's places fill the file exactly.
    fn range(&self, info: &TensorInfo) -> Range<usize> {
        let (start, end) = info.data_offsets;
        self.header.data_start + start..self.header.data_start + end
    }
}

/// The same bytes as numbers, if they start where an f32 may.
fn as_f32(bytes: &[u8]) -> Option<&[f32]> {
    // SAFETY: every bit pattern is an f32; `align_to` takes care of bounds and alignment.
    let (before, values, after) = unsafe { bytes.align_to::<f32>() };
    (before.is_empty() && after.is_empty()).then_some(values)
}

fn warnings(task: &Task, splits: &[SplitIndex; 3]) -> Vec<Warning> {
    let Task::Classification { classes } = task else {
        return Vec::new();
    };
    let counts = splits.each_ref().map(|split| {
        let mut counts = vec![0; classes.len()];
        if let OwnedLabels::Classes(labels) = &split.labels {
            for &label in labels {
                counts[usize::try_from(label).expect("labels were checked")] += 1;
            }
        }
        counts
    });
    let mut warnings = Vec::new();
    for (index, class) in classes.iter().enumerate() {
        for (split, counts_here) in Split::ALL.into_iter().zip(&counts) {
            let samples = counts_here[index];
            if samples > 0 && counts[0][index] == 0 {
                warnings.push(Warning::ClassNotInTraining { class: class.clone(), split, samples });
            }
        }
    }
    warnings
}
