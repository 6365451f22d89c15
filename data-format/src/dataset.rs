//! An open data set: checked once, shared through the page cache, read in place.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use memmap2::Mmap;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::check::Check;
use crate::error::DatasetError;
use crate::file::DataFile;
use crate::header::Header;
use crate::layout::{Description, Modality, Names, Split, Task};
use crate::split::{OwnedLabels, SplitIndex, SplitView};

/// An open, checked data set.
///
/// The features stay in the file, which is mapped into memory: processes on one host share one copy through the page
/// cache. The file must not be changed in place while it is open (if it shrinks, the process ends with SIGBUS).
/// [`crate::write`] and the scripts in `datasets/` replace a file as a whole, which is safe.
#[derive(Debug)]
pub struct Dataset {
    path: PathBuf,
    map: Mmap,
    modalities: Vec<Modality>,
    steps: usize,
    task: Task,
    description: Description,
    names: Names,
    splits: [SplitIndex; 3],
    warnings: Vec<Warning>,
    digest: OnceLock<String>,
}

/// A problem that does not prevent training but that the user should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Warning {
    /// The network is tested on a class that does not occur in training.
    ClassNotInTraining {
        /// The name of the class.
        class: String,
        /// The split in which the class occurs.
        split: Split,
        /// Number of samples of the class in this split.
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

impl Dataset {
    /// Opens a data set at any path and checks everything about it.
    ///
    /// # Errors
    /// [`DatasetError`] names the file, the tensor or header entry, and the remedy.
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        Self::read(DataFile::open(path)?)
    }

    /// Maps an open file and checks everything about it.
    ///
    /// # Errors
    /// As [`Dataset::open`].
    pub fn read(file: DataFile) -> Result<Self, DatasetError> {
        let (path, file) = file.into_parts();
        // SAFETY: the map is read-only. By the contract of `Dataset` the file may be replaced, but is never changed
        // in place while it is open.
        let map = match unsafe { Mmap::map(&file) } {
            Ok(map) => map,
            Err(source) => return Err(DatasetError::Io { path, verb: "read", source }),
        };
        let header = Header::parse(&path, &map, map.len() as u64)?;
        let check = Check { path: &path, map: &map, header: &header };
        check.no_unexpected_tensors()?;

        let (steps, modalities) = check.training_shapes()?;
        let splits = [
            check.split(Split::Train, steps, &modalities)?,
            check.split(Split::Valid, steps, &modalities)?,
            check.split(Split::Test, steps, &modalities)?,
        ];
        check.names(splits.each_ref().map(|split| split.labels.view().len()))?;
        let warnings = warnings(&header.task, &splits);
        let Header { task, description, names, .. } = header;
        let digest = OnceLock::new();
        Ok(Self { path, map, modalities, steps, task, description, names, splits, warnings, digest })
    }

    /// The path of the file.
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

    /// The origin of the data.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The names of the samples.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
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

    /// Problems that the user should know before training.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// SHA-256 of the whole file in lower-case hexadecimal, as `sha256sum` prints it.
    ///
    /// Computed at the first call and then kept. The first call reads the whole file: about one second per gigabyte.
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
