//! The data set format of colearn: reading, checking, generating.
//!
//! A data set is one safetensors file. Tensors: `<split>/<modality>` `[N, T, D]` f32 and `<split>/labels`
//! (`[N]` i64 classes, or `[N]` f32 values) for the splits `train`, `valid` and `test`. T is the same everywhere,
//! N within a split, D for a modality. The header's `__metadata__` holds `format` (`colearn-dataset/1`),
//! `modalities` (JSON list; the order in which features are concatenated), `task` (`classification` or
//! `regression`), `classes` (JSON list of names; classification only), and the texts `source`, `licence` and
//! `preparation`. Optionally it holds `ids` and `groups`, the names of the samples: JSON such as `{"train": ["a", "b"],
//! "valid": ["c"], "test": ["d"]}`, with one name per sample. Readers of older versions ignore them.
//!
//! [`Dataset::open`] checks all of this once, so code that holds a [`Dataset`] does not check again.

#[cfg(target_endian = "big")]
compile_error!("safetensors stores little-endian numbers and this crate reads them in place");

mod check;
mod dataset;
mod error;
mod file;
pub mod generate;
mod header;
pub mod inspect;
mod layout;
mod outline;
mod path;
mod scan;
mod split;
mod write;

pub use dataset::{Dataset, Warning};
pub use error::{DatasetError, TensorProblem};
pub use file::{DataFile, DataFolder};
pub use layout::{Description, Modality, Names, Split, Task};
pub use outline::Outline;
pub use path::resolve;
pub use split::{Labels, SplitView};
pub use write::{NewDataset, NewLabels, NewSplit, write};
