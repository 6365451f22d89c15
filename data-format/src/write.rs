//! Writes a data set as a whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::dataset::Dataset;
use crate::error::{DatasetError, TensorProblem};
use crate::file::DataFile;
use crate::header::{LENGTH_BYTES, MAX_HEADER_BYTES};
use crate::layout::{BySplit, Description, FORMAT, LABELS, Modality, Names, Split, Task, tensor_name};

/// A data set in memory, to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDataset {
    /// The modalities in order.
    pub modalities: Vec<Modality>,
    /// Time steps of every sample (T).
    pub steps: usize,
    /// What the labels mean.
    pub task: Task,
    /// The origin of the data.
    pub description: Description,
    /// The names of the samples.
    pub names: Names,
    /// Samples for training.
    pub train: NewSplit,
    /// Samples that select the epoch whose weights are tested.
    pub valid: NewSplit,
    /// Samples for the reported metrics.
    pub test: NewSplit,
}

/// One split of a [`NewDataset`].
#[derive(Clone, Debug, PartialEq)]
pub struct NewSplit {
    /// One `[N, T, D]` in C order per modality.
    pub features: Vec<Vec<f32>>,
    /// One label per sample; their number is N.
    pub labels: NewLabels,
}

/// The labels of a [`NewSplit`].
#[derive(Clone, Debug, PartialEq)]
pub enum NewLabels {
    /// Classification: indices into the class names.
    Classes(Vec<i64>),
    /// Regression: finite values.
    Values(Vec<f32>),
}

/// Writes a data set. Makes its folder if it does not exist.
///
/// The file is written beside `path`, synced, and opened with every check of [`Dataset::open`]; then it is renamed.
/// `path` never holds half a data set, nor one that cannot be opened. The same data set always gives the same bytes.
///
/// # Errors
/// [`DatasetError`] if the data breaks a rule of the format or the file cannot be written. The error names `path`,
/// which is left unchanged.
pub fn write(path: &Path, dataset: &NewDataset) -> Result<(), DatasetError> {
    let tensors = tensors(path, dataset)?;
    let header = header(dataset, &tensors);
    if header.len() > LENGTH_BYTES + MAX_HEADER_BYTES as usize {
        let problem = format!(
            "makes the header {} bytes long, and it has at most {MAX_HEADER_BYTES}: leave the names of the samples out",
            header.len()
        );
        return Err(DatasetError::Metadata { path: path.to_owned(), key: "ids", problem });
    }
    let failed = |source| DatasetError::Io { path: path.to_owned(), verb: "write", source };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(failed)?;
    let temporary = Temporary::beside(folder, path).map_err(failed)?;
    write_file(&temporary.path, &header, &tensors).map_err(failed)?;
    Dataset::read(DataFile::open_as(&temporary.path, path)?)?;
    fs::rename(&temporary.path, path).map_err(failed)?;
    // The rename itself is on disk only after the folder is synced.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// One tensor to be written.
struct Tensor<'a> {
    name: String,
    shape: Vec<usize>,
    values: Values<'a>,
}

enum Values<'a> {
    F32(&'a [f32]),
    I64(&'a [i64]),
}

impl Values<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    fn dtype(&self) -> &'static str {
        match self {
            Self::F32(_) => "F32",
            Self::I64(_) => "I64",
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::F32(values) => size_of_val(*values),
            Self::I64(values) => size_of_val(*values),
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::F32(values) => values.iter().try_for_each(|v| out.write_all(&v.to_le_bytes())),
            Self::I64(values) => values.iter().try_for_each(|v| out.write_all(&v.to_le_bytes())),
        }
    }
}

