//! Results of tasks on the wire.

use std::sync::Arc;

use colearn_core::{
    result::{Artifact, EpochRecord, TaskResult, curve, metric},
    text::{is_unprintable, printable, shortened},
};

use super::{ConvertError, limit};
use crate::v1;

/// Maximum number of metrics of a result. A network has at most those of a regression, on two splits, with 1 + 16
/// subsets of modalities.
pub const MAX_METRICS: usize = 512;
/// Maximum length of a metric's name with its modalities, in bytes. Its plain name has at most
/// [`metric::MAX_NAME_BYTES`].
pub const MAX_METRIC_NAME: usize = 1024;
/// Maximum number of classes of a confusion matrix.
pub const MAX_CLASSES: usize = 1024;
/// Maximum length of a class name, in bytes.
pub const MAX_CLASS_NAME: usize = 256;
/// Maximum number of epochs of a history.
pub const MAX_EPOCHS: usize = 100_000;
/// Maximum size of a history, in encoded bytes. The longest history of a network, 30,000 epochs, has 2.4 MB; the rest
/// of the result must fit the message too.
pub const MAX_HISTORY_BYTES: usize = 3 << 20;

/// Maximum number of entries of [`TaskResult::environment`], and maximum length of one, in bytes.
pub const MAX_ENVIRONMENT: usize = 32;
/// See [`MAX_ENVIRONMENT`].
pub const MAX_ENVIRONMENT_VALUE: usize = 256;
/// Maximum number of files that a task keeps.
pub const MAX_ARTIFACTS: usize = 16;
/// Maximum length of a location of artifacts, in bytes.
pub const MAX_LOCATION: usize = 4096;

impl From<EpochRecord> for v1::EpochRecord {
    fn from(record: EpochRecord) -> Self {
        Self { epoch: record.epoch, values: record.values.into_iter().collect(), ..Self::default() }
    }
}

impl From<v1::EpochRecord> for EpochRecord {
    fn from(record: v1::EpochRecord) -> Self {
        let v1::EpochRecord { epoch, train_loss, valid_loss, valid_accuracy, values } = record;
        // A program may report an epoch without values. No network has three zeros.
        if values.is_empty() && [train_loss, valid_loss, valid_accuracy] != [0.0; 3] {
            return Self::of_network(epoch, train_loss, valid_loss, valid_accuracy);
        }
        Self { epoch, values: values.into_iter().collect() }
    }
}

/// What a record of a history takes besides its values, in encoded bytes, at most: its tag and length, and the number.
const HISTORY_RECORD_BYTES: usize = 9;

/// What a value takes: the name and eight bytes, three tags, and the lengths of the name and of the entry.
fn value_bytes(name: &str) -> usize {
    let lengths = if name.len() < 112 { 2 } else { 4 };
    name.len() + 8 + 3 + lengths
}

/// Checks the size, the names and the values of a history.
fn check_history(history: &[EpochRecord]) -> Result<(), ConvertError> {
    limit("history", history.len(), MAX_EPOCHS)?;
    let mut bytes = 0;
    for record in history {
        limit("curves of an epoch", record.values.len(), curve::MAX_CURVES)?;
        bytes += HISTORY_RECORD_BYTES;
        for (name, value) in record.values.pairs() {
            limit("name of a curve", name.len(), metric::MAX_NAME_BYTES)?;
            if name == curve::RESERVED {
                let why = "it is that of the epoch's number";
                return Err(ConvertError::Name { field: "curve", name: name.to_owned(), why });
            }
            if !value.is_finite() {
                return Err(ConvertError::NotFinite(format!("{name} of epoch {}", record.epoch)));
            }
            bytes += value_bytes(name);
        }
    }
    limit("bytes of the history", bytes, MAX_HISTORY_BYTES)
}

