//! Reads the table of a task's predictions.

use std::path::Path;

use csv::StringRecord;

use crate::exit::{Exit, Failure};

/// The predictions of a task on one split with some modalities.
#[derive(Debug)]
pub(super) struct Predictions {
    /// Whether truth and prediction are numbers.
    pub(super) is_regression: bool,
    pub(super) rows: Vec<Prediction>,
}

#[derive(Debug)]
pub(super) struct Prediction {
    pub(super) group: String,
    pub(super) truth: String,
    pub(super) prediction: String,
}

/// Reads the rows of a split with these modalities; without modalities, those with the primary one alone.
pub(super) fn read(path: &Path, split: &str, modalities: Option<&str>) -> Result<Predictions, Failure> {
    let wrong = |why: &dyn std::fmt::Display| {
        let help = "; fetch it again with: colearn export NAME";
        Failure::new(Exit::Failure, format!("cannot read `{}`: {why}{help}", path.display()))
    };
    let mut reader = csv::Reader::from_path(path).map_err(|error| wrong(&error))?;
    let heading = reader.headers().map_err(|error| wrong(&error))?.clone();
    let place = |name: &str| {
        let found = heading.iter().position(|column| column == name);
        found.ok_or_else(|| wrong(&format!("it has no column `{name}`")))
    };
    let columns = ["split", "modalities", "group", "truth", "prediction"].map(place);
    let [own_split, subset, group, truth, prediction] = columns;
    let (own_split, subset, group, truth, prediction) = (own_split?, subset?, group?, truth?, prediction?);
    let field = |record: &StringRecord, at: usize| record.get(at).unwrap_or_default().to_owned();
    let mut wanted = modalities.map(str::to_owned);
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| wrong(&error))?;
        // The rows of the primary modality alone come first.
        if record.get(own_split) == Some(split)
            && record.get(subset) == Some(wanted.get_or_insert_with(|| field(&record, subset)).as_str())
        {
            rows.push(Prediction {
                group: field(&record, group),
                truth: field(&record, truth),
                prediction: field(&record, prediction),
            });
        }
    }
    if rows.is_empty() {
        let what = wanted.map_or_else(String::new, |wanted| format!(" with the modalities {wanted}"));
        return Err(wrong(&format!("it has no rows of the split {split}{what}")));
    }
    let is_regression = !heading.iter().any(|column| column.starts_with("logit."));
    Ok(Predictions { is_regression, rows })
}
