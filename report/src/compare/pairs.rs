//! Two configurations at a time, paired by seed.

use colearn_core::{
    result::Direction,
    statistics::{Comparison, Summary, welch_test},
    table::{Replicate, ResultsTable},
    text::counted_len,
};

use super::{Rows, Side};
use crate::{numbers::Numbers, report_data::Material};

/// Comparisons of pairs of configurations.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// What each is compared with: a configuration, or a sweep.
    pub first: String,
    /// The sweep whose configurations are compared with those of the same name; `None` for single configurations.
    pub second: Option<String>,
    /// The rows, metric by metric for each pair.
    pub rows: Vec<PairRow>,
    /// Level of the intervals.
    pub confidence: f64,
    /// What a reader has to know.
    pub warnings: Vec<String>,
    pub(super) numbers: Numbers,
}

/// One metric of a pair. Differences are the second minus the first.
#[derive(Clone, Debug)]
pub struct PairRow {
    /// What the row is called: the name of both configurations, or that of the second one with its sweep.
    pub name: String,
    /// The first configuration.
    pub first: String,
    /// The second configuration.
    pub second: String,
    /// The metric.
    pub metric: String,
    /// Which values are better.
    pub better: Direction,
    /// Mean and deviation of the first, over all its seeds; `None` without results.
    pub first_summary: Option<Summary>,
    /// Number of these.
    pub first_n: usize,
    /// The same of the second.
    pub second_summary: Option<Summary>,
    /// Number of these.
    pub second_n: usize,
    /// The comparison over the seeds that both have; `None` without any.
    pub comparison: Option<Comparison>,
    /// Welch's test over all seeds of both.
    pub welch_p: Option<f64>,
}

/// Compares a configuration with each of the others, in the metrics `wanted`, or in those that its sweep shows.
///
/// # Errors
/// The name of a metric that a sweep does not have.
pub fn configurations(
    first: &Side<'_>,
    others: &[Side<'_>],
    wanted: &[String],
    confidence: f64,
) -> Result<Pairs, String> {
    let mut pairs = Pairs {
        first: first.label.clone(),
        second: None,
        rows: vec![],
        confidence,
        warnings: vec![],
        numbers: Numbers::of(first.table),
    };
    for second in others {
        pairs.add(&second.label, first, second, wanted)?;
    }
    Ok(pairs)
}

/// Compares the configurations of two sweeps that have the same name.
///
/// # Errors
/// If no name is in both, or a metric is not.
pub fn sweeps(
    first: (&Material, &ResultsTable),
    second: (&Material, &ResultsTable),
    wanted: &[String],
    confidence: f64,
) -> Result<Pairs, String> {
    let tables = [first.1, second.1];
    let names = super::common_names(&tables)?;
    let mut pairs = Pairs {
        first: first.1.sweep.to_string(),
        second: Some(second.1.sweep.to_string()),
        rows: vec![],
        confidence,
        warnings: super::left_out(&tables, &names),
        numbers: Numbers::of(first.1),
    };
    let (first, second) = (Rows::of(first), Rows::of(second));
    for name in names {
        if let (Some(one), Some(other)) = (first.side(name), second.side(name)) {
            pairs.add(name, &one, &other, wanted)?;
        }
    }
    Ok(pairs)
}

impl Pairs {
    fn add(
        &mut self,
        name: &str,
        first: &Side<'_>,
        second: &Side<'_>,
        wanted: &[String],
    ) -> Result<(), String> {
        warn(first, second, &mut self.warnings);
        for metric in super::metrics(&[first.table, second.table], wanted)? {
            self.rows.push(row(name, first, second, metric, self.confidence));
        }
        Ok(())
    }
}

fn row(name: &str, first: &Side<'_>, second: &Side<'_>, metric: String, confidence: f64) -> PairRow {
    let (left, right) = (first.values(&metric), second.values(&metric));
    // The differences of a comparison are those of the first of a pair minus the second.
    let pairs: Vec<(f64, f64)> =
        right.iter().filter_map(|(replicate, value)| Some((*value, *left.get(replicate)?))).collect();
    let [left, right] = [left, right].map(|values| values.into_values().collect::<Vec<f64>>());
    PairRow {
        name: name.to_owned(),
        first: first.label.clone(),
        second: second.label.clone(),
        better: first.direction(&metric),
        first_summary: Summary::of(&left, confidence),
        first_n: left.len(),
        second_summary: Summary::of(&right, confidence),
        second_n: right.len(),
        comparison: Comparison::of(&pairs, confidence),
        welch_p: welch_test(&left, &right),
        metric,
    }
}

fn warn(first: &Side<'_>, second: &Side<'_>, warnings: &mut Vec<String>) {
    let mut warning = |text: String| {
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    };
    let (one, other) = (&first.label, &second.label);
    let (ours, theirs) = (first.digests(), second.digests());
    if ours != theirs && !ours.is_empty() && !theirs.is_empty() {
        let sweep = |label: &str| label.split('/').next().unwrap_or(label).to_owned();
        warning(format!(
            "the results of {} and {} are of different data sets or programs: equal seeds are no pairs then; Welch's test does without them",
            sweep(one),
            sweep(other)
        ));
    }
    let common = |replicate: &&Replicate| second.results.contains_key(replicate);
    let pairs = first.results.keys().filter(common).count();
    let most = first.results.len().max(second.results.len());
    if pairs < most {
        warning(format!("{one} and {other} have {} in common, of {most}", counted_len(pairs, "seed")));
    }
}
