//! The folder in which a program keeps what another attempt needs, and the history that the runner keeps beside it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use colearn_core::id::TaskId;
use colearn_trainer_protocol::checkpoint::{FetchedFiles, Store, remove_folder};

use crate::{folder::AttemptFolder, history::History};

/// The checkpoint folder of an attempt.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    store: Option<Arc<Store>>,
    task: TaskId,
    /// The files as they came from a bucket; `None` if the folder itself is kept.
    fetched: Option<FetchedFiles>,
}

impl Place {
    /// Makes the folder ready, with what earlier attempts left in it. It blocks for as long as that takes. If the
    /// location of checkpoints cannot be used, the folder is a temporary one and the program starts over.
    pub(crate) fn prepare(
        store: Option<Arc<Store>>,
        task: TaskId,
        temporary: PathBuf,
        warn: &mut dyn FnMut(String),
    ) -> io::Result<(Self, History)> {
        let made = match &store {
            None => Ok(None),
            Some(store) => store.program_folder(task),
        };
        let (path, fetched) = match made {
            Ok(Some(path)) => (path, None),
            Ok(None) => {
                fs::create_dir(&temporary)?;
                let fetched = store.as_deref().map(|store| store.fetch_program(task, &temporary, warn));
                let fetched = match fetched {
                    None => None,
                    Some(Ok(fetched)) => Some(fetched),
                    Some(Err(error)) => {
                        warn(format!("{error}; the program starts over"));
                        remove_folder(&temporary)?;
                        fs::create_dir(&temporary)?;
                        Some(FetchedFiles::default())
                    }
                };
                (temporary, fetched)
            }
            Err(error) => {
                warn(format!(
                    "{error}; the program gets a temporary folder for checkpoints, and starts over"
                ));
                fs::create_dir(&temporary)?;
                let place = Self { path: temporary, store: None, task, fetched: None };
                return Ok((place, History::default()));
            }
        };
        let place = Self { path, store, task, fetched };
        let history = place.history(warn);
        Ok((place, history))
    }

    fn history(&self, warn: &mut dyn FnMut(String)) -> History {
        let Some(store) = &self.store else { return History::default() };
        match store.record(self.task) {
            Ok(None) => History::default(),
            Ok(Some(record)) => History::read(&record).unwrap_or_else(|error| {
                warn(format!("the epochs of earlier attempts are not understood and are left out: {error}"));
                History::default()
            }),
            Err(error) => {
                warn(format!("{error}; the epochs of earlier attempts are left out"));
                History::default()
            }
        }
    }

    /// Whether another attempt finds what this one leaves.
    pub(crate) fn is_kept(&self) -> bool {
        self.store.is_some()
    }

    /// Whether the history can be saved at any time without waiting for a bucket.
    pub(crate) fn is_near(&self) -> bool {
        self.store.is_some() && self.fetched.is_none()
    }

    /// Saves the history for the next attempt.
    pub(crate) fn save(&self, history: &History) -> Result<(), String> {
        let Some(store) = &self.store else { return Ok(()) };
        let record = history.record().map_err(|error| error.to_string())?;
        store.save_record(self.task, record).map_err(|error| error.to_string())
    }

    /// Keeps what the program left for the next attempt. It blocks for as long as that takes.
    pub(crate) fn keep(&self, history: &History, warn: &mut dyn FnMut(String)) {
        let Some(store) = &self.store else { return };
        if let Some(fetched) = &self.fetched {
            let kept = store.keep_program(self.task, &self.path, fetched, warn);
            if let Err(error) = kept {
                warn(format!("{error}; another attempt goes on from what was kept before"));
                // The history must not go beyond the checkpoint.
                return;
            }
        }
        if !history.is_empty()
            && let Err(error) = self.save(history)
        {
            warn(format!("{error}; another attempt will not know the epochs so far"));
        }
    }
}

/// The temporary checkpoint folder of an attempt.
pub(crate) fn temporary(folder: &AttemptFolder) -> PathBuf {
    folder.join("checkpoints")
}

/// A path as text, for the environment and the file of the task.
pub(crate) fn text_of(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::Error::other(format!("the path {} is not UTF-8", path.display())))
}
