//! Judges all comparisons of a sweep in one metric.

use serde::{Deserialize, Serialize};

use super::{
    comparison::Comparison,
    holm::holm,
    homogeneity::{Pool, Reason, VarianceTests, pool},
    maximum::CriticalValues,
    power::{Needed, Test, Undecided},
    summary::scale_of,
    verdict::{Method, Verdict},
};

/// The results of a configuration and of its baseline at one replicate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// What replicate it is: a number for the values of `report.replicates`, and the seed.
    pub replicate: (usize, u64),
    /// The result of the configuration.
    pub ours: f64,
    /// That of the baseline.
    pub baseline: f64,
}

/// One compared configuration.
#[derive(Debug)]
pub struct Row<'a> {
    /// Its comparison, from [`Comparison::of`]; what depends on the other rows is filled in.
    pub comparison: &'a mut Comparison,
    /// Its pairs.
    pub pairs: &'a [Pair],
    /// Whether a verdict in the paper's terms makes sense.
    pub has_verdict: bool,
}

/// What is asked of all comparisons in one metric.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// The probability, in (0, 1), that all intervals of the metric hold at once.
    pub confidence: f64,
    /// Which direction is better.
    pub higher_is_better: bool,
    /// The largest difference that does not matter, if there is one.
    pub margin: Option<f64>,
    /// Whether verdicts are about the simultaneous intervals, or about each configuration alone.
    pub simultaneous: bool,
}

/// How the configurations that are compared with one baseline were judged, in one metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Number of configurations that are compared with the baseline.
    pub compared: usize,
    /// Number of replicates that the configurations that are tested and the baseline all have.
    pub replicates: usize,
    /// The confidence level of the group: with several groups, each has its part of the error.
    pub confidence: f64,
    /// The method.
    pub method: Method,
    /// Why this method.
    pub reason: Reason,
    /// The critical value of |t| of Dunnett's maximum.
    pub critical: Option<f64>,
    /// Its degrees of freedom.
    pub degrees: Option<f64>,
    /// The residual mean square that the configurations share.
    pub mean_square: Option<f64>,
    /// p-value of Bartlett's test of the residuals.
    pub bartlett_p: Option<f64>,
    /// p-value of the F-test of the baseline's residuals.
    pub baseline_p: Option<f64>,
}

