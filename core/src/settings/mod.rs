//! The settings of one task: their types, the table that describes all fields, and their identity.

mod canonical;
pub mod placeholders;
mod program;
mod resolve;
pub mod schema;
mod task;
mod types;
mod validate;

pub(crate) use canonical::{is_absent, is_of_modalities};
pub use program::{Parameter, ProgramSettings, ResultSource};
pub(crate) use resolve::resolve;
pub use task::TaskSettings;
pub use types::{
    BiEflstmSettings, Keep, MfnSettings, ModalityDraw, ModalityGranularity, ModalityPart,
    ModalityReplacement, ModelSettings, NetworkSettings, Schedule, Shuffle, TrainingSettings,
};
pub use validate::{DataShape, SettingsError};
