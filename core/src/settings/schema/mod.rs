//! The settings table: one row per field, with its path in a sweep file, bounds, default and meaning.
//!
//! All code that needs the fields by name reads this table: the reader of sweep files, the list of sweepable fields,
//! "did you mean", the identity of a cohort and the printed reference. The rows and the types of
//! [`TaskSettings`](super::TaskSettings) describe the same fields; a test compares them.

mod field;
mod lookup;
mod table;
#[cfg(test)]
mod tests;

pub use self::{
    field::{
        Bound, Field, Kind, MAX_MODALITIES, MAX_SUBSET_BYTES, MAX_SUBSETS, MAX_TEXT_BYTES, MODALITY_DROPOUT,
        Preset,
    },
    lookup::{field, is_modality, reference},
    table::{FIELDS, MODEL_KINDS},
};
