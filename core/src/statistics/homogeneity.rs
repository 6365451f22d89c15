//! Whether the rows of a group may share one deviation.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF, FisherSnedecor};

use super::comparison::{MIN_PAIRS, NOISE};

/// What decides the method of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// One configuration is compared with the baseline.
    OneComparison,
    /// Nothing speaks against equal variances.
    SimilarVariances,
    /// Fewer than three replicates have results of all configurations that are tested.
    TooFewReplicates,
    /// A configuration has the same result at every seed.
    ConstantResults,
    /// The residual variances of the configurations differ.
    UnequalVariances,
    /// The baseline varies more than the configurations do among each other.
    BaselineVaries,
}

impl Reason {
    /// The reason in words, after "because".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OneComparison => "one configuration is compared",
            Self::SimilarVariances => "the variances are similar",
            Self::TooFewReplicates => "fewer than three seeds have all results",
            Self::ConstantResults => "a configuration has the same result at every seed",
            Self::UnequalVariances => "the variances differ",
            Self::BaselineVaries => "the baseline varies more than the others do among each other",
        }
    }
}

/// The residual variance of a two-way layout, configurations x replicates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pool {
    pub(super) mean_square: f64,
    pub(super) degrees: f64,
}

/// The p-values of the two tests for equal variances; `None` where they cannot be computed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct VarianceTests {
    /// Bartlett's test of the residuals of all configurations.
    pub(super) bartlett: Option<f64>,
    /// F-test of the residuals of the baseline against the rest of the interaction, one-sided.
    pub(super) baseline: Option<f64>,
}

/// The levels below which a test speaks against pooling. They are far above 0.05, because the tests find little in few
/// replicates; the simulations in `docs/statistics.md` show that these are high enough.
const LEVELS: VarianceLevels = VarianceLevels { bartlett: 0.1, baseline: 0.2 };
const LEVELS_OF_THREE: VarianceLevels = VarianceLevels { bartlett: 0.3, baseline: 0.3 };

/// The largest ratio of the variances of two configurations with which they are pooled, whatever the tests find.
const MAX_RATIO: f64 = 1000.0;

struct VarianceLevels {
    bartlett: f64,
    baseline: f64,
}

/// Pools the variance of `values`: one list for each configuration, the baseline first, each with the result at every
/// replicate. The tests are returned in any case.
pub(super) fn pool(values: &[Vec<f64>]) -> (Result<Pool, Reason>, VarianceTests) {
    let untested = VarianceTests::default();
    let replicates = values.iter().map(Vec::len).min().unwrap_or(0);
    if replicates < MIN_PAIRS || values.len() < 2 {
        return (Err(Reason::TooFewReplicates), untested);
    }
    let largest = values.iter().flatten().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let residuals = residuals(values, replicates);
    let squares: Vec<f64> =
        residuals.iter().map(|row| row.iter().map(|residual| residual.powi(2)).sum()).collect();
    let smallest = squares.iter().fold(f64::INFINITY, |smallest, sum| smallest.min(*sum));
    if values.iter().any(|row| is_constant(row, NOISE * largest)) || smallest <= (NOISE * largest).powi(2) {
        return (Err(Reason::ConstantResults), untested);
    }
    let tests = variance_tests(&squares, replicates as f64 - 1.0);
    // One exploding configuration leaks into the means of the replicates, and so into the residuals of all others.
    if largest_ratio(values, replicates) > MAX_RATIO {
        return (Err(Reason::UnequalVariances), tests);
    }
    let levels = if replicates == MIN_PAIRS { LEVELS_OF_THREE } else { LEVELS };
    let speaks = |p: Option<f64>, level: f64| p.is_some_and(|p| p <= level);
    let pooled = if speaks(tests.bartlett, levels.bartlett) {
        Err(Reason::UnequalVariances)
    } else if speaks(tests.baseline, levels.baseline) {
        Err(Reason::BaselineVaries)
    } else {
        let degrees = (values.len() as f64 - 1.0) * (replicates as f64 - 1.0);
        Ok(Pool { mean_square: squares.iter().sum::<f64>() / degrees, degrees })
    };
    (pooled, tests)
}

