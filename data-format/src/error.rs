//! What can be wrong with a data set, in words that say where and what to do.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A data set can not be opened, or not be written.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// There is no file.
    #[error("no data set at {}: {remedy}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// How to obtain it.
        remedy: &'static str,
    },
    /// The file, or what the name would lead to, is not under the folder that data sets are confined to. Nothing
    /// outside was looked at.
    #[error(
        "data set `{name}` is outside this worker's data folder: put it there and give its bare name, \
         or start the worker with --allow-data-outside"
    )]
    Outside {
        /// As the sweep has it.
        name: String,
    },
    /// There is something else than a file.
    #[error("{} is {kind}; a data set is a regular file", path.display())]
    NotAFile {
        /// Where it lies.
        path: PathBuf,
        /// What it is, with its article.
        kind: &'static str,
    },
    /// The operating system refuses.
    #[error("cannot {verb} {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: `read`, `write`, ...
        verb: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The header can not be read.
    #[error("{} is not a safetensors file: {reason}", path.display())]
    NotSafetensors {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file has another size than its header says.
    #[error("{} is damaged: its header asks for {expected} bytes, the file has {found}; copy or make it again", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// Bytes by the header.
        expected: u64,
        /// Bytes on disk.
        found: u64,
    },
    /// A safetensors file of another kind, or of a later version.
    #[error("{} has {}, expected `colearn-dataset/1`; \
             `colearn data generate` and the scripts in datasets/ write it", path.display(),
             found.as_ref().map_or_else(|| "another format".to_owned(), |f| format!("format `{f}`")))]
    Format {
        /// The file.
        path: PathBuf,
        /// Its `format` entry, if that is one of a data set of ours.
        found: Option<String>,
    },
    /// An entry of the header's metadata is missing or wrong.
    #[error("header entry `{key}` of {}: {problem}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// Which entry.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A tensor is missing or wrong.
    #[error("tensor `{tensor}` of {}: {problem}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// Its full name, such as `train/audio`.
        tensor: String,
        /// What is wrong with it.
        problem: TensorProblem,
    },
}

/// What is wrong with one tensor.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum TensorProblem {
    /// The header's modalities ask for it.
    #[error("missing; every split needs labels and all modalities")]
    Missing,
    /// Neither labels nor a modality of the header.
    #[error("unexpected; modalities are those in the header entry `modalities`")]
    Unexpected,
    /// Wrong element type.
    #[error("holds {found}, expected {expected}")]
    Dtype {
        /// The type in the file, in safetensors' words.
        found: String,
        /// The type of the format.
        expected: &'static str,
    },
    /// Wrong shape, or one that disagrees with another tensor.
    #[error("has shape {found:?}, expected {expected}")]
    Shape {
        /// The shape in the file.
        found: Vec<usize>,
        /// What would fit, and with what it has to agree.
        expected: String,
    },
    /// A split without samples.
    #[error("the {0} split is empty; every split needs at least one sample")]
    EmptySplit(super::Split),
    /// Starts at an address that a number of its type can not have.
    #[error("starts at an odd place in the file; write it again with a library that aligns the header")]
    Unaligned,
    /// NaN or infinite.
    #[error(
        "{count} value(s) are NaN or infinite, the first at {first:?}; replace them where the set is prepared"
    )]
    NonFinite {
        /// How many.
        count: usize,
        /// Index of the first: sample, then time step and feature where the tensor has them.
        first: Vec<usize>,
    },
    /// A class index without a class.
    #[error("{count} label(s) are out of range, the first is {label} at sample {first}; expected 0 to {}", classes - 1)]
    LabelOutOfRange {
        /// How many.
        count: usize,
        /// Sample of the first.
        first: usize,
        /// Its value.
        label: i64,
        /// Number of class names in the header.
        classes: usize,
    },
    /// Data handed to the writer that does not fill its shape.
    #[error("was given {found} value(s), expected {expected} to fill its shape")]
    Length {
        /// Values given.
        found: usize,
        /// Product of the shape.
        expected: usize,
    },
}
