//! `colearn data import`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use colearn_data_import::{Division, LabelOptions, Reference, Request, Side};

use super::places;

pub(super) const EXAMPLES: &str = "\
Examples:
  colearn data import --modality language=text.npy --modality audio=audio.npy --labels labels.csv \\
    --split 0.7,0.1,0.2 --out data/mine.safetensors
  colearn data import --modality audio=features.npz:mfcc --modality video=frames/ --steps 30 \\
    --labels meta.csv:emotion --groups meta.csv:speaker --folds 5 --standardize train --out data/mine.safetensors";

/// `colearn data import`.
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// A modality: a .npy or .npz file of samples x steps x features, or a folder with one .npy file of steps x
    /// features per sample, whose name is the sample's id. Repeat the option for each modality.
    #[arg(long = "modality", value_name = "NAME=PATH", required = true, value_parser = modality)]
    modalities: Vec<(String, Reference)>,
    /// The labels, one per sample: a .csv, .tsv, .txt, .npy or .npz file, and the column or array in it. Class indices
    /// from 0 or class names. If there is a column `id`, rows are assigned to samples by id.
    #[arg(long, value_name = "PATH[:COLUMN]", value_parser = reference)]
    labels: Reference,
    /// The split: shares of train, valid and test, such as 0.7,0.1,0.2; or a file with train, valid or test for each
    /// sample.
    #[arg(
        long,
        value_name = "SHARES|PATH[:COLUMN]",
        required_unless_present = "folds",
        conflicts_with = "folds",
        value_parser = split
    )]
    split: Option<SplitArg>,
    /// Seed of the random split. The same seed gives the same split on every machine.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    split_seed: u64,
    /// Instead of --split: number of folds. One is for test, the next one for validation, the others for training.
    /// Without --fold, all of them are written: to mine-fold0.safetensors and so on for `--out mine.safetensors`.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(3..=1000))]
    folds: Option<u32>,
    /// The only fold to write: the one for test, counted from 0.
    #[arg(long, value_name = "FOLD", requires = "folds", conflicts_with = "split")]
    fold: Option<u32>,
    /// The group of each sample, such as its speaker. All samples of a group are in the same split.
    #[arg(long, value_name = "PATH[:COLUMN]", value_parser = reference)]
    groups: Option<Reference>,
    /// The samples' ids, in the order of the arrays.
    #[arg(long, value_name = "PATH[:COLUMN]", value_parser = reference)]
    ids: Option<Reference>,
    /// The class names in order, separated by commas [default: names in alphabetical order, or the indices].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    class_names: Option<Vec<String>>,
    /// Class indices are counted from 1.
    #[arg(long)]
    one_based_labels: bool,
    /// Labels are numbers to predict, not classes.
    #[arg(long)]
    regression: bool,
    /// Time steps of every sample: short samples are padded, long ones cut [default: the number that all have].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    steps: Option<u32>,
    /// The end at which short samples are padded with zeros.
    #[arg(long, value_enum, default_value_t = End::Front)]
    pad: End,
    /// The end at which long samples are cut.
    #[arg(long, value_enum, default_value_t = End::Front)]
    cut: End,
    /// Scale each feature to mean 0 and deviation 1 over those steps of a split that are not padding.
    #[arg(long, value_enum, value_name = "SPLIT")]
    standardize: Option<Standardize>,
    /// Store zeros for NaN and infinite values.
    #[arg(long)]
    nan_as_zero: bool,
    /// Who recorded the data and where it was obtained.
    #[arg(long, default_value = "", value_name = "TEXT")]
    source: String,
    /// The terms it may be used under.
    #[arg(long, default_value = "", value_name = "TEXT")]
    licence: String,
    /// How the data was prepared [default: a description of this import].
    #[arg(long, value_name = "TEXT")]
    preparation: Option<String>,
    /// File to write; an existing file is replaced.
    #[arg(long, value_name = "FILE", value_parser = places::path())]
    pub(crate) out: PathBuf,
}

