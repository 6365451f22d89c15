//! The contents of a data set's header, without its data.

use std::io::Read as _;

use crate::check::Check;
use crate::error::DatasetError;
use crate::file::DataFile;
use crate::header::{Header, LENGTH_BYTES, MAX_HEADER_BYTES};
use crate::layout::{Split, tensor_name};

/// The contents of a data set's header. The data behind the header is not checked; [`crate::Dataset`] checks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The modalities, in the order in which their features are concatenated.
    pub modalities: Vec<String>,
    /// Number of samples of the training split.
    pub train_samples: usize,
}

impl Outline {
    /// Reads only the header of a file. The file is not mapped, so it may change in the meantime without harm.
    ///
    /// # Errors
    /// If the file cannot be read or its header is not that of a data set.
    pub fn read(file: DataFile) -> Result<Self, DatasetError> {
        let (path, file) = file.into_parts();
        let failed = |source| DatasetError::Io { path: path.clone(), verb: "read", source };
        let file_size = file.metadata().map_err(failed)?.len();
        let mut bytes = Vec::new();
        (&file).take(LENGTH_BYTES as u64).read_to_end(&mut bytes).map_err(failed)?;
        if let Some((length, _)) = bytes.split_first_chunk::<LENGTH_BYTES>() {
            let length = u64::from_le_bytes(*length).min(MAX_HEADER_BYTES);
            (&file).take(length).read_to_end(&mut bytes).map_err(failed)?;
        }
        let header = Header::parse(&path, &bytes, file_size)?;
        let (_, modalities) = Check { path: &path, map: &bytes, header: &header }.training_shapes()?;
        let first = modalities.first().map(|modality| tensor_name(Split::Train, &modality.name));
        let shape = first.and_then(|name| header.tensors.info(&name).map(|info| info.shape.clone()));
        let train_samples = shape.and_then(|shape| shape.first().copied()).unwrap_or(0);
        Ok(Self { modalities: header.modalities, train_samples })
    }
}
