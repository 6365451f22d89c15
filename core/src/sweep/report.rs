//! `report`: what the table shows, and how configurations are compared.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    definition::{Adjustment, ReportSettings},
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

/// The keys of `report`.
pub(super) const KEYS: [&str; 9] = [
    "metrics",
    "baseline",
    "confidence",
    "better",
    "reference",
    "replicates",
    "margin",
    "adjustment",
    "choose_by",
];

pub(crate) fn default_report() -> ReportSettings {
    let metrics = [metric::ACCURACY, metric::LOSS, metric::F_SCORE];
    ReportSettings {
        metrics: metrics.map(str::to_owned).to_vec(),
        confidence: 0.95,
        reference: None,
        better: BTreeMap::new(),
        replicates: Vec::new(),
        margin: BTreeMap::new(),
        adjustment: Adjustment::default(),
        matched: false,
        choose_by: None,
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
            "margin" => report.margin = read_margin(&entry.value, vocabulary, problems),
            "adjustment" => report.adjustment = read_adjustment(&entry.value, problems),
            "choose_by" => report.choose_by = read_choose_by(&entry.value, vocabulary, problems),
            _ => scalar::unknown_key(entry, "report", &KEYS, problems),
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
    let Some(items) = scalar::list(node, "report.metrics", problems) else { return Vec::new() };
    if items.is_empty() {
        problems.error(node.span, "`report.metrics` is empty").help(all_metrics());
    }
    let mut seen = HashMap::new();
    let mut metrics = Vec::new();
    for item in items {
        let Some(name) = scalar::text(item, "report.metrics", problems) else { continue };
        let Some(name) = network_metric(name, item.span, problems) else { continue };
        if let Some(first) = seen.insert(name.clone(), item.span) {
            problems
                .error(item.span, format!("the metric `{name}` is given twice"))
                .note(first, "the first one is here");
        }
        metrics.push((name, item.span));
    }
    metrics
}

/// The name of a network's metric, with the modalities of a subset in sorted order; `None` after an error.
fn network_metric(name: &str, span: Span, problems: &mut Problems<'_>) -> Option<String> {
    let (plain, subset) = metric::split(name);
    let bare = metric::of_validation(plain).unwrap_or(plain);
    if !metric::ALL.contains(&bare) {
        let help = did_you_mean(bare, metric::ALL.into_iter()).unwrap_or_else(all_metrics);
        problems.error(span, format!("there is no metric `{plain}`")).help(help);
        return None;
    }
    Some(match subset {
        None => name.to_owned(),
        Some(subset) => {
            let names: BTreeSet<String> = subset.split('+').map(|name| name.trim().to_owned()).collect();
            metric::with_modalities(plain, &Vec::from_iter(names))
        }
    })
}

fn all_metrics() -> String {
    let names = metric::ALL.join(", ");
    format!("the metrics are {names}; with `{}` before the name, on the validation split", metric::VALID)
}

/// The equivalence margins by metric. That of the first shown metric, if the file gives only a number, is under the
/// empty name until the shown metrics are known.
fn read_margin(node: &Node, vocabulary: Vocabulary, problems: &mut Problems<'_>) -> BTreeMap<String, f64> {
    let mut margins = BTreeMap::new();
    match &node.value {
        Raw::Map(entries) => {
            for entry in entries {
                let name = match vocabulary {
                    Vocabulary::Networks => network_metric(&entry.key, entry.key_span, problems),
                    Vocabulary::Own => Some(entry.key.clone()),
                };
                let what = format!("report.margin.{}", entry.key);
                let margin = read_one_margin(&entry.value, &what, problems);
                margins.extend(name.zip(margin));
            }
        }
        _ => margins
            .extend(read_one_margin(node, "report.margin", problems).map(|margin| (String::new(), margin))),
    }
    margins
}

fn read_one_margin(node: &Node, what: &str, problems: &mut Problems<'_>) -> Option<f64> {
    let margin = scalar::number(&node.value).filter(|margin| *margin > 0.0 && margin.is_finite());
    if margin.is_none() {
        let found = node.value.describe();
        problems.error(node.span, format!("`{what}` must be a number above 0, found {found}")).help(
            "the largest difference to the baseline that does not matter to you, such as 0.02; or {accuracy: 0.02, loss: 0.1}",
        );
    }
    margin
}

fn read_adjustment(node: &Node, problems: &mut Problems<'_>) -> Adjustment {
    let Some(word) = scalar::text(node, "report.adjustment", problems) else { return Adjustment::default() };
    let found = Adjustment::ALL.into_iter().find(|adjustment| adjustment.as_str() == word);
    found.unwrap_or_else(|| {
        problems
            .error(node.span, format!("`report.adjustment` must be `simultaneous` or `none`, found `{word}`"))
            .help("`simultaneous` holds the error rate over all comparisons together, `none` for each alone");
        Adjustment::default()
    })
}

/// The metric by which configurations are chosen. That of a network is one of the validation split: what is chosen on
/// the test split looks better than it is.
fn read_choose_by(node: &Node, vocabulary: Vocabulary, problems: &mut Problems<'_>) -> Option<String> {
    let name = scalar::text(node, "report.choose_by", problems)?;
    match vocabulary {
        Vocabulary::Own if name.trim().is_empty() => {
            problems.error(node.span, "`report.choose_by` is empty").help("name a metric of the program");
            None
        }
        Vocabulary::Own => Some(name.to_owned()),
        Vocabulary::Networks if metric::of_validation(name).is_none() => {
            problems
                .error(
                    node.span,
                    format!("`{name}` is a metric of the test split: nothing may be chosen by it"),
                )
                .help(format!("choose by the validation split: `{}{name}`", metric::VALID));
            None
        }
        Vocabulary::Networks => network_metric(name, node.span, problems),
    }
}
