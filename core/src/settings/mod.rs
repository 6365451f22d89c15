//! The settings of one task: their types, the table that describes all fields, and their identity.

mod canonical;
mod resolve;
pub mod schema;
mod types;
mod validate;

pub(crate) use canonical::{cohort_key, configuration_id, is_absent};
pub(crate) use resolve::resolve;
pub use types::{
    BiEflstmSettings, Keep, MfnSettings, ModalityDraw, ModalityGranularity, ModalityPart, ModelSettings,
    Schedule, Shuffle, TaskSettings, TrainingSettings,
};
pub use validate::{DataShape, SettingsError};
