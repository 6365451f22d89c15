//! The files that tasks keep: `colearn export`, and their removal.

mod export;
mod places;
mod removal;

pub(crate) use self::{export::export, removal::KeptFiles};