/// One end of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum End {
    /// Before the first step.
    Front,
    /// After the last step.
    Back,
}

impl From<End> for Side {
    fn from(end: End) -> Self {
        match end {
            End::Front => Self::Front,
            End::Back => Self::Back,
        }
    }
}

/// The split that features are scaled by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Standardize {
    /// The training split, so that nothing is learned from the others.
    Train,
}

/// How samples are divided.
#[derive(Clone, Debug, PartialEq)]
enum SplitArg {
    Shares([f64; 3]),
    Table(Reference),
}

impl ImportArgs {
    /// Whether every fold is written, each to a file of its own.
    pub(crate) fn all_folds(&self) -> bool {
        self.folds.is_some() && self.fold.is_none()
    }

    /// The request to the importer; if every fold is written, that of the first.
    pub(crate) fn request(&self) -> Request {
        let seed = self.split_seed;
        let division = match (&self.split, self.folds, self.fold) {
            (Some(SplitArg::Table(reference)), ..) => Division::Table(reference.clone()),
            (Some(SplitArg::Shares(fractions)), ..) => Division::Fractions { fractions: *fractions, seed },
            // clap asks for the count.
            (None, count, fold) => Division::Folds {
                count: count.unwrap_or_default() as usize,
                fold: fold.unwrap_or_default() as usize,
                seed,
            },
        };
        Request {
            modalities: self.modalities.clone(),
            labels: self.labels.clone(),
            label_options: LabelOptions {
                regression: self.regression,
                one_based: self.one_based_labels,
                names: self.class_names.clone(),
            },
            division,
            groups: self.groups.clone(),
            ids: self.ids.clone(),
            steps: self.steps.map(|steps| steps as usize),
            pad: self.pad.into(),
            cut: self.cut.into(),
            standardize: self.standardize.is_some(),
            nan_as_zero: self.nan_as_zero,
            source: self.source.clone(),
            licence: self.licence.clone(),
            preparation: self.preparation.clone(),
        }
    }
}

fn modality(text: &str) -> Result<(String, Reference), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.to_owned(), reference(path)?)),
        _ => Err("it must be NAME=PATH, such as audio=audio.npy".to_owned()),
    }
}

fn reference(text: &str) -> Result<Reference, String> {
    if text.starts_with('~') {
        return Err(format!(
            "`{text}` begins with `~`, which only a shell replaces, at the beginning of a word: write $HOME, or ./~ for a file of that name"
        ));
    }
    Ok(Reference::parse(text))
}

fn split(text: &str) -> Result<SplitArg, String> {
    let shares: Result<Vec<f64>, _> = text.split(',').map(|share| share.trim().parse::<f64>()).collect();
    match shares {
        Ok(shares) if !std::path::Path::new(text).exists() => shares
            .try_into()
            .map(SplitArg::Shares)
            .map_err(|_| "it must be three shares, of train, valid and test, such as 0.7,0.1,0.2".to_owned()),
        _ => reference(text).map(SplitArg::Table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_distinguished_from_files() {
        assert_eq!(split("0.7,0.1,0.2"), Ok(SplitArg::Shares([0.7, 0.1, 0.2])));
        assert_eq!(split("0.7, .1, 0.2"), Ok(SplitArg::Shares([0.7, 0.1, 0.2])));
        assert!(split("0.7,0.3").unwrap_err().contains("three shares"));
        for path in ["split.csv", "split.csv:fold", "0.7,0.1,x"] {
            assert!(matches!(split(path), Ok(SplitArg::Table(_))), "{path}");
        }
    }

    #[test]
    fn a_modality_has_a_name_and_a_path() {
        let (name, reference) = modality("audio=features.npz:a").unwrap();
        assert_eq!((name.as_str(), reference.to_string()), ("audio", "features.npz:a".to_owned()));
        for text in ["audio", "=audio.npy", "audio="] {
            assert!(modality(text).unwrap_err().contains("NAME=PATH"), "{text}");
        }
        assert!(modality("audio=~/audio.npy").unwrap_err().contains("$HOME"));
    }
}
