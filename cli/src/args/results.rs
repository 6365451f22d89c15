//! `colearn results`, and the formats of results.

use std::path::PathBuf;

use clap::{Args, ValueEnum, builder::TypedValueParser as _};
use colearn_core::id::SweepName;
use colearn_report::{Records, Selection};

use super::{Target, places};

/// Formats of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table for the terminal.
    Table,
    /// One row per configuration: mean, standard deviation and interval of every metric.
    Csv,
    /// Everything that is known, for programs.
    Json,
    /// A table for notes and pull requests.
    Markdown,
    /// A table for documents, with intervals and marks of significance; it needs the package booktabs.
    Latex,
    /// The rows of CSV with typed columns; in programs built with the cargo feature `parquet`.
    Parquet,
}

/// The formats that `colearn run` prints at its end: text.
pub(super) fn printed() -> impl clap::builder::TypedValueParser<Value = Format> {
    clap::builder::EnumValueParser::<Format>::new().try_map(|format| match format {
        Format::Parquet => Err("this format is no text: print another one, and when the sweep has ended, write the file with `colearn results NAME --format parquet --out FILE`"),
        text => Ok(text),
    })
}

pub(super) const AFTER_HELP: &str = "\
A table is as wide as the terminal, but at least 80 columns; in a file or pipe it is as wide as COLUMNS says, or 80. Where
that is too narrow, intervals go to a second line, and metrics to further blocks.

docs/results.md describes every column and key. --format json has everything that is known of every task; with
--per-seed or --history it has the records of the long format.";

/// `colearn results`.
#[derive(Args, Debug)]
pub(crate) struct ResultsArgs {
    /// The sweep's name.
    pub(crate) name: SweepName,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Output format.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// Print the results of every seed, not the averages: one record per configuration, seed and metric. Tasks without
    /// a result are listed with the reason.
    #[arg(long, conflicts_with = "history")]
    pub(crate) per_seed: bool,
    /// Print the curves of training: one record per configuration, seed, epoch and curve.
    #[arg(long)]
    pub(crate) history: bool,
    #[command(flatten)]
    pub(crate) shown: ShownArgs,
    /// Write to this file, which is replaced if it exists [default: standard output].
    #[arg(long, value_name = "FILE", value_parser = places::path())]
    pub(crate) out: Option<PathBuf>,
}

/// What is shown of the results, and in which order.
#[derive(Args, Debug)]
pub(crate) struct ShownArgs {
    /// The settings to show, separated by commas, also such as the sweep file does not vary [default: those that
    /// distinguish the configurations].
    #[arg(long, value_name = "SETTINGS", value_delimiter = ',')]
    pub(crate) columns: Option<Vec<String>>,
    /// A metric to show, also such as the sweep file does not name; the option can be repeated [default: those of the
    /// sweep file]. The first one is that of the verdicts. With CSV, JSON, Parquet and records, the others are left out.
    #[arg(long, value_name = "METRIC")]
    pub(crate) metric: Vec<String>,
    /// Sort by a metric, the best first, or by a setting, the lowest first; `-` before the name turns the order.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,
    /// Show this many configurations, and the baseline; a note says how many are left out.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) top: Option<u32>,
    /// Show all configurations of a table that has more than 100 [default: the 40 that come first with --sort, or that
    /// are best on validation]. Other formats always have all.
    #[arg(long, conflicts_with = "top")]
    pub(crate) all: bool,
}

impl ShownArgs {
    /// The selection of the report.
    pub(crate) fn selection(&self) -> Selection {
        Selection {
            columns: self.columns.clone(),
            metrics: self.metric.clone(),
            sort: self.sort.clone(),
            top: self.top.map(|rows| rows as usize),
        }
    }
}

impl ResultsArgs {
    /// The records of the long format, if these are wanted.
    pub(crate) fn records(&self) -> Option<Records> {
        match (self.per_seed, self.history) {
            (true, _) => Some(Records::Metrics),
            (_, true) => Some(Records::Epochs),
            _ => None,
        }
    }
}
