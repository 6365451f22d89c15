//! `seeds`, `report`, `retries`, `checkpoint`, `order` and `priority`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use super::{
    definition::{CheckpointSettings, Order, ReportSettings, RetrySettings, ScheduleSettings},
    diagnostic::{Problems, Span},
    mentions::Mentions,
    point::{Point, read_point},
    raw::{Node, Raw},
    scalar::{self, did_you_mean},
    vocabulary::Vocabulary,
};
use crate::{
    result::{Direction, metric},
    settings::schema::MAX_TEXT_BYTES,
    text::is_unprintable,
};

/// Up to this value seeds are exact in tools that read every number as a double.
const MAX_SEED: u64 = (1 << 53) - 1;
/// Maximum number of seeds of a `{count, base}`.
const MAX_SEEDS: u64 = 1_000_000;
/// The largest `checkpoint.every_epochs`.
const MAX_EPOCHS_BETWEEN: u64 = 100_000;

/// Reads `seeds`; returns nothing after an error.
pub(crate) fn read_seeds(node: &Node, problems: &mut Problems<'_>) -> Option<Vec<u64>> {
    let before = problems.errors();
    let seeds = match &node.value {
        Raw::List(items) => {
            if items.is_empty() {
                problems.error(node.span, "`seeds` is empty").help("one seed is enough: `seeds: [0]`");
            }
            let mut seen = HashMap::new();
            let mut seeds = Vec::new();
            for item in items {
                let Some(seed) = scalar::integer(item, "a seed", 0, MAX_SEED, problems) else { continue };
                if let Some(first) = seen.insert(seed, item.span) {
                    problems
                        .error(item.span, format!("the seed {seed} is given twice"))
                        .note(first, "the first one is here");
                }
                seeds.push(seed);
            }
            seeds
        }
        Raw::Map(entries) => {
            let (mut count, mut base) = (5, 0);
            for entry in entries {
                match entry.key.as_str() {
                    "count" => {
                        count = scalar::integer(&entry.value, "`seeds.count`", 1, MAX_SEEDS, problems)
                            .unwrap_or(1);
                    }
                    "base" => {
                        base =
                            scalar::integer(&entry.value, "`seeds.base`", 0, MAX_SEED, problems).unwrap_or(0);
                    }
                    _ => scalar::unknown_key(entry, "seeds", &["count", "base"], problems),
                }
            }
            if base > MAX_SEED - (count - 1) {
                problems.error(node.span, format!("the last seed is larger than {MAX_SEED}"));
                return None;
            }
            (base..base + count).collect()
        }
        other => {
            let found = other.describe();
            let help = match other {
                Raw::Integer(value) => {
                    format!("write `{{count: {value}}}` for that many seeds, `[{value}]` for that one")
                }
                _ => "write `[0, 1, 2]` or `{count: 3, base: 0}`".to_owned(),
            };
            problems
                .error(node.span, format!("`seeds` must be a list or {{count, base}}, found {found}"))
                .help(help);
            return None;
        }
    };
    (problems.errors() == before).then_some(seeds)
}

pub(crate) fn default_report() -> ReportSettings {
    let metrics = [metric::ACCURACY, metric::LOSS, metric::F_SCORE];
    ReportSettings {
        metrics: metrics.map(str::to_owned).to_vec(),
        confidence: 0.95,
        reference: None,
        better: Default::default(),
        replicates: Vec::new(),
    }
}

