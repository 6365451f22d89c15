//! The state that a trainer keeps between cohorts, and the place where libtorch's exceptions are caught.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::SystemTime,
};

use colearn_core::{
    failure::{Failure, FailureReason},
    id::TaskId,
};
use colearn_data_format::{DataFile, DataFolder, Dataset, DatasetError};
use colearn_trainer_protocol::{Event, Member, checkpoint::Store, out_of_memory};

use super::{
    cohort::{Control, train},
    plan,
    source::DataSource,
};
use crate::device::TrainingDevice;

/// Number of data sets kept open: enough for a trainer that alternates between two sweeps.
const KEPT: usize = 2;

/// A device and the data sets that were last used on it.
#[derive(Debug)]
pub struct TrainingSession {
    device: TrainingDevice,
    data: DataFolder,
    checkpoints: Option<Store>,
    /// The most recently used one is last.
    sources: Vec<(Version, Rc<DataSource>)>,
    /// Recorded with every result.
    environment: BTreeMap<String, String>,
}

/// Identity of a file when it was opened. A file that was replaced is opened again.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    path: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
}

impl Version {
    fn of(file: &DataFile) -> Self {
        let (path, metadata) = (file.path().to_owned(), file.metadata());
        Self { path, length: metadata.len(), modified: metadata.modified().ok() }
    }
}

impl TrainingSession {
    /// A session on this device, with data sets from this folder, and with a store for checkpoints if they are to be
    /// kept.
    #[must_use]
    pub fn new(device: TrainingDevice, data: DataFolder, checkpoints: Option<Store>) -> Self {
        Self { device, data, checkpoints, sources: Vec::new(), environment: BTreeMap::new() }
    }

    /// The same session, whose results say what they were computed with.
    #[must_use]
    pub fn with_environment(self, environment: BTreeMap<String, String>) -> Self {
        Self { environment, ..self }
    }

    /// Trains a cohort to its end. Afterwards each member is finished, failed, abandoned or parked, whatever happens.
    pub fn train(&mut self, members: &[Member], control: &mut dyn Control) {
        let open = members.iter().map(|member| member.task).collect();
        let environment = self.environment.clone();
        let mut ledger = Ledger { open, control, environment: &environment };
        // Ordinary tch calls panic with libtorch's message. Of the state that the closure may leave half changed only
        // the data sets are used again, and the closure only reads them.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.train_open(members, &mut ledger)));
        if let Err(panic) = outcome {
            let failure = failure_of(panic.as_ref());
            // Tensors on a device that failed cannot be used.
            self.sources.clear();
            for task in ledger.open.clone() {
                ledger.emit(Event::Failed { task, failure: failure.clone() });
            }
        }
    }

    fn train_open(&mut self, members: &[Member], control: &mut dyn Control) {
        let mut networks = Vec::new();
        for member in members {
            match plan::network(member) {
                Ok(settings) => networks.push((settings, member)),
                Err(failure) => control.emit(Event::Failed { task: member.task, failure }),
            }
        }
        let Some((first, _)) = networks.first() else {
            return;
        };
        let path = self.data.path(&first.dataset);
        let (same, other): (Vec<_>, Vec<_>) =
            networks.iter().partition(|(settings, _)| self.data.path(&settings.dataset) == path);
        let members = |of: Vec<&(_, &Member)>| -> Vec<Member> {
            of.into_iter().map(|(_, member)| (*member).clone()).collect()
        };
        let (same, other) = (members(same), members(other));
        for member in other {
            let failure = Failure::new(
                FailureReason::Settings,
                format!("cannot be trained in one cohort with a member that uses {}", path.display()),
            );
            control.emit(Event::Failed { task: member.task, failure });
        }
        let source = match self.source(&first.dataset) {
            Ok(source) => source,
            Err(error) => {
                let failure = Failure::new(FailureReason::Data, error.to_string());
                for member in same {
                    control.emit(Event::Failed { task: member.task, failure: failure.clone() });
                }
                return;
            }
        };
        let (data_set, digest) = (first.dataset.clone(), source.digest().to_owned());
        control.emit(Event::Opened { data_set, digest });
        let (right, wrong): (Vec<Member>, Vec<Member>) = same
            .into_iter()
            .partition(|member| member.data_digest.is_empty() || member.data_digest == source.digest());
        for member in wrong {
            let short = |digest: &str| digest.chars().take(12).collect::<String>();
            let (here, expected) = (short(source.digest()), short(&member.data_digest));
            let why = format!(
                "{} has the digest {here}, but the sweep is trained on {expected}: copy the same file to all workers",
                path.display()
            );
            let failure = Failure::new(FailureReason::Data, why);
            control.emit(Event::Failed { task: member.task, failure });
        }
        if !right.is_empty() {
            train(&source, &right, &self.device.name, control, self.checkpoints.as_ref());
        }
    }

    fn source(&mut self, name: &str) -> Result<Rc<DataSource>, DatasetError> {
        let file = self.data.open(name)?;
        let version = Version::of(&file);
        let known = self.sources.iter().position(|(known, _)| *known == version);
        let entry = match known {
            Some(position) => self.sources.remove(position),
            None => {
                self.sources.retain(|(known, _)| known.path != version.path);
                if self.sources.len() >= KEPT {
                    self.sources.remove(0);
                }
                (version, Rc::new(DataSource::new(Dataset::read(file)?, &self.device)))
            }
        };
        let source = Rc::clone(&entry.1);
        self.sources.push(entry);
        Ok(source)
    }
}

/// Passes events on, adds the environment to results, and remembers the tasks whose last event was sent.
struct Ledger<'a> {
    open: BTreeSet<TaskId>,
    control: &'a mut dyn Control,
    environment: &'a BTreeMap<String, String>,
}

impl Control for Ledger<'_> {
    fn emit(&mut self, mut event: Event) {
        if let Event::Finished { result, .. } = &mut event {
            // What could not be kept may be there already.
            Arc::make_mut(&mut result.environment).extend(self.environment.clone());
        }
        if let Event::Finished { task, .. } | Event::Failed { task, .. } | Event::Parked { task } = &event {
            self.open.remove(task);
        }
        self.control.emit(event);
    }

    fn abandoned(&mut self) -> Vec<TaskId> {
        let abandoned = self.control.abandoned();
        for task in &abandoned {
            self.open.remove(task);
        }
        abandoned
    }

    fn parks(&mut self) -> bool {
        self.control.parks()
    }
}

/// The failure that a panic of libtorch or of this program means.
fn failure_of(panic: &(dyn Any + Send)) -> Failure {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("the trainer panicked");
    let reason =
        if out_of_memory::tells_of_it(message) { FailureReason::OutOfMemory } else { FailureReason::Crash };
    Failure::new(reason, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason_of(action: impl FnOnce()) -> FailureReason {
        failure_of(catch_unwind(AssertUnwindSafe(action)).unwrap_err().as_ref()).reason
    }

    #[test]
    fn panics_become_typed_failures() {
        let options = (tch::Kind::Float, tch::Device::Cpu);
        // 2^60 bytes: libtorch's allocator refuses with its own message.
        let too_large = || drop(tch::Tensor::zeros([1 << 58], options));
        assert_eq!(reason_of(too_large), FailureReason::OutOfMemory);
        let wrong_shape =
            || drop(tch::Tensor::zeros([2, 3], options).mm(&tch::Tensor::zeros([2, 3], options)));
        assert_eq!(reason_of(wrong_shape), FailureReason::Crash);
        assert_eq!(reason_of(|| panic!("CUDA out of memory. Tried to allocate")), FailureReason::OutOfMemory);
    }
}