/// The largest variance of a configuration's own results over the smallest.
fn largest_ratio(values: &[Vec<f64>], replicates: usize) -> f64 {
    let spread = |row: &Vec<f64>| {
        let mean = row.iter().take(replicates).sum::<f64>() / replicates as f64;
        row.iter().take(replicates).map(|value| (value - mean).powi(2)).sum::<f64>()
    };
    let spreads: Vec<f64> = values.iter().map(spread).collect();
    let largest = spreads.iter().fold(0.0_f64, |largest, it| largest.max(*it));
    largest / spreads.iter().fold(f64::INFINITY, |smallest, it| smallest.min(*it))
}

fn is_constant(values: &[f64], noise: f64) -> bool {
    values.windows(2).all(|pair| matches!(pair, [left, right] if (left - right).abs() <= noise))
}

/// Values less the means of their configuration and of their replicate.
fn residuals(values: &[Vec<f64>], replicates: usize) -> Vec<Vec<f64>> {
    let mean = |of: &mut dyn Iterator<Item = f64>, n: usize| of.sum::<f64>() / n as f64;
    let columns: Vec<f64> = (0..replicates)
        .map(|at| mean(&mut values.iter().filter_map(|row| row.get(at).copied()), values.len()))
        .collect();
    let all = mean(&mut columns.iter().copied(), replicates);
    let of_row = |row: &Vec<f64>| {
        let own = mean(&mut row.iter().take(replicates).copied(), replicates);
        row.iter().zip(&columns).map(|(value, column)| value - own - column + all).collect()
    };
    values.iter().map(of_row).collect()
}

/// Tests the sums of squared residuals of each configuration, the baseline first. Two configurations have equal ones.
fn variance_tests(squares: &[f64], degrees: f64) -> VarianceTests {
    let rows = squares.len() as f64;
    if squares.len() < 3 {
        return VarianceTests::default();
    }
    let variances: Vec<f64> = squares.iter().map(|sum| sum / degrees).collect();
    let mean = variances.iter().sum::<f64>() / rows;
    let logarithms: f64 = variances.iter().map(|variance| variance.ln()).sum();
    let statistic = rows * degrees * mean.ln() - degrees * logarithms;
    let correction = 1.0 + (rows / degrees - 1.0 / (rows * degrees)) / (3.0 * (rows - 1.0));
    let bartlett = ChiSquared::new(rows - 1.0).ok().map(|chi| chi.sf((statistic / correction).max(0.0)));
    // The contrast of the baseline with the mean of the others is independent of the rest of the interaction.
    let contrast = squares.first().copied().unwrap_or(0.0) * rows / (rows - 1.0);
    let rest = (squares.iter().sum::<f64>() - contrast).max(0.0);
    let rest_degrees = degrees * (rows - 2.0);
    let ratio = (contrast / degrees) / (rest / rest_degrees);
    let baseline = match FisherSnedecor::new(degrees, rest_degrees) {
        Ok(distribution) if ratio.is_finite() => Some(distribution.sf(ratio)),
        _ => Some(0.0),
    };
    VarianceTests { bartlett, baseline }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_exploding_configuration_is_not_pooled_with_the_others() {
        let base = vec![0.49, 0.5, 0.51, 0.495, 0.505];
        let good: Vec<f64> = base.iter().rev().map(|value| value + 0.3).collect();
        let explodes = vec![3e5, 1.0, 9e5, 2.0, 1.3e6];
        let found = pool(&[base.clone(), good.clone(), explodes]).0;
        assert_eq!(found, Err(Reason::UnequalVariances));
        assert!(pool(&[base.clone(), good, vec![0.6, 0.62, 0.59, 0.61, 0.605]]).0.is_ok());
    }
}
