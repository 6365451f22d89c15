//! Dividing the samples among training, validation and test.

use std::collections::{BTreeMap, HashMap};

use colearn_data_format::Split;
use sha2::{Digest as _, Sha256};

use crate::{
    Reference,
    mistake::{Mistake, Mistakes, counted, some},
    samples::Samples,
    table::Values,
};

/// How the samples are divided.
#[derive(Clone, Debug, PartialEq)]
pub enum Division {
    /// As a table says: `train`, `valid` or `test` for each sample.
    Table(Reference),
    /// At random: shares of train, valid and test.
    Fractions {
        /// Positive; their sum is 1.
        fractions: [f64; 3],
        /// Chooses the order in which samples are dealt out.
        seed: u64,
    },
    /// Folds: one is for test, the next one for validation, the others for training.
    Folds {
        /// How many parts there are; at least 3.
        count: usize,
        /// The part that tests, counted from 0.
        fold: usize,
        /// Chooses the parts.
        seed: u64,
    },
}

impl Division {
    /// All folds, each for test once; another division alone.
    #[must_use]
    pub fn all_folds(&self) -> Vec<Self> {
        match *self {
            Self::Folds { count, seed, .. } => {
                (0..count).map(|fold| Self::Folds { count, fold, seed }).collect()
            }
            _ => vec![self.clone()],
        }
    }
}

/// Samples that stay in one split: those of a group, or of one id.
struct Unit<'a> {
    name: &'a str,
    samples: Vec<usize>,
}

/// The units, ordered by a hash of seed and name. `python/colearn.py` has the same order.
fn units<'a>(names: &'a [String], seed: u64) -> Vec<Unit<'a>> {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (sample, name) in names.iter().enumerate() {
        by_name.entry(name).or_default().push(sample);
    }
    let mut units: Vec<Unit<'a>> =
        by_name.into_iter().map(|(name, samples)| Unit { name, samples }).collect();
    units.sort_by_cached_key(|unit| Sha256::digest(format!("{seed}:{}", unit.name)));
    units
}

/// Divides samples at random in the given shares; `names` are the groups, or the ids, of the samples.
fn by_fractions(names: &[String], fractions: [f64; 3], seed: u64) -> Vec<Split> {
    let units = units(names, seed);
    let mut splits = vec![Split::Train; names.len()];
    if units.iter().all(|unit| unit.samples.len() == 1) {
        // The remainder goes to the held-out parts, as in scikit-learn's train_test_split. The small margins correct
        // the rounding of shares such as 0.1.
        let aside = (names.len() as f64 * (fractions[1] + fractions[2]) - 1e-9).ceil();
        let test = (aside * fractions[2] / (fractions[1] + fractions[2]) + 1e-9).floor() as usize;
        let train = names.len().saturating_sub(aside as usize);
        let valid = (aside as usize).saturating_sub(test);
        for (at, unit) in units.iter().enumerate() {
            let split = match at {
                _ if at < train => Split::Train,
                _ if at < train + valid => Split::Valid,
                _ => Split::Test,
            };
            unit.samples.iter().for_each(|sample| splits[*sample] = split);
        }
        return splits;
    }
    // Each unit goes to the split that is filled least, relative to its share.
    let mut filled = [0; 3];
    for unit in &units {
        let share = |at: usize| filled[at] as f64 / fractions[at];
        let at = (0..3).fold(0, |best, at| if share(at) < share(best) { at } else { best });
        filled[at] += unit.samples.len();
        unit.samples.iter().for_each(|sample| splits[*sample] = Split::ALL[at]);
    }
    splits
}

/// Divides samples into parts of about equal size.
fn by_folds(names: &[String], count: usize, fold: usize, seed: u64) -> Vec<Split> {
    let mut sizes = vec![0; count];
    let mut splits = vec![Split::Train; names.len()];
    for unit in units(names, seed) {
        let part = (0..count).fold(0, |best, part| if sizes[part] < sizes[best] { part } else { best });
        sizes[part] += unit.samples.len();
        let split = match part {
            _ if part == fold => Split::Test,
            _ if part == (fold + 1) % count => Split::Valid,
            _ => Split::Train,
        };
        unit.samples.iter().for_each(|sample| splits[*sample] = split);
    }
    splits
}

/// Checks a division without knowing the samples.
pub(crate) fn check(division: &Division) -> Result<(), Mistake> {
    match division {
        Division::Table(_) => Ok(()),
        Division::Fractions { fractions, .. } => {
            let place = format!("--split {},{},{}", fractions[0], fractions[1], fractions[2]);
            let positive = fractions.iter().all(|share| share.is_finite() && *share > 0.0);
            let sum: f64 = fractions.iter().sum();
            if !positive {
                return Err(Mistake::new(place, "every share has to be greater than 0").help(
                    "a data set needs training, validation and test samples, such as --split 0.7,0.1,0.2",
                ));
            }
            if (sum - 1.0).abs() > 1e-6 {
                let sum = (sum * 1e6).round() / 1e6;
                return Err(Mistake::new(
                    place,
                    format_args!("the shares of train, valid and test sum up to {sum}"),
                )
                .help("they have to sum up to 1, such as --split 0.7,0.1,0.2"));
            }
            Ok(())
        }
        Division::Folds { count, fold, .. } => {
            if *count < 3 {
                return Err(Mistake::new(format_args!("--folds {count}"), "at least 3 are needed")
                    .help("one fold tests, one validates, the others train"));
            }
            if fold >= count {
                return Err(Mistake::new(
                    format_args!("--fold {fold}"),
                    format_args!("the folds are 0 to {}", count - 1),
                ));
            }
            Ok(())
        }
    }
}

