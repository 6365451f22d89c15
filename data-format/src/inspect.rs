//! A summary of a data set, for a person who wants to train on it.

use std::fmt;

use serde::Serialize;

use crate::dataset::{Dataset, Warning};
use crate::layout::{Description, Split, Task};
use crate::split::Labels;

/// A data set in numbers. `Display` is text for people, `Serialize` for programs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Path of the file.
    pub path: String,
    /// Size of the file in bytes.
    pub file_size: u64,
    /// SHA-256 of the whole file, hexadecimal.
    pub digest: String,
    /// Time steps of every sample (T).
    pub steps: usize,
    /// What the labels mean.
    pub task: Task,
    /// The origin of the data.
    pub description: Description,
    /// The modalities in the order in which features are concatenated.
    pub modalities: Vec<ModalitySummary>,
    /// The splits train, valid and test.
    pub splits: Vec<SplitSummary>,
    /// Problems that the user should know.
    pub warnings: Vec<Warning>,
}

/// One modality in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModalitySummary {
    /// Its name.
    pub name: String,
    /// Features per step (D).
    pub dim: usize,
    /// Statistics by split, in the order of [`Split::ALL`].
    pub statistics: Vec<Statistics>,
}

/// Statistics over all values of a modality in one split.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// The split.
    pub split: Split,
    /// Mean.
    pub mean: f64,
    /// Population standard deviation.
    pub deviation: f64,
    /// Share of values that are exactly zero, as padding and failed sensors produce them.
    pub zero_share: f64,
}

/// One split in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitSummary {
    /// The split.
    pub split: Split,
    /// Number of samples (N).
    pub samples: usize,
    /// Summary of its labels.
    pub labels: LabelSummary,
}

/// The labels of a split in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LabelSummary {
    /// Number of samples by class, in the order of the class names.
    Classes {
        /// One count per class.
        counts: Vec<usize>,
    },
    /// Regression values.
    Values {
        /// Smallest value.
        min: f32,
        /// Mean value.
        mean: f64,
        /// Largest value.
        max: f32,
    },
}

impl Summary {
    /// Reads the whole data set once more and summarises it.
    #[must_use]
    pub fn new(dataset: &Dataset) -> Self {
        let modalities = dataset.modalities().iter().enumerate().map(|(index, modality)| ModalitySummary {
            name: modality.name.clone(),
            dim: modality.dim,
            statistics: Split::ALL
                .map(|split| Statistics::new(split, dataset.split(split).features(index)))
                .to_vec(),
        });
        let splits = Split::ALL.map(|split| {
            let view = dataset.split(split);
            SplitSummary {
                split,
                samples: view.len(),
                labels: LabelSummary::new(view.labels(), dataset.task()),
            }
        });
        Self {
            path: dataset.path().display().to_string(),
            file_size: dataset.file_size(),
            digest: dataset.digest().to_owned(),
            steps: dataset.steps(),
            task: dataset.task().clone(),
            description: dataset.description().clone(),
            modalities: modalities.collect(),
            splits: splits.to_vec(),
            warnings: dataset.warnings().to_vec(),
        }
    }
}

impl Statistics {
    fn new(split: Split, values: &[f32]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
        // The second pass keeps precision if the mean is large compared with the deviation.
        let variance = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
        let zeros = values.iter().filter(|&&v| v == 0.0).count();
        Self { split, mean, deviation: variance.sqrt(), zero_share: zeros as f64 / count }
    }
}

impl LabelSummary {
    fn new(labels: Labels<'_>, task: &Task) -> Self {
        match labels {
            Labels::Classes(labels) => {
                let classes = match task {
                    Task::Classification { classes } => classes.len(),
                    Task::Regression => 0,
                };
                let mut counts = vec![0; classes];
                for &label in labels {
                    counts[usize::try_from(label).expect("labels were checked at opening")] += 1;
                }
                Self::Classes { counts }
            }
            Labels::Values(values) => Self::Values {
                min: values.iter().copied().fold(f32::INFINITY, f32::min),
                mean: values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64,
                max: values.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            },
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.path)?;
        writeln!(f, "  size         {:.1} MB ({} bytes)", self.file_size as f64 / 1e6, self.file_size)?;
        writeln!(f, "  sha256       {}", self.digest)?;
        let Description { source, licence, preparation } = &self.description;
        for (name, text) in [("source", source), ("licence", licence), ("preparation", preparation)] {
            if !text.is_empty() {
                writeln!(f, "  {name:<12} {}", one_line(text))?;
            }
        }
        writeln!(f, "  time steps   {}", self.steps)?;
        self.write_splits(f)?;
        self.write_modalities(f)?;
        if let Task::Classification { classes } = &self.task {
            self.write_classes(f, classes)?;
        }
        if !self.warnings.is_empty() {
            writeln!(f)?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

impl Summary {
    fn write_splits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  samples     ")?;
        for split in &self.splits {
            write!(f, " {} {}", split.samples, split.split)?;
        }
        writeln!(f)?;
        for split in &self.splits {
            if let LabelSummary::Values { min, mean, max } = split.labels {
                writeln!(f, "  labels       {} from {min} to {max}, mean {mean:.3}", split.split)?;
            }
        }
        Ok(())
    }

    fn write_modalities(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.modalities.iter().map(|m| m.name.len()).max().unwrap_or(0).max("modality".len());
        writeln!(f, "\n  {:<width$}  features  split        mean   deviation   zeros", "modality")?;
        for modality in &self.modalities {
            for (row, s) in modality.statistics.iter().enumerate() {
                let (name, dim) = if row == 0 {
                    (modality.name.as_str(), modality.dim.to_string())
                } else {
                    ("", String::new())
                };
                let Statistics { split, mean, deviation, zero_share } = s;
                let percent = zero_share * 100.0;
                writeln!(
                    f,
                    "  {name:<width$}  {dim:>8}  {:<5}  {mean:>10.4}  {deviation:>10.4}  {percent:>5.1}%",
                    split.as_str()
                )?;
            }
        }
        Ok(())
    }

    fn write_classes(&self, f: &mut fmt::Formatter<'_>, classes: &[String]) -> fmt::Result {
        let names: Vec<String> = classes.iter().map(|class| one_line(class)).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max("class".len());
        write!(f, "\n  {:<width$}", "class")?;
        for split in &self.splits {
            write!(f, "  {:>6}", split.split.as_str())?;
        }
        writeln!(f)?;
        for (index, name) in names.iter().enumerate() {
            write!(f, "  {name:<width$}")?;
            for split in &self.splits {
                if let LabelSummary::Classes { counts } = &split.labels {
                    write!(f, "  {:>6}", counts[index])?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// Replaces control characters, line and paragraph separators and text direction marks by spaces, as `colearn-core`'s
/// `text` does. A file's text must not control the terminal or change the order in which text is shown.
fn one_line(text: &str) -> String {
    let unprintable = |c: char| {
        let direction = matches!(
            c,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        c.is_control() || direction
    };
    text.chars().map(|c| if unprintable(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn what_steers_a_terminal_is_a_space() {
        assert_eq!(one_line("a\u{1b}b\u{202e}c\u{2066}d\u{200f}e\u{2028}f\ng"), "a b c d e f g");
        assert_eq!(one_line("Grüße שלום"), "Grüße שלום");
    }
}
