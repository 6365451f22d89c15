//! Errors of data sets. Each names the place and the remedy.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A data set cannot be opened or written.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// There is no file.
    #[error("no data set at {}: {remedy}", path.display())]
    Missing {
        /// The path where the file was expected.
        path: PathBuf,
        /// How to obtain it.
        remedy: String,
    },
    /// The file, or the target of a link, is not under the folder that data sets are confined to. Nothing outside the
    /// folder was examined.
    #[error(
        "data set `{name}` is outside this worker's data folder: put it there and give its bare name, \
         or start the worker with --allow-data-outside"
    )]
    Outside {
        /// The name as the sweep file has it.
        name: String,
    },
    /// The path is not a regular file.
    #[error("{} is {kind}; a data set is a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// The kind of the object, with its article.
        kind: &'static str,
    },
    /// The operating system reports an error.
    #[error("cannot {verb} {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operation that failed: `read`, `write`, ...
        verb: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The header cannot be read.
    #[error("{} is not a safetensors file: {reason}", path.display())]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with the header.
        reason: String,
    },
    /// The file has another size than its header says.
    #[error("{} is damaged: its header needs {expected} bytes, the file has {found}; copy or make it again", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Bytes that the header needs.
        expected: u64,
        /// Bytes of the file.
        found: u64,
    },
    /// A safetensors file that is not a data set, or has a later version of the format.
    #[error("{} has {}, expected `colearn-dataset/1`; \
             `colearn data generate` and the scripts in datasets/ write it", path.display(),
             found.as_ref().map_or_else(|| "another format".to_owned(), |f| format!("format `{f}`")))]
    Format {
        /// The file.
        path: PathBuf,
        /// Its `format` entry, if that names a colearn data set.
        found: Option<String>,
    },
    /// An entry of the header's metadata is missing or wrong.
    #[error("header entry `{key}` of {}: {problem}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The key of the entry.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor is missing or wrong.
    #[error("tensor `{tensor}` of {}: {problem}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// Full name of the tensor, such as `train/audio`.
        tensor: String,
        /// What is wrong with it.
        problem: TensorProblem,
    },
}

/// What is wrong with one tensor.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum TensorProblem {
    /// The header's modalities require this tensor.
    #[error("missing; every split needs labels and all modalities")]
    Missing,
    /// The tensor is neither labels nor a modality of the header.
    #[error("unexpected; modalities are those in the header entry `modalities`")]
    Unexpected,
    /// Wrong element type.
    #[error("holds {found}, expected {expected}")]
    Dtype {
        /// The type in the file, as safetensors names it.
        found: String,
        /// The type that the format requires.
        expected: &'static str,
    },
    /// Wrong shape, or one that disagrees with another tensor.
    #[error("has shape {found:?}, expected {expected}")]
    Shape {
        /// The shape in the file.
        found: Vec<usize>,
        /// The expected shape, and what it has to agree with.
        expected: String,
    },
    /// A split without samples.
    #[error("the {0} split is empty; every split needs at least one sample")]
    EmptySplit(super::Split),
    /// The tensor starts at an address that is not aligned for its type.
    #[error(
        "starts at an unaligned offset of the file; write it again with a library that aligns the header"
    )]
    Unaligned,
    /// NaN or infinite.
    #[error(
        "{count} value(s) are NaN or infinite, the first at {first:?}; replace them where the set is prepared"
    )]
    NonFinite {
        /// Number of such values.
        count: usize,
        /// Index of the first one: sample, then time step and feature if the tensor has them.
        first: Vec<usize>,
    },
    /// A class index that no class has.
    #[error("{count} label(s) are out of range, the first is {label} at sample {first}; expected 0 to {}", classes - 1)]
    LabelOutOfRange {
        /// Number of such labels.
        count: usize,
        /// Sample of the first one.
        first: usize,
        /// Label of the first one.
        label: i64,
        /// Number of class names in the header.
        classes: usize,
    },
    /// The data given to the writer does not fill its shape.
    #[error("was given {found} value(s), expected {expected} to fill its shape")]
    Length {
        /// Number of values given.
        found: usize,
        /// Product of the shape.
        expected: usize,
    },
}
