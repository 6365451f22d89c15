//! The table of settings: one row a field, with its path in a sweep file, its bounds, default and meaning.
//!
//! Everything that knows the fields by name reads this table: the reader of sweep files, what can be swept,
//! "did you mean", the identity of a cohort and the printed reference. The rows and the types of
//! [`TaskSettings`](super::TaskSettings) are two views of the same thing; a test compares them.

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
