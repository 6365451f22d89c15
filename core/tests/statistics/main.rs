//! Verdicts over all comparisons of a sweep: what they say, how often they are wrong, and against numbers of scipy.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod published;
mod random;
mod simulation;
mod verdicts;

use colearn_core::statistics::{Comparison, CriticalValues, Group, Pair, Question, Row, judge};

/// What the tests ask, unless they say otherwise.
pub(crate) const QUESTION: Question =
    Question { confidence: 0.95, higher_is_better: true, margin: None, simultaneous: true };

/// The results of one metric: for each configuration, the value at each seed; the first configuration is the baseline.
pub(crate) type Values = Vec<Vec<f64>>;

/// Compares every configuration with the first.
pub(crate) fn judged(
    values: &Values,
    question: &Question,
    known: &mut CriticalValues,
) -> (Vec<Comparison>, Group) {
    let (mut comparisons, mut groups) = judged_groups(&[values], question, known);
    (comparisons.remove(0), groups.remove(0))
}

/// Compares every configuration with the first of its group.
pub(crate) fn judged_groups(
    groups: &[&Values],
    question: &Question,
    known: &mut CriticalValues,
) -> (Vec<Vec<Comparison>>, Vec<Group>) {
    let pairs: Vec<Vec<Vec<Pair>>> = groups.iter().map(|values| pairs(values)).collect();
    let of = |pairs: &Vec<Pair>| {
        let plain: Vec<(f64, f64)> = pairs.iter().map(|pair| (pair.ours, pair.baseline)).collect();
        Comparison::of(&plain, question.confidence).unwrap()
    };
    let mut comparisons: Vec<Vec<Comparison>> =
        pairs.iter().map(|group| group.iter().map(of).collect()).collect();
    let row = |(comparison, pairs)| Row { comparison, pairs, has_verdict: true };
    let mut rows: Vec<Vec<Row<'_>>> = comparisons
        .iter_mut()
        .zip(&pairs)
        .map(|(comparisons, pairs)| {
            comparisons.iter_mut().zip(pairs.iter().map(Vec::as_slice)).map(row).collect()
        })
        .collect();
    let how = judge(&mut rows, question, known);
    (comparisons, how)
}

/// The pairs of each configuration but the first. A value of NaN is a missing result.
fn pairs(values: &Values) -> Vec<Vec<Pair>> {
    let (baseline, others) = values.split_first().unwrap();
    let pair = |((seed, ours), baseline): ((usize, &f64), &f64)| {
        let known = !ours.is_nan() && !baseline.is_nan();
        known.then_some(Pair { replicate: (0, seed as u64), ours: *ours, baseline: *baseline })
    };
    others.iter().map(|row| row.iter().enumerate().zip(baseline).filter_map(pair).collect()).collect()
}
