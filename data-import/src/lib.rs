//! Makes data sets of colearn from NumPy arrays, folders of arrays, and tables of labels.
//!
//! [`import`] reads everything that a [`Request`] names. It returns either a data set for [`colearn_data_format::write`]
//! with a description of the conversions, or all mistakes that it found. [`import_each`] makes several that differ in
//! their splits, such as the folds of a cross-validation.

mod assemble;
mod labels;
mod mistake;
mod modality;
mod npy;
mod reference;
mod samples;
mod split;
mod standardize;
mod table;
#[cfg(test)]
mod testing;

use colearn_data_format::NewDataset;

pub use self::{
    assemble::{import, import_each},
    labels::LabelOptions,
    mistake::{ImportError, Mistake},
    reference::Reference,
    split::Division,
};

/// One end of a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// Before the first step.
    #[default]
    Front,
    /// After the last step.
    Back,
}

/// The input of an import and its options.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The modalities in order, by name: an array of [samples, steps, features], or a folder with one array per sample.
    pub modalities: Vec<(String, Reference)>,
    /// One label per sample.
    pub labels: Reference,
    /// How labels are read.
    pub label_options: LabelOptions,
    /// How samples are divided among the splits.
    pub division: Division,
    /// The group of each sample, such as its speaker. All samples of a group are in the same split.
    pub groups: Option<Reference>,
    /// The samples' names, in the order of the arrays.
    pub ids: Option<Reference>,
    /// Time steps of every sample; otherwise as many as all have.
    pub steps: Option<usize>,
    /// The end at which short samples are padded with zeros.
    pub pad: Side,
    /// The end at which long samples are cut.
    pub cut: Side,
    /// Whether features are scaled by the training part.
    pub standardize: bool,
    /// Whether NaN and infinities become 0.
    pub nan_as_zero: bool,
    /// Who recorded it and where it was obtained.
    pub source: String,
    /// The terms it may be used under.
    pub licence: String,
    /// How it was prepared; otherwise a description of this import.
    pub preparation: Option<String>,
}

/// A data set that can be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The data set.
    pub dataset: NewDataset,
    /// The conversions, one line each.
    pub notes: Vec<String>,
    /// Warnings for the user, one line each.
    pub warnings: Vec<String>,
}