impl From<TaskResult> for v1::TaskResult {
    fn from(result: TaskResult) -> Self {
        Self {
            metrics: result.metrics.into_iter().collect(),
            confusion: result.confusion.into_iter().map(|counts| v1::ConfusionRow { counts }).collect(),
            history: result.history.into_iter().map(Into::into).collect(),
            best_epoch: result.best_epoch,
            parameters: result.parameters,
            seconds: result.seconds,
            device: result.device,
            data_digest: result.data_digest,
            classes: Arc::unwrap_or_clone(result.classes),
            weights_digest: result.weights_digest,
            resumed_after: result.resumed_after,
            commit: result.commit,
            environment: Arc::unwrap_or_clone(result.environment).into_iter().collect(),
            artifacts: result.artifacts.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::TaskResult> for TaskResult {
    type Error = ConvertError;
    fn try_from(result: v1::TaskResult) -> Result<Self, ConvertError> {
        limit("metrics", result.metrics.len(), MAX_METRICS)?;
        limit("confusion", result.confusion.len(), MAX_CLASSES)?;
        limit("history", result.history.len(), MAX_EPOCHS)?;
        limit("device", result.device.len(), 256)?;
        limit("data_digest", result.data_digest.len(), 128)?;
        limit("weights_digest", result.weights_digest.len(), 128)?;
        limit("commit", result.commit.len(), 128)?;
        limit("resumed_after", result.resumed_after.len(), MAX_EPOCHS)?;
        limit("classes", result.classes.len(), result.confusion.len())?;
        for class in &result.classes {
            limit("class name", class.len(), MAX_CLASS_NAME)?;
        }
        for (name, value) in &result.metrics {
            limit("metric name", name.len(), MAX_METRIC_NAME)?;
            limit("metric name", metric::split(name).0.len(), metric::MAX_NAME_BYTES)?;
            if !value.is_finite() {
                return Err(ConvertError::NotFinite(name.clone()));
            }
        }
        limit("environment", result.environment.len(), MAX_ENVIRONMENT)?;
        for (name, value) in &result.environment {
            limit("name of the environment", name.len(), metric::MAX_NAME_BYTES)?;
            limit("value of the environment", value.len(), MAX_ENVIRONMENT_VALUE)?;
        }
        limit("artifacts", result.artifacts.len(), MAX_ARTIFACTS)?;
        let mut history: Vec<EpochRecord> = result.history.into_iter().map(Into::into).collect();
        // It is collected in the place of the larger messages, and has the room of what was received.
        history.shrink_to_fit();
        check_history(&history)?;
        if !result.seconds.is_finite() {
            return Err(ConvertError::NotFinite("seconds".to_owned()));
        }
        let classes = result.confusion.len();
        let mut confusion = Vec::with_capacity(classes);
        for mut row in result.confusion {
            limit("confusion row", row.counts.len(), classes)?;
            row.counts.shrink_to_fit();
            confusion.push(row.counts);
        }
        Ok(Self {
            metrics: result.metrics.into_iter().collect(),
            confusion,
            history,
            best_epoch: result.best_epoch,
            parameters: result.parameters,
            seconds: result.seconds,
            device: result.device,
            data_digest: result.data_digest,
            classes: result.classes.into(),
            weights_digest: result.weights_digest,
            resumed_after: result.resumed_after,
            commit: result.commit,
            environment: Arc::new(result.environment.into_iter().collect()),
            artifacts: result
                .artifacts
                .into_iter()
                .map(TryInto::try_into)
                .collect::<Result<Vec<Artifact>, ConvertError>>()?,
        })
    }
}

/// Checks that a result can be told to a coordinator. One that it would not accept would be sent again for ever, and
/// one with unprintable names would not come back as it was told: the coordinator removes such characters.
///
/// # Errors
/// When a limit of the wire format is exceeded, a value is not finite, or a name cannot be shown.
pub fn check_result(result: &TaskResult) -> Result<(), ConvertError> {
    let curves = result.history.iter().flat_map(|record| record.values.keys()).map(|name| ("curve", name));
    for (field, name) in result.metrics.keys().map(|name| ("metric", name)).chain(curves) {
        let why = if name.chars().any(is_unprintable) {
            "it has characters that cannot be shown"
        } else if name.trim().is_empty() {
            "it is empty"
        } else {
            continue;
        };
        let name = shortened(&printable(name.to_owned()), metric::MAX_NAME_BYTES);
        return Err(ConvertError::Name { field, name, why });
    }
    TaskResult::try_from(v1::TaskResult::from(result.clone())).map(drop)
}

impl From<Artifact> for v1::Artifact {
    fn from(Artifact { name, digest, bytes, location }: Artifact) -> Self {
        Self { name, digest, bytes, location }
    }
}

impl TryFrom<v1::Artifact> for Artifact {
    type Error = ConvertError;
    fn try_from(v1::Artifact { name, digest, bytes, location }: v1::Artifact) -> Result<Self, ConvertError> {
        limit("name of an artifact", name.len(), metric::MAX_NAME_BYTES)?;
        limit("digest of an artifact", digest.len(), 128)?;
        limit("location of an artifact", location.len(), MAX_LOCATION)?;
        // The name becomes that of a file where the artifact is fetched to.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            let why = "it may have letters, digits, `.`, `_` and `-`, and does not begin with a dot";
            let name = shortened(&printable(name), metric::MAX_NAME_BYTES);
            return Err(ConvertError::Name { field: "artifact", name, why });
        }
        Ok(Self { name, digest, bytes, location })
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn result() -> TaskResult {
        TaskResult {
            metrics: [("accuracy".to_owned(), 0.5), ("loss".to_owned(), 1.25)].into(),
            confusion: vec![vec![3, 1], vec![0, 4]],
            history: vec![
                EpochRecord::of_network(1, 1.0, 2.0, 0.25),
                EpochRecord { epoch: 2, values: [("tokens/s".to_owned(), 3e7)].into() },
                EpochRecord { epoch: 3, ..EpochRecord::default() },
            ],
            best_epoch: 1,
            parameters: 42,
            seconds: 1.5,
            device: "cpu x1".to_owned(),
            data_digest: "0f".repeat(32),
            classes: vec!["happy".to_owned(), "sad".to_owned()].into(),
            weights_digest: "a1".repeat(32),
            resumed_after: vec![3, 7],
            commit: "c0ffee".to_owned(),
            environment: Arc::new([("libtorch".to_owned(), "2.11.0".to_owned())].into()),
            artifacts: vec![artifact("weights.safetensors")],
        }
    }

    fn artifact(name: &str) -> Artifact {
        Artifact {
            name: name.to_owned(),
            digest: "b2".repeat(32),
            bytes: 5_000_000_000,
            location: "s3://bucket/prefix".to_owned(),
        }
    }

    #[test]
    fn an_artifact_cannot_be_named_like_a_path() {
        for name in ["", "..", "../x", "a/b", ".hidden", "a\u{202e}b", "a\n"] {
            let refused = check_result(&TaskResult { artifacts: vec![artifact(name)], ..result() });
            assert!(
                matches!(refused, Err(ConvertError::Name { field: "artifact", .. })),
                "{name:?} {refused:?}"
            );
        }
    }

    #[test]
    fn results_survive_the_wire() {
        assert_eq!(TaskResult::try_from(v1::TaskResult::from(result())), Ok(result()));
    }

    #[test]
    fn metrics_that_are_not_numbers_are_refused() {
        let mut wire = v1::TaskResult::from(result());
        wire.metrics.insert("loss".to_owned(), f64::NAN);
        assert_eq!(TaskResult::try_from(wire), Err(ConvertError::NotFinite("loss".to_owned())));
    }

    #[test]
    fn results_that_could_not_be_delivered_are_caught() {
        assert_eq!(check_result(&result()), Ok(()));
        let metrics = (0..=MAX_METRICS).map(|i| (format!("m{i}"), 0.0)).collect();
        assert!(check_result(&TaskResult { metrics, ..result() }).is_err());
    }

    #[test]
    fn every_metric_of_a_network_fits() {
        let subsets = 1 + colearn_core::settings::schema::MAX_SUBSETS;
        assert!(2 * metric::REGRESSION.len().max(metric::CLASSIFICATION.len()) * subsets <= MAX_METRICS);
        let longest = metric::ALL.map(|name| metric::on_validation(name).len()).into_iter().max().unwrap();
        assert!(longest + 1 + colearn_core::settings::schema::MAX_SUBSET_BYTES <= MAX_METRIC_NAME);
    }

    #[test]
    fn oversized_results_are_refused() {
        let mut wire = v1::TaskResult::from(result());
        wire.metrics = (0..=MAX_METRICS).map(|i| (format!("m{i}"), 0.0)).collect();
        assert!(matches!(TaskResult::try_from(wire), Err(ConvertError::TooLarge { field: "metrics", .. })));
    }

    #[test]
    fn the_curves_of_earlier_workers_are_read() {
        let old = |train_loss, valid_loss, valid_accuracy| {
            let wire =
                v1::EpochRecord { epoch: 4, train_loss, valid_loss, valid_accuracy, ..Default::default() };
            EpochRecord::from(wire)
        };
        assert_eq!(old(1.0, 2.0, 0.0), EpochRecord::of_network(4, 1.0, 2.0, 0.0));
        let wire = v1::EpochRecord::from(old(1.0, 2.0, 0.5));
        assert_eq!((wire.train_loss, wire.values.len()), (0.0, 3), "only the map is written");
        assert!(
            TaskResult::try_from(v1::TaskResult {
                history: vec![v1::EpochRecord { valid_loss: f64::NAN, ..Default::default() }],
                ..v1::TaskResult::default()
            })
            .is_err()
        );
    }

    /// The error of a result with these curves in an epoch.
    fn refused<const N: usize>(values: [(String, f64); N]) -> ConvertError {
        let history = vec![EpochRecord { epoch: 7, values: values.into() }];
        check_result(&TaskResult { history, ..result() }).unwrap_err()
    }

    #[test]
    fn curves_without_a_name_or_a_number_are_refused() {
        assert_eq!(
            refused([("a".to_owned(), f64::NAN)]).to_string(),
            "metric `a of epoch 7` is not a finite number"
        );
        assert!(matches!(refused([("epoch".to_owned(), 1.0)]), ConvertError::Name { field: "curve", .. }));
        assert_eq!(
            refused([("a\u{1b}[2J".to_owned(), 1.0)]).to_string(),
            "`a[2J` is no name for a curve: it has characters that cannot be shown"
        );
        assert!(matches!(refused([("x".repeat(129), 1.0)]), ConvertError::TooLarge { length: 129, .. }));
        for name in [" ", "a\nb", "a\u{202e}b"] {
            let metrics = [(name.to_owned(), 1.0)].into();
            let error = check_result(&TaskResult { metrics, ..result() }).unwrap_err();
            assert!(matches!(error, ConvertError::Name { field: "metric", .. }), "{error}");
        }
        let metrics = [("x".repeat(129), 1.0)].into();
        assert!(check_result(&TaskResult { metrics, ..result() }).is_err());
        let subset = format!("accuracy@{}", ["modality"; 40].join("+"));
        assert_eq!(check_result(&TaskResult { metrics: [(subset, 1.0)].into(), ..result() }), Ok(()));
    }

    #[test]
    fn the_longest_history_of_a_network_fits_and_no_history_exceeds_a_message() {
        let longest: Vec<_> =
            (1..=30_000).map(|epoch| EpochRecord::of_network(epoch, 0.1, 0.2, 0.3)).collect();
        let longest = TaskResult { history: longest, ..result() };
        assert_eq!(check_result(&longest), Ok(()));
        let size = v1::TaskResult::from(longest.clone()).encoded_len();
        assert!(size < MAX_HISTORY_BYTES, "{size}");
        let mut decided = longest;
        for record in &mut decided.history {
            record.values.insert(curve::KEEP_LOSS, 0.4);
        }
        assert_eq!(check_result(&decided), Ok(()));
        let size = v1::TaskResult::from(decided).encoded_len();
        assert!(size < MAX_HISTORY_BYTES, "{size}");

        let many = |curves: usize| (0..curves).map(|index| (format!("curve {index:04}"), 1.0)).collect();
        let record = |epoch, curves| EpochRecord { epoch, values: many(curves) };
        let history = |epochs, curves| (1..=epochs).map(|epoch| record(epoch, curves)).collect::<Vec<_>>();
        let check = |history| check_result(&TaskResult { history, ..result() });
        assert_eq!(check(history(1, curve::MAX_CURVES)), Ok(()));
        assert!(matches!(check(history(1, curve::MAX_CURVES + 1)), Err(ConvertError::TooLarge { .. })));
        // The names have ten bytes.
        let most = MAX_HISTORY_BYTES / (9 + curve::MAX_CURVES * (13 + 10));
        let large = history(u32::try_from(most).unwrap(), curve::MAX_CURVES);
        assert_eq!(check(large.clone()), Ok(()));
        let more = history(u32::try_from(most).unwrap() + 1, curve::MAX_CURVES);
        assert!(matches!(check(more), Err(ConvertError::TooLarge { field: "bytes of the history", .. })));
        let size = v1::TaskResult::from(TaskResult { history: large, ..result() }).encoded_len();
        assert!((MAX_HISTORY_BYTES / 2..=MAX_HISTORY_BYTES).contains(&size), "{size}");
    }
}