/// Judges the comparisons of one metric: `groups` has one list of rows for each baseline. Returns how each group was
/// judged, in the same order. The probability of any false PCL or NCL among all of them is at most 1 - confidence, if
/// the assumptions hold; see `docs/statistics.md`.
pub fn judge(groups: &mut [Vec<Row<'_>>], question: &Question, known: &mut CriticalValues) -> Vec<Group> {
    let total: usize = groups.iter().map(Vec::len).sum();
    correct(groups);
    let judged = |rows: &mut Vec<Row<'_>>| judge_group(rows, question, total, known);
    groups.iter_mut().filter(|rows| !rows.is_empty()).map(judged).collect()
}

/// Holm's correction over all rows. A row without a test stays in the family.
fn correct(groups: &mut [Vec<Row<'_>>]) {
    type Plain = fn(&Comparison) -> Option<f64>;
    type Corrected = fn(&mut Comparison) -> &mut Option<f64>;
    let tests: [(Plain, Corrected); 2] =
        [(|it| it.t_p, |it| &mut it.t_p_holm), (|it| it.wilcoxon_p, |it| &mut it.wilcoxon_p_holm)];
    for (plain, corrected) in tests {
        let rows = || groups.iter().flatten();
        let p_values: Vec<f64> = rows().map(|row| plain(row.comparison).unwrap_or(1.0)).collect();
        for (row, p) in groups.iter_mut().flatten().zip(holm(&p_values)) {
            *corrected(row.comparison) = plain(row.comparison).map(|_| p);
        }
    }
}

fn judge_group(rows: &mut [Row<'_>], question: &Question, total: usize, known: &mut CriticalValues) -> Group {
    let compared = rows.len();
    // Sidak's share of a group, by its size.
    let share = compared as f64 / total as f64;
    let confidence = question.confidence.powf(share);
    let values = complete(rows);
    let scale = scale_of(&values.concat());
    let scaled: Vec<Vec<f64>> =
        values.iter().map(|row| row.iter().map(|value| value * scale).collect()).collect();
    let (pooled, tests) = match compared {
        1 => (Err(Reason::OneComparison), VarianceTests::default()),
        _ => pool(&scaled),
    };
    let (method, reason) = match (compared, pooled) {
        (1, _) => (Method::Paired, Reason::OneComparison),
        (_, Ok(_)) => (Method::Dunnett, Reason::SimilarVariances),
        (_, Err(reason)) => (Method::Holm, reason),
    };
    let test = Test { method, rows: compared, pooled: values.len().saturating_sub(1), confidence };
    let corrected = corrected_p(rows, method);
    let needed = Needed::default();
    let mut shared = Shared { question, test, pool: pooled.ok(), scale, share, known, needed };
    for (row, p) in rows.iter_mut().zip(corrected) {
        shared.judge(row, p);
    }
    let critical = pooled.ok().and_then(|pool| known.of(compared, pool.degrees, confidence));
    Group {
        compared,
        replicates: values.iter().map(Vec::len).min().unwrap_or(0),
        confidence,
        method,
        reason,
        critical,
        degrees: pooled.ok().map(|pool| pool.degrees),
        mean_square: pooled.ok().map(|pool| pool.mean_square / scale.powi(2)).filter(|it| it.is_finite()),
        bartlett_p: tests.bartlett,
        baseline_p: tests.baseline,
    }
}

/// p-values of the paired t-tests; with Holm's method corrected within the group. A row without a test counts as 1.
fn corrected_p(rows: &[Row<'_>], method: Method) -> Vec<f64> {
    let plain: Vec<f64> = rows.iter().map(|row| row.comparison.t_p.unwrap_or(1.0)).collect();
    if method == Method::Holm { holm(&plain) } else { plain }
}

/// The results at each replicate that all tested rows have: those of the baseline, then those of each tested row.
fn complete(rows: &[Row<'_>]) -> Vec<Vec<f64>> {
    let tested: Vec<&[Pair]> =
        rows.iter().filter(|row| row.comparison.untested.is_none()).map(|row| row.pairs).collect();
    let Some((first, others)) = tested.split_first() else { return Vec::new() };
    let others: Vec<std::collections::HashMap<(usize, u64), f64>> =
        others.iter().map(|pairs| pairs.iter().map(|pair| (pair.replicate, pair.ours)).collect()).collect();
    let mut values = vec![Vec::new(); tested.len() + 1];
    for pair in *first {
        let rest: Option<Vec<f64>> = others.iter().map(|of| of.get(&pair.replicate).copied()).collect();
        let Some(rest) = rest else { continue };
        for (list, value) in values.iter_mut().zip([pair.baseline, pair.ours].into_iter().chain(rest)) {
            list.push(value);
        }
    }
    values
}

/// What the rows of a group share.
struct Shared<'a> {
    question: &'a Question,
    test: Test,
    pool: Option<Pool>,
    /// The factor of the pooled variance's values.
    scale: f64,
    /// The group's share of the family.
    share: f64,
    known: &'a mut CriticalValues,
    /// The numbers of pairs that rows before needed.
    needed: Needed,
}

impl Shared<'_> {
    /// Fills in a row; `p` is that of [`corrected_p`].
    fn judge(&mut self, row: &mut Row<'_>, p: f64) {
        let it = &mut *row.comparison;
        let Some(deviation) = it.deviation.filter(|_| it.untested.is_none()) else { return };
        let root = (it.pairs as f64).sqrt();
        let Some(critical) = self.test.critical(it.pairs, self.known) else { return };
        let own = critical.last().map_or(f64::NAN, |(critical, _)| critical * deviation / root);
        let (half, p, deviation) = match self.pool {
            None => (own, p, deviation),
            Some(pool) => {
                let shared = (2.0 * pool.mean_square).sqrt() / self.scale;
                let t = it.mean_difference / (shared / root);
                let most = self.known.of(self.test.rows, pool.degrees, self.test.confidence);
                let maximum = self.known.maximum_p(t, self.test.rows, pool.degrees);
                // The interval is never narrower than the row's own.
                let half = most.map_or(f64::NAN, |most| most * shared / root).max(own);
                (half, maximum.unwrap_or(1.0).max(p), shared.max(deviation))
            }
        };
        it.method = Some(self.test.method);
        // The p-value at which the group would reject, for the whole family.
        it.adjusted_p = Some(-((-p).ln_1p() / self.share).exp_m1());
        let ends = [it.mean_difference - half, it.mean_difference + half];
        if ends.iter().all(|end| end.is_finite()) {
            [it.simultaneous_ci_low, it.simultaneous_ci_high] = ends.map(Some);
        }
        self.decide(row, deviation);
    }

    /// Fills in the verdict of a tested row.
    fn decide(&mut self, row: &mut Row<'_>, deviation: f64) {
        let Question { confidence, higher_is_better, margin, simultaneous } = *self.question;
        let it = &mut *row.comparison;
        let p = if simultaneous { it.adjusted_p } else { it.t_p };
        let within = |(low, high): (f64, f64)| margin.map(|margin| -margin <= low && high <= margin);
        it.within_margin = it.interval(simultaneous).and_then(within);
        let verdict = if p.is_some_and(|p| p <= 1.0 - confidence) {
            let is_better = (it.mean_difference > 0.0) == higher_is_better;
            if is_better { Verdict::Positive } else { Verdict::Negative }
        } else if it.within_margin == Some(true) {
            Verdict::Equivalent
        } else {
            Verdict::Inconclusive
        };
        it.verdict = row.has_verdict.then_some(verdict);
        if verdict == Verdict::Inconclusive {
            let alone = Test { method: Method::Paired, rows: 1, pooled: 1, confidence };
            let undecided = Undecided {
                pairs: it.pairs,
                difference: it.mean_difference.abs(),
                deviation: if simultaneous { deviation } else { it.deviation.unwrap_or(deviation) },
                margin,
                test: if simultaneous { self.test } else { alone },
            };
            it.pairs_needed = undecided.needed(self.known, &mut self.needed);
        }
    }
}
