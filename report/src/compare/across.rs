//! Configurations over several sweeps: other data sets, or other primary modalities.

use colearn_core::{
    result::Direction,
    statistics::{
        Estimate, Ranks, interquartile_mean_of, mean, performance_profile, probability_of_improvement,
    },
    table::ResultsTable,
};

use super::Rows;
use crate::{numbers::Numbers, report_data::Material};

/// Number of thresholds of a performance profile.
const THRESHOLDS: usize = 11;

/// The configurations that several sweeps have in common.
#[derive(Clone, Debug)]
pub struct Across {
    /// The names of the sweeps.
    pub sweeps: Vec<String>,
    /// The configuration that the others are compared with.
    pub baseline: Option<String>,
    /// Level of the intervals.
    pub confidence: f64,
    /// One for each metric.
    pub metrics: Vec<AcrossMetric>,
    /// What a reader has to know.
    pub warnings: Vec<String>,
    pub(super) numbers: Numbers,
}

/// One metric over several sweeps.
#[derive(Clone, Debug)]
pub struct AcrossMetric {
    /// The metric.
    pub metric: String,
    /// Which values are better.
    pub better: Direction,
    /// The configurations, in the order of the first sweep.
    pub rows: Vec<AcrossRow>,
    /// The values of the metric at which the profiles are taken.
    pub thresholds: Vec<f64>,
    /// The average ranks with their tests; `None` if a sweep has no result of a configuration.
    pub ranks: Option<Ranks>,
}

/// One configuration over several sweeps.
#[derive(Clone, Debug)]
pub struct AcrossRow {
    /// Its name.
    pub name: String,
    /// Its mean in each sweep; `None` without results.
    pub means: Vec<Option<f64>>,
    /// Number of its results in all sweeps.
    pub n: usize,
    /// The interquartile mean of all its results.
    pub interquartile_mean: Option<Estimate>,
    /// The probability that one of its results is better than one of the baseline on the same data; `None` for the
    /// baseline.
    pub improvement: Option<Estimate>,
    /// For each threshold, the share of its results that are better.
    pub profile: Vec<f64>,
}

/// Compares the configurations that all sweeps have, in the metrics `wanted`, or in those that the first sweep shows.
///
/// # Errors
/// If no name is in all sweeps, or a metric is not.
pub fn across(
    sweeps: &[(&Material, &ResultsTable)],
    wanted: &[String],
    confidence: f64,
) -> Result<Across, String> {
    let tables: Vec<&ResultsTable> = sweeps.iter().map(|(_, table)| *table).collect();
    let names = super::common_names(&tables)?;
    let Some(first) = tables.first() else { return Err("there is no sweep to compare".to_owned()) };
    let baseline = first.baseline().map(|row| row.name.as_str()).filter(|name| names.contains(name));
    let metrics = super::metrics(&tables, wanted)?;
    let metrics = metrics
        .into_iter()
        .map(|metric| of_metric(sweeps, &names, baseline, metric, first, confidence))
        .collect();
    Ok(Across {
        sweeps: tables.iter().map(|table| table.sweep.to_string()).collect(),
        baseline: baseline.map(str::to_owned),
        confidence,
        metrics,
        warnings: super::left_out(&tables, &names),
        numbers: Numbers::of(first),
    })
}

fn of_metric(
    sweeps: &[(&Material, &ResultsTable)],
    names: &[&str],
    baseline: Option<&str>,
    metric: String,
    first: &ResultsTable,
    confidence: f64,
) -> AcrossMetric {
    let better = first.direction(&metric);
    // Scores are turned so that higher ones are better.
    let rows_of: Vec<Rows<'_>> = sweeps.iter().map(|sweep| Rows::of(*sweep)).collect();
    let strata = |name: &str| -> Vec<Vec<f64>> {
        let of = |sweep: &Rows<'_>| {
            let side = sweep.side(name)?;
            Some(side.values(&metric).into_values().map(|value| better.score(value)).collect())
        };
        rows_of.iter().map(|sweep| of(sweep).unwrap_or_default()).collect()
    };
    let scores: Vec<Vec<Vec<f64>>> = names.iter().map(|name| strata(name)).collect();
    let of_baseline = baseline.map(strata);
    let thresholds = thresholds(scores.iter().flatten().flatten().copied());
    let rows = names.iter().zip(&scores).map(|(name, strata)| {
        let other = of_baseline.as_ref().filter(|_| baseline != Some(*name));
        AcrossRow {
            name: (*name).to_owned(),
            means: strata.iter().map(|it| mean(it).map(|mean| better.score(mean))).collect(),
            n: strata.iter().map(Vec::len).sum(),
            interquartile_mean: interquartile_mean_of(strata, confidence).map(|it| turned(it, better)),
            improvement: other.and_then(|other| probability_of_improvement(strata, other, confidence)),
            profile: performance_profile(strata, &thresholds).unwrap_or_default(),
        }
    });
    let by_sweep: Option<Vec<Vec<f64>>> =
        (0..sweeps.len()).map(|at| scores.iter().map(|strata| mean(strata.get(at)?)).collect()).collect();
    AcrossMetric {
        better,
        rows: rows.collect(),
        ranks: by_sweep.and_then(|scores| Ranks::of(&scores, 1.0 - confidence)),
        thresholds: thresholds.into_iter().map(|it| better.score(it)).collect(),
        metric,
    }
}

/// An estimate of scores as one of values.
fn turned(estimate: Estimate, better: Direction) -> Estimate {
    match better {
        Direction::Higher => estimate,
        Direction::Lower => Estimate {
            value: -estimate.value,
            ci_low: estimate.ci_high.map(|end| -end),
            ci_high: estimate.ci_low.map(|end| -end),
        },
    }
}

/// Evenly spaced scores from the lowest to the highest.
fn thresholds(scores: impl Iterator<Item = f64>) -> Vec<f64> {
    let (low, high) =
        scores.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), it| (low.min(it), high.max(it)));
    if !(low.is_finite() && high.is_finite()) {
        return Vec::new();
    }
    let share = |at: usize| at as f64 / (THRESHOLDS - 1) as f64;
    (0..THRESHOLDS).map(|at| low * (1.0 - share(at)) + high * share(at)).collect()
}
