//! One epoch of training.

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};

use super::values::Values;

/// Names of the networks' curves. A program reports curves under names of its own.
pub mod curve {
    /// Mean training loss over the epoch's batches, with modality dropout applied.
    pub const TRAIN_LOSS: &str = "train_loss";
    /// Validation loss on the primary modality alone.
    pub const VALID_LOSS: &str = "valid_loss";
    /// Validation accuracy on the primary modality alone.
    pub const VALID_ACCURACY: &str = "valid_accuracy";

    /// Validation loss on the modalities of the setting `training.keep_by`, where these are not the primary modality
    /// alone: the loss that decides about the best epoch.
    pub const KEEP_LOSS: &str = "keep_loss";

    /// The curves of every network, in the order of display.
    pub const NETWORK: [&str; 3] = [TRAIN_LOSS, VALID_LOSS, VALID_ACCURACY];

    /// The name that no curve may have: the key of the epoch's number.
    pub const RESERVED: &str = "epoch";
    /// Maximum number of curves.
    pub const MAX_CURVES: usize = 64;
}

/// The observable values of one epoch of training. As JSON it is one flat object, with the number of the epoch under
/// `epoch`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct EpochRecord {
    /// Number of the epoch, counting from 1.
    pub epoch: u32,
    /// The values by the names of their curves; all finite. Any of them may be missing in an epoch.
    #[serde(flatten)]
    pub values: Values,
}

impl EpochRecord {
    /// The record of a network.
    #[must_use]
    pub fn of_network(epoch: u32, train_loss: f64, valid_loss: f64, valid_accuracy: f64) -> Self {
        let values = [train_loss, valid_loss, valid_accuracy];
        let named = curve::NETWORK.into_iter().zip(values).map(|(name, value)| (name.to_owned(), value));
        Self { epoch, values: named.collect() }
    }

    /// The value of a curve, if the epoch has one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.get(name)
    }
}

/// A derived implementation would write the key of the epoch twice for a curve of that name, which nobody could read
/// again. The curves of a network come first, in the order of earlier versions.
impl Serialize for EpochRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry(curve::RESERVED, &self.epoch)?;
        for name in curve::NETWORK {
            if let Some(value) = self.values.get(name) {
                object.serialize_entry(name, &value)?;
            }
        }
        for (name, value) in self.values.pairs() {
            if !curve::NETWORK.contains(&name) && name != curve::RESERVED {
                object.serialize_entry(name, &value)?;
            }
        }
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_recorded_as_by_earlier_versions() {
        let text = r#"{"epoch":3,"train_loss":0.1234567890123456,"valid_loss":2.0,"valid_accuracy":0.5}"#;
        let record = EpochRecord::of_network(3, 0.123_456_789_012_345_6, 2.0, 0.5);
        assert_eq!(serde_json::from_str::<EpochRecord>(text).unwrap(), record);
        assert_eq!(serde_json::to_string(&record).unwrap(), text);
        assert_eq!(record.get(curve::VALID_LOSS), Some(2.0));
        assert_eq!(record.get("valid_r2"), None);
    }

    #[test]
    fn any_curves_are_read_back() {
        let values = [("valid r²", -0.25), ("tokens/s", 3e7), ("a", 1.0)];
        let values = values.map(|(name, value)| (name.to_owned(), value)).into();
        for record in [EpochRecord { epoch: 1, values }, EpochRecord { epoch: 2, ..EpochRecord::default() }] {
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<EpochRecord>(&text).unwrap(), record, "{text}");
        }
        assert!(serde_json::from_str::<EpochRecord>(r#"{"epoch":1,"a":"high"}"#).is_err());
    }

    #[test]
    fn a_curve_with_the_reserved_name_makes_nothing_unreadable() {
        let record = EpochRecord { epoch: 4, values: [("epoch".to_owned(), 0.5)].into() };
        let read: EpochRecord = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
        assert_eq!(read, EpochRecord { epoch: 4, ..EpochRecord::default() });
    }
}
