//! `colearn compare`.

use std::str::FromStr;

use clap::{Args, ValueEnum};
use colearn_core::{id::SweepName, names::Criteria};

use super::{Target, reference::ReferenceError};

pub(super) const AFTER_HELP: &str = "\
Configurations (`demo/audio=0.8,video=0.8`) are compared with the first one; of two sweeps, those of the same name are
compared; of three or more sweeps, such as other data sets or primary modalities, or with --across, the configurations
that all have are compared over all sweeps: interquartile mean, performance profile and probability of improvement
(Agarwal et al. 2021), average ranks with Friedman's and Nemenyi's tests (Demsar 2006).

Results are paired by seed, and by the values of `report.replicates`. Differences are the second minus the first.

`--format json` has {kind: \"pairs\", first, second, confidence, comparisons [{name, metric,
better, first, second, first_results {n, summary}, second_results, comparison, welch_p}], warnings}, or {kind: \"across\",
sweeps, baseline, confidence, metrics [{metric, better, configurations [{name, n, means, interquartile_mean,
probability_of_improvement, average_rank, profile}], thresholds, friedman, friedman_p, iman_davenport_p,
critical_difference}], warnings}.";

/// `colearn compare`.
#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// What is compared: sweeps, or configurations of any sweeps. Two at least.
    #[arg(value_name = "SWEEP[/CONFIGURATION]", num_args = 2.., required = true)]
    pub(crate) compared: Vec<Compared>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// A metric to compare; the option can be repeated [default: those of the first sweep that all have].
    #[arg(long, value_name = "METRIC")]
    pub(crate) metric: Vec<String>,
    /// Level of the intervals and tests.
    #[arg(long, default_value = "0.95", value_name = "LEVEL", value_parser = level)]
    pub(crate) confidence: f64,
    /// Compare two sweeps as several: over both, not with each other.
    #[arg(long)]
    pub(crate) across: bool,
    /// Output format.
    #[arg(long, value_enum, default_value_t = CompareFormat::Table)]
    pub(crate) format: CompareFormat,
}

/// Formats of comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompareFormat {
    /// Tables for the terminal.
    Table,
    /// One record for each comparison.
    Csv,
    /// Everything that is known, for programs.
    Json,
    /// Tables for notes and pull requests.
    Markdown,
}

/// A sweep, or one of its configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    /// The sweep.
    pub(crate) sweep: SweepName,
    /// The configuration; `None` for the sweep.
    pub(crate) configuration: Option<Criteria>,
}

impl FromStr for Compared {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (sweep, configuration) = match text.split_once('/') {
            None => (text, None),
            Some((sweep, named)) => (sweep, Some(Criteria::new(named).ok_or(ReferenceError::Configuration)?)),
        };
        Ok(Self { sweep: SweepName::new(sweep)?, configuration })
    }
}

fn level(text: &str) -> Result<f64, String> {
    let level = text.parse().ok().filter(|level| *level > 0.0 && *level < 1.0);
    level.ok_or_else(|| "it must be a number between 0 and 1, such as 0.95".to_owned())
}
