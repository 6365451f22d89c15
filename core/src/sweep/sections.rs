//! `seeds`, `retries`, `checkpoint`, `keep`, `order` and `priority`.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use super::{
    definition::{CheckpointSettings, Kept, Order, RetrySettings, ScheduleSettings},
    diagnostic::Problems,
    raw::{Node, Raw},
    scalar::{self, did_you_mean},
};

/// Up to this value seeds are exact in tools that read every number as a double.
pub(super) const MAX_SEED: u64 = (1 << 53) - 1;
/// Maximum number of seeds of a `{count, base}`.
pub(super) const MAX_SEEDS: u64 = 1_000_000;
/// The largest `checkpoint.every_epochs`.
pub(super) const MAX_EPOCHS_BETWEEN: u64 = 100_000;

/// The largest `retries.max_attempts`.
pub(super) const MAX_ATTEMPTS: u64 = 100;
/// The number of seeds without `seeds`.
pub(super) const DEFAULT_SEEDS: u64 = 5;
/// The keys of `seeds`, `retries` and `checkpoint`.
pub(super) const SEED_KEYS: [&str; 2] = ["count", "base"];
pub(super) const RETRY_KEYS: [&str; 3] = ["max_attempts", "initial_backoff", "max_backoff"];
pub(super) const CHECKPOINT_KEYS: [&str; 1] = ["every_epochs"];

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
            let (mut count, mut base) = (DEFAULT_SEEDS, 0);
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
                    _ => scalar::unknown_key(entry, "seeds", &SEED_KEYS, problems),
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

pub(crate) fn default_retries() -> RetrySettings {
    RetrySettings {
        max_attempts: 3,
        initial_backoff: Duration::from_secs(5),
        max_backoff: Duration::from_mins(5),
    }
}

/// Reads `retries`.
pub(crate) fn read_retries(node: &Node, problems: &mut Problems<'_>) -> RetrySettings {
    let mut retries = default_retries();
    for entry in scalar::map(node, "retries", problems).unwrap_or_default() {
        let what = format!("retries.{}", entry.key);
        match entry.key.as_str() {
            "max_attempts" => {
                let attempts =
                    scalar::integer(&entry.value, "`retries.max_attempts`", 1, MAX_ATTEMPTS, problems);
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
            _ => scalar::unknown_key(entry, "retries", &RETRY_KEYS, problems),
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
            _ => scalar::unknown_key(entry, "checkpoint", &CHECKPOINT_KEYS, problems),
        }
    }
    checkpoint
}

/// Reads `keep`.
pub(crate) fn read_keep(node: &Node, problems: &mut Problems<'_>) -> BTreeSet<Kept> {
    let words = Kept::ALL.map(Kept::as_str);
    let mut keep = BTreeSet::new();
    // The setting of the same name has these words.
    if let Raw::Text(word) = &node.value
        && ["best", "last"].contains(&word.as_str())
    {
        problems
            .error(node.span, "`keep` must be a list of files to keep")
            .help(format!("the epoch whose weights are tested is a setting: `training: {{keep: {word}}}`"));
        return keep;
    }
    for item in scalar::list(node, "keep", problems).unwrap_or_default() {
        let Some(word) = scalar::text(item, "an entry of `keep`", problems) else { continue };
        match Kept::ALL.into_iter().find(|kept| kept.as_str() == word) {
            Some(kept) if keep.insert(kept) => {}
            Some(_) => {
                problems.error(item.span, format!("`{word}` is given twice")).help("remove one of them");
            }
            None => {
                let help = did_you_mean(word, words.into_iter())
                    .unwrap_or_else(|| format!("what can be kept is {}", words.join(" and ")));
                problems.error(item.span, format!("`keep` has no `{word}`")).help(help);
            }
        }
    }
    keep
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