/// Reads `report`, and the values that select the baseline, if they are given.
pub(crate) fn read_report(
    node: &Node,
    vocabulary: Vocabulary,
    mentions: &mut Mentions,
    problems: &mut Problems<'_>,
) -> (ReportSettings, Option<Point>) {
    let mut report = default_report();
    let mut baseline = None;
    for entry in scalar::map(node, "report", problems).unwrap_or_default() {
        match entry.key.as_str() {
            "metrics" => mentions.metrics(match vocabulary {
                Vocabulary::Networks => read_metrics(&entry.value, problems),
                Vocabulary::Own => read_own_metrics(&entry.value, problems),
            }),
            "baseline" => {
                baseline = read_point(
                    &entry.value,
                    "report.baseline",
                    vocabulary,
                    &mut Mentions::default(),
                    problems,
                );
                if baseline.as_ref().is_some_and(|point| point.values.is_empty()) {
                    problems.error(entry.value.span, "`report.baseline` names no values").help(
                        match vocabulary {
                            Vocabulary::Networks => "such as `{unimodal: true}`",
                            Vocabulary::Own => "such as `{dropout: 0}`",
                        },
                    );
                }
            }
            "confidence" => match scalar::number(&entry.value.value) {
                Some(confidence) if confidence > 0.0 && confidence < 1.0 => report.confidence = confidence,
                _ => {
                    let found = entry.value.value.describe();
                    let message =
                        format!("`report.confidence` must be a number between 0 and 1, found {found}");
                    problems.error(entry.value.span, message).help("0.95 is usual");
                }
            },
            "better" if vocabulary == Vocabulary::Own => {
                report.better = read_better(&entry.value, mentions, problems);
            }
            "better" => {
                problems
                    .error(entry.key_span, "`report.better` is for the metrics of programs")
                    .help("of the built-in metrics, loss and mae are better if lower, all others if higher");
            }
            "reference" => report.reference = read_reference(&entry.value, problems),
            "replicates" => {
                for item in scalar::list(&entry.value, "report.replicates", problems).unwrap_or_default() {
                    if let Some(name) = scalar::text(item, "report.replicates", problems) {
                        mentions.replicate(name, item.span);
                    }
                }
            }
            _ => scalar::unknown_key(
                entry,
                "report",
                &["metrics", "baseline", "confidence", "better", "reference", "replicates"],
                problems,
            ),
        }
    }
    (report, baseline)
}

/// The name of a file. The file is not opened here, but when a report is made.
fn read_reference(node: &Node, problems: &mut Problems<'_>) -> Option<String> {
    let path = scalar::text(node, "report.reference", problems)?;
    if path.trim().is_empty() || path.len() > MAX_TEXT_BYTES || path.chars().any(is_unprintable) {
        let message = format!(
            "`report.reference` must be the path of a file, of 1 to {MAX_TEXT_BYTES} bytes on one line"
        );
        problems
            .error(node.span, message)
            .help("a CSV file of published means, relative to this file; see sweeps/reference");
        return None;
    }
    Some(path.to_owned())
}

