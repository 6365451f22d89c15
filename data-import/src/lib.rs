//! Makes a data set of colearn from what people have: NumPy's arrays, folders of them, and tables of labels.
//!
//! [`import`] reads everything that a [`Request`] names, and either returns a data set to be written with
//! [`colearn_data_format::write`], with what was converted on the way, or every mistake that it found.

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
    assemble::import,
    labels::LabelOptions,
    mistake::{ImportError, Mistake},
    reference::Reference,
    split::Division,
};

/// One end of a sample's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// Before the first step.
    #[default]
    Front,
    /// After the last step.
    Back,
}

/// What a data set is made of, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The modalities in order, by name: an array of [samples, steps, features], or a folder of one array a sample.
    pub modalities: Vec<(String, Reference)>,
    /// One label a sample.
    pub labels: Reference,
    /// How labels are to be read.
    pub label_options: LabelOptions,
    /// How samples are divided among the splits.
    pub division: Division,
    /// What the samples of must stay in one split, such as a speaker.
    pub groups: Option<Reference>,
    /// The samples' names, in the order of the arrays.
    pub ids: Option<Reference>,
    /// Time steps of every sample; otherwise as many as all have.
    pub steps: Option<usize>,
    /// Where zeros are added to what is shorter.
    pub pad: Side,
    /// Where steps of what is longer are left out.
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

/// A data set that is ready to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The data set.
    pub dataset: NewDataset,
    /// What was converted, a line each.
    pub notes: Vec<String>,
    /// What a person should look at, a line each.
    pub warnings: Vec<String>,
}
