//! Converts between wire types and core types. Input is checked here, so that core values are always valid.

use colearn_core::{
    failure::{Failure, FailureReason},
    id::{ConfigurationId, IdError, TaskId},
    needs::{Offers, TrainerKind},
    scheduler::{DataSetShape, DataSets, KnownDataSet},
};

use crate::v1;

mod pool;
mod result;

pub use pool::{pool_settings, pool_settings_to_wire};
pub use result::*;

/// The reason why a message from the wire is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// A required field is missing.
    #[error("the message has no `{0}`")]
    Missing(&'static str),
    /// A message that is not allowed at this point.
    #[error("unexpected `{message}`: {why}")]
    Unexpected {
        /// Kind of the message.
        message: &'static str,
        /// The reason why it is not allowed.
        why: &'static str,
    },
    /// An identifier is malformed.
    #[error(transparent)]
    Id(#[from] IdError),
    /// An enum has a value that this version does not know.
    #[error("`{field}` has the unknown value {value}")]
    UnknownValue {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: i32,
    },
    /// A metric is NaN or infinite.
    #[error("metric `{0}` is not a finite number")]
    NotFinite(String),
    /// A name has characters that control a terminal, or is reserved.
    #[error("`{name}` is no name for a {field}: {why}")]
    Name {
        /// Kind of the name.
        field: &'static str,
        /// The name, without unprintable characters.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A collection or text is larger than allowed.
    #[error("`{field}` has {length} entries; the limit is {limit}")]
    TooLarge {
        /// Name of the field.
        field: &'static str,
        /// Its length.
        length: usize,
        /// Its maximum length.
        limit: usize,
    },
}

fn limit(field: &'static str, length: usize, limit: usize) -> Result<(), ConvertError> {
    if length > limit { Err(ConvertError::TooLarge { field, length, limit }) } else { Ok(()) }
}

impl From<TaskId> for v1::TaskId {
    fn from(task: TaskId) -> Self {
        Self { sweep: task.sweep.0, configuration: task.configuration.to_string(), seed: task.seed }
    }
}

impl TryFrom<v1::TaskId> for TaskId {
    type Error = ConvertError;
    fn try_from(task: v1::TaskId) -> Result<Self, ConvertError> {
        Ok(Self {
            sweep: colearn_core::id::SweepId(task.sweep),
            configuration: task.configuration.parse::<ConfigurationId>()?,
            seed: task.seed,
        })
    }
}

/// The task that a message names.
///
/// # Errors
/// If it is missing or malformed.
pub fn task(task: Option<v1::TaskId>) -> Result<TaskId, ConvertError> {
    task.ok_or(ConvertError::Missing("task"))?.try_into()
}

impl From<DataSets> for v1::DataSets {
    fn from(data_sets: DataSets) -> Self {
        let data_set = |(name, known): (String, KnownDataSet)| {
            let DataSetShape { modalities, train_samples } = known.shape.unwrap_or_default();
            v1::DataSet { name, digest: known.digest.unwrap_or_default(), modalities, train_samples }
        };
        Self { known: data_sets.known.into_iter().map(data_set).collect(), complete: data_sets.complete }
    }
}

impl From<v1::DataSets> for DataSets {
    fn from(data_sets: v1::DataSets) -> Self {
        let data_set = |set: v1::DataSet| {
            let digest = Some(set.digest).filter(|digest| !digest.is_empty());
            let (modalities, train_samples) = (set.modalities, set.train_samples);
            let shape = (!modalities.is_empty()).then_some(DataSetShape { modalities, train_samples });
            (set.name, KnownDataSet { digest, shape })
        };
        Self { known: data_sets.known.into_iter().map(data_set).collect(), complete: data_sets.complete }
    }
}

impl From<Offers> for v1::Offers {
    /// Without the labels, which messages contain once for all slots of a worker.
    fn from(offers: Offers) -> Self {
        let kind = |kind: TrainerKind| match kind {
            TrainerKind::Networks => v1::TrainerKind::Networks.into(),
            TrainerKind::Programs => v1::TrainerKind::Programs.into(),
        };
        Self {
            trainers: offers.trainers.into_iter().map(kind).collect(),
            gpu: offers.gpu,
            memory_bytes: offers.memory,
            threads: offers.threads,
        }
    }
}

/// The offers of a slot of a worker with these labels. `None` is a slot of a worker that does not describe its slots.
#[must_use]
pub fn offers(offers: Option<&v1::Offers>, labels: &[String]) -> Offers {
    let labels = labels.iter().cloned().collect();
    let Some(offers) = offers else { return Offers { labels, ..Offers::default() } };
    let kind = |kind: v1::TrainerKind| match kind {
        v1::TrainerKind::Networks => Some(TrainerKind::Networks),
        v1::TrainerKind::Programs => Some(TrainerKind::Programs),
        v1::TrainerKind::Unspecified => None,
    };
    Offers {
        trainers: offers.trainers().filter_map(kind).collect(),
        gpu: offers.gpu,
        memory: offers.memory_bytes,
        threads: offers.threads,
        labels,
    }
}

impl From<FailureReason> for v1::FailureReason {
    fn from(reason: FailureReason) -> Self {
        match reason {
            FailureReason::Diverged => Self::Diverged,
            FailureReason::OutOfMemory => Self::OutOfMemory,
            FailureReason::Data => Self::Data,
            FailureReason::Settings => Self::Settings,
            FailureReason::Crash => Self::Crash,
            FailureReason::Hang => Self::Hang,
            FailureReason::LeaseExpired => Self::LeaseExpired,
            FailureReason::Cancelled => Self::Cancelled,
            FailureReason::Parked => Self::Parked,
        }
    }
}

/// The failure reason for a wire value.
///
/// # Errors
/// If the value is unspecified or unknown.
pub fn failure_reason(value: i32) -> Result<FailureReason, ConvertError> {
    let unknown = ConvertError::UnknownValue { field: "reason", value };
    match v1::FailureReason::try_from(value) {
        Ok(v1::FailureReason::Diverged) => Ok(FailureReason::Diverged),
        Ok(v1::FailureReason::OutOfMemory) => Ok(FailureReason::OutOfMemory),
        Ok(v1::FailureReason::Data) => Ok(FailureReason::Data),
        Ok(v1::FailureReason::Settings) => Ok(FailureReason::Settings),
        Ok(v1::FailureReason::Crash) => Ok(FailureReason::Crash),
        Ok(v1::FailureReason::Hang) => Ok(FailureReason::Hang),
        Ok(v1::FailureReason::LeaseExpired) => Ok(FailureReason::LeaseExpired),
        Ok(v1::FailureReason::Cancelled) => Ok(FailureReason::Cancelled),
        Ok(v1::FailureReason::Parked) => Ok(FailureReason::Parked),
        Ok(v1::FailureReason::Unspecified) | Err(_) => Err(unknown),
    }
}

impl From<Failure> for v1::Failure {
    fn from(failure: Failure) -> Self {
        Self { reason: v1::FailureReason::from(failure.reason).into(), message: failure.message }
    }
}

impl TryFrom<v1::Failure> for Failure {
    type Error = ConvertError;
    fn try_from(failure: v1::Failure) -> Result<Self, ConvertError> {
        Ok(Self::new(failure_reason(failure.reason)?, failure.message))
    }
}

#[cfg(test)]
mod tests {
    use colearn_core::id::SweepId;

    use super::*;

    #[test]
    fn tasks_survive_the_wire() {
        let id = TaskId { sweep: SweepId(7), configuration: ConfigurationId(0xfeed), seed: 3 };
        assert_eq!(task(Some(id.into())), Ok(id));
        assert_eq!(task(None), Err(ConvertError::Missing("task")));
    }

    #[test]
    fn every_failure_reason_survives_the_wire() {
        for reason in FailureReason::ALL {
            assert_eq!(failure_reason(v1::FailureReason::from(reason).into()), Ok(reason));
        }
        assert!(failure_reason(0).is_err());
        assert!(failure_reason(99).is_err());
    }
}