/// The directions in which metrics get better.
fn read_better(
    node: &Node,
    mentions: &mut Mentions,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, Direction> {
    let mut better = BTreeMap::new();
    for entry in scalar::map(node, "report.better", problems).unwrap_or_default() {
        let what = format!("report.better.{}", entry.key);
        mentions.direction_of(&entry.key, entry.key_span);
        let Some(word) = scalar::text(&entry.value, &what, problems) else { continue };
        match Direction::ALL.into_iter().find(|direction| direction.as_str() == word) {
            Some(direction) => {
                better.insert(entry.key.clone(), direction);
            }
            None => {
                problems
                    .error(entry.value.span, format!("`{what}` must be `higher` or `lower`, found `{word}`"))
                    .help("of a loss the lower value is better, of an accuracy the higher");
            }
        }
    }
    better
}

/// The names of a program's metrics.
fn read_own_metrics(node: &Node, problems: &mut Problems<'_>) -> Vec<(String, Span)> {
    let Some(items) = scalar::list(node, "report.metrics", problems) else { return Vec::new() };
    if items.is_empty() {
        problems
            .error(node.span, "`report.metrics` is empty")
            .help("name the metrics that the program reports");
    }
    let mut seen = HashMap::new();
    let mut metrics = Vec::new();
    for item in items {
        let Some(name) = scalar::text(item, "report.metrics", problems) else { continue };
        if name.trim().is_empty() || name.len() > metric::MAX_NAME_BYTES || name.chars().any(is_unprintable) {
            problems.error(item.span, "this cannot be the name of a metric").help(format!(
                "a name has 1 to {} bytes, without control characters",
                metric::MAX_NAME_BYTES
            ));
            continue;
        }
        if let Some(first) = seen.insert(name, item.span) {
            problems
                .error(item.span, format!("the metric `{name}` is given twice"))
                .note(first, "the first one is here");
        }
        metrics.push((name.to_owned(), item.span));
    }
    metrics
}

/// The metric names, with the modalities of a subset in sorted order: `loss@b+a` becomes `loss@a+b`.
fn read_metrics(node: &Node, problems: &mut Problems<'_>) -> Vec<(String, Span)> {
    let known = metric::REGRESSION;
    let all = || format!("the metrics are {}", known.join(", "));
    let Some(items) = scalar::list(node, "report.metrics", problems) else { return Vec::new() };
    if items.is_empty() {
        problems.error(node.span, "`report.metrics` is empty").help(all());
    }
    let mut seen = HashMap::new();
    let mut metrics = Vec::new();
    for item in items {
        let Some(name) = scalar::text(item, "report.metrics", problems) else { continue };
        let (plain, subset) = metric::split(name);
        if !known.contains(&plain) {
            let help = did_you_mean(plain, known.into_iter()).unwrap_or_else(all);
            problems.error(item.span, format!("there is no metric `{plain}`")).help(help);
            continue;
        }
        let name = match subset {
            None => name.to_owned(),
            Some(subset) => {
                let names: BTreeSet<String> = subset.split('+').map(|name| name.trim().to_owned()).collect();
                metric::with_modalities(plain, &Vec::from_iter(names))
            }
        };
        if let Some(first) = seen.insert(name.clone(), item.span) {
            problems
                .error(item.span, format!("the metric `{name}` is given twice"))
                .note(first, "the first one is here");
        }
        metrics.push((name, item.span));
    }
    metrics
}

pub(crate) fn default_retries() -> RetrySettings {
    RetrySettings {
        max_attempts: 3,
        initial_backoff: Duration::from_secs(5),
        max_backoff: Duration::from_mins(5),
    }
}

/// Reads `retries`.
pub(crate) fn read_retries(node: &Node, problems: &mut Problems<'_>) -> RetrySettings {
    const KEYS: [&str; 3] = ["max_attempts", "initial_backoff", "max_backoff"];
    let mut retries = default_retries();
    for entry in scalar::map(node, "retries", problems).unwrap_or_default() {
        let what = format!("retries.{}", entry.key);
        match entry.key.as_str() {
            "max_attempts" => {
                let attempts = scalar::integer(&entry.value, "`retries.max_attempts`", 1, 100, problems);
                retries.max_attempts = attempts.and_then(|value| u32::try_from(value).ok()).unwrap_or(1);
            }
            "initial_backoff" => {
                let backoff = scalar::duration(&entry.value, &what, problems);
                retries.initial_backoff = backoff.unwrap_or(Duration::ZERO);
            }
            "max_backoff" => {
                let backoff = scalar::duration(&entry.value, &what, problems);
                retries.max_backoff = backoff.unwrap_or(Duration::MAX);
            }
            _ => scalar::unknown_key(entry, "retries", &KEYS, problems),
        }
    }
    if retries.initial_backoff > retries.max_backoff {
        problems
            .error(node.span, "`retries.initial_backoff` is longer than `retries.max_backoff`")
            .help(format!("the defaults are 5s and 5m; `max_backoff` is {:?} here", retries.max_backoff));
    }
    retries
}

/// Reads `checkpoint`.
pub(crate) fn read_checkpoint(node: &Node, problems: &mut Problems<'_>) -> CheckpointSettings {
    let mut checkpoint = CheckpointSettings::default();
    for entry in scalar::map(node, "checkpoint", problems).unwrap_or_default() {
        match entry.key.as_str() {
            "every_epochs" => {
                let what = "`checkpoint.every_epochs`";
                let epochs = scalar::integer(&entry.value, what, 0, MAX_EPOCHS_BETWEEN, problems);
                checkpoint.every_epochs = epochs.and_then(|value| u32::try_from(value).ok()).unwrap_or(0);
            }
            _ => scalar::unknown_key(entry, "checkpoint", &["every_epochs"], problems),
        }
    }
    checkpoint
}

/// Reads `order`.
pub(crate) fn read_order(node: &Node, problems: &mut Problems<'_>) -> Order {
    let Some(word) = scalar::text(node, "order", problems) else { return Order::default() };
    let words = Order::ALL.map(Order::as_str);
    Order::ALL.into_iter().find(|order| order.as_str() == word).unwrap_or_else(|| {
        let help = did_you_mean(word, words.into_iter())
            .unwrap_or_else(|| format!("the orders are {}", words.join(" and ")));
        problems.error(node.span, format!("there is no order `{word}`")).help(help);
        Order::default()
    })
}

/// Reads `priority`.
pub(crate) fn read_priority(node: &Node, problems: &mut Problems<'_>) -> i32 {
    let (lowest, highest) = (ScheduleSettings::LOWEST, ScheduleSettings::HIGHEST);
    if let Raw::Integer(value) = &node.value
        && let Ok(priority) = i32::try_from(*value)
        && (lowest..=highest).contains(&priority)
    {
        return priority;
    }
    let found = node.value.describe();
    let message = format!("`priority` must be an integer from {lowest} to {highest}, found {found}");
    problems.error(node.span, message).help("0 is usual; sweeps with a higher priority come first");
    0
}