/// The split of every sample.
pub(crate) fn divide(
    division: &Division,
    samples: &Samples,
    groups: Option<&[String]>,
) -> Result<Vec<Split>, Mistake> {
    check(division)?;
    let names = groups.unwrap_or(&samples.ids);
    match division {
        Division::Table(_) => Ok(Vec::new()),
        Division::Fractions { fractions, seed } => Ok(by_fractions(names, *fractions, *seed)),
        Division::Folds { count, fold, seed } => {
            let units = units(names, *seed).len();
            if units < *count {
                let noun = if groups.is_some() { "group" } else { "sample" };
                return Err(Mistake::new(
                    format_args!("--folds {count}"),
                    format_args!("there are only {}", counted(units, noun)),
                ));
            }
            Ok(by_folds(names, *count, *fold, *seed))
        }
    }
}

/// Reads the names of splits. Others write `val` or `dev` where this format has `valid`.
pub(crate) fn named(place: &str, values: Values, samples: &Samples) -> Result<Vec<Split>, Mistake> {
    let texts = values.into_texts();
    let split = |text: &String| match text.to_lowercase().as_str() {
        "train" | "training" => Some(Split::Train),
        "valid" | "val" | "validation" | "dev" => Some(Split::Valid),
        "test" => Some(Split::Test),
        _ => None,
    };
    let unknown: Vec<usize> = (0..texts.len()).filter(|at| split(&texts[*at]).is_none()).collect();
    let Some(first) = unknown.first() else { return Ok(texts.iter().filter_map(split).collect()) };
    let distinct: std::collections::BTreeSet<&String> = unknown.iter().map(|at| &texts[*at]).collect();
    let problem = format!(
        "{} in an unknown split: {}, the first at {}",
        counted(unknown.len(), "sample"),
        some(distinct),
        samples.name(*first)
    );
    Err(Mistake::new(place, problem).help("the splits are train, valid (or val, validation, dev) and test"))
}

/// Checks that no split is empty and that no group is in two splits.
pub(crate) fn check_division(
    place: &str,
    splits: &[Split],
    groups: Option<(&str, &[String])>,
    mistakes: &mut Mistakes,
) {
    for split in Split::ALL.into_iter().filter(|split| !splits.contains(split)) {
        mistakes.add(
            Mistake::new(place, format_args!("the {split} split is empty")).help(
                "every split needs at least one sample: there may be too few samples or groups to divide",
            ),
        );
    }
    let Some((place, groups)) = groups else { return };
    let mut found: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for (group, split) in groups.iter().zip(splits) {
        found.entry(group).or_default()[*split as usize] += 1;
    }
    let torn: Vec<String> = found
        .iter()
        .filter(|(_, counts)| counts.iter().filter(|count| **count > 0).count() > 1)
        .map(|(group, counts)| {
            let parts = Split::ALL.iter().zip(counts).filter(|(_, count)| **count > 0);
            let parts: Vec<String> = parts.map(|(split, count)| format!("{count} {split}")).collect();
            format!("{group} ({})", parts.join(", "))
        })
        .collect();
    if !torn.is_empty() {
        let problem = format!("{} in more than one split: {}", counted(torn.len(), "group"), some(torn));
        mistakes.add(Mistake::new(place, problem).help(
            "correct the split, omit --groups, or divide the groups at random with --split 0.7,0.1,0.2",
        ));
    }
}

/// Warnings about samples that are in two splits: with the same id, or with the same content.
pub(crate) fn leaks(samples: &Samples, splits: &[Split], digests: &[[u8; 32]]) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut pairs = |what: &str, same: Vec<(usize, usize)>| {
        let Some((first, other)) = same.first() else { return };
        warnings.push(format!(
            "{} in another split with {what}: {} ({}) and {} ({}){}",
            counted(same.len(), "sample"),
            samples.name(*first),
            splits[*first],
            samples.name(*other),
            splits[*other],
            if same.len() > 1 { " are the first" } else { "" }
        ));
    };
    if samples.named_by.is_some() {
        pairs("the same id", in_two_splits(&samples.ids, splits));
    }
    pairs("the same content, bit for bit", in_two_splits(digests, splits));
    warnings
}

/// Samples whose key occurred before in another split, each with the first sample of that key.
fn in_two_splits<K: Eq + std::hash::Hash>(keys: &[K], splits: &[Split]) -> Vec<(usize, usize)> {
    let mut first: HashMap<&K, usize> = HashMap::new();
    let mut pairs = Vec::new();
    for (sample, key) in keys.iter().enumerate() {
        let earlier = *first.entry(key).or_insert(sample);
        if splits[earlier] != splits[sample] {
            pairs.push((earlier, sample));
        }
    }
    pairs
}

#[cfg(test)]
mod tests;