fn tensors<'a>(path: &Path, dataset: &'a NewDataset) -> Result<Vec<Tensor<'a>>, DatasetError> {
    let splits = [&dataset.train, &dataset.valid, &dataset.test];
    let mut labels = Vec::new();
    let mut features = Vec::new();
    for (split, data) in Split::ALL.into_iter().zip(splits) {
        let values = match &data.labels {
            NewLabels::Classes(labels) => Values::I64(labels),
            NewLabels::Values(labels) => Values::F32(labels),
        };
        let count = values.len();
        labels.push(Tensor { name: tensor_name(split, LABELS), shape: vec![count], values });
        for (index, modality) in dataset.modalities.iter().enumerate() {
            let name = tensor_name(split, &modality.name);
            let values = data.features.get(index).map_or(&[][..], Vec::as_slice);
            let expected = count.saturating_mul(dataset.steps).saturating_mul(modality.dim);
            if values.len() != expected {
                let problem = TensorProblem::Length { found: values.len(), expected };
                return Err(DatasetError::Tensor { path: path.to_owned(), tensor: name, problem });
            }
            let shape = vec![count, dataset.steps, modality.dim];
            features.push(Tensor { name, shape, values: Values::F32(values) });
        }
    }
    // Labels come first: these 8-byte numbers then are at multiples of 8, as other readers may expect.
    labels.extend(features);
    Ok(labels)
}

/// The header entry of one tensor, as safetensors defines it.
#[derive(Serialize)]
struct Info<'a> {
    dtype: &'static str,
    shape: &'a [usize],
    data_offsets: [usize; 2],
}

/// The whole header. It uses ordered maps, so that the same data set has the same bytes and digest everywhere. The
/// library keeps the metadata in a hash map, which has no order.
#[derive(Serialize)]
struct Header<'a> {
    #[serde(rename = "__metadata__")]
    metadata: BTreeMap<&'static str, String>,
    #[serde(flatten)]
    tensors: BTreeMap<&'a str, Info<'a>>,
}

/// The safetensors header, with its length in front, padded so that tensors are aligned.
fn header(dataset: &NewDataset, tensors: &[Tensor<'_>]) -> Vec<u8> {
    let json_list = |names: &[&str]| serde_json::to_string(names).expect("texts are JSON");
    let names: Vec<&str> = dataset.modalities.iter().map(|modality| modality.name.as_str()).collect();
    let mut metadata = BTreeMap::from([
        ("format", FORMAT.to_owned()),
        ("modalities", json_list(&names)),
        ("source", dataset.description.source.clone()),
        ("licence", dataset.description.licence.clone()),
        ("preparation", dataset.description.preparation.clone()),
    ]);
    for (key, [train, valid, test]) in dataset.names.lists() {
        let [train, valid, test] = [train, valid, test].map(Clone::clone);
        let text = serde_json::to_string(&BySplit { train, valid, test });
        metadata.insert(key, text.expect("texts are JSON"));
    }
    match &dataset.task {
        Task::Classification { classes } => {
            let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
            metadata.insert("task", "classification".to_owned());
            metadata.insert("classes", json_list(&classes));
        }
        Task::Regression => {
            metadata.insert("task", "regression".to_owned());
        }
    }

    let mut end = 0;
    let tensors = tensors.iter().map(|tensor| {
        let start = end;
        end += tensor.values.size();
        let info = Info { dtype: tensor.values.dtype(), shape: &tensor.shape, data_offsets: [start, end] };
        (tensor.name.as_str(), info)
    });
    let header = Header { metadata, tensors: tensors.collect() };
    let mut text = serde_json::to_vec(&header).expect("texts and numbers are JSON");
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    bytes
}

fn write_file(path: &Path, header: &[u8], tensors: &[Tensor<'_>]) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    out.write_all(header)?;
    for tensor in tensors {
        tensor.values.write(&mut out)?;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// A file that is removed on drop, unless it was renamed before.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// A file with a hidden name in the same folder that no other writer uses.
    fn beside(folder: &Path, path: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Self { path: folder.join(format!(".{name}.{}-{number}.tmp", std::process::id())) })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After the rename the file no longer exists. Otherwise an error cannot be handled here.
        let _ = fs::remove_file(&self.path);
    }
}
