//! How many replicates would decide.

use std::collections::BTreeMap;

use super::{
    maximum::{CriticalValues, Deviations, above},
    verdict::Method,
};

/// The largest number of pairs that is looked for.
pub const MAX_NEEDED: usize = 1000;
/// The probability of a verdict.
const POWER: f64 = 0.8;

/// A row that is not decided, and its test.
pub(super) struct Undecided {
    pub(super) pairs: usize,
    /// Absolute mean difference, and deviation of the differences; taken to be the true ones.
    pub(super) difference: f64,
    pub(super) deviation: f64,
    pub(super) margin: Option<f64>,
    pub(super) test: Test,
}

/// The test of a row.
#[derive(Clone, Copy)]
pub(super) struct Test {
    pub(super) method: Method,
    /// Number of rows of the group, and how many of them share a deviation.
    pub(super) rows: usize,
    pub(super) pooled: usize,
    pub(super) confidence: f64,
}

impl Test {
    /// Critical values with their degrees of freedom, for `n` pairs; a difference must exceed all of them.
    pub(super) fn critical(self, n: usize, known: &mut CriticalValues) -> Option<Vec<(f64, f64)>> {
        let Self { method, rows, pooled, confidence } = self;
        let own = n as f64 - 1.0;
        let single = known.of(1, own, confidence)?;
        Some(match method {
            Method::Paired => vec![(single, own)],
            Method::Holm => vec![(known.of(1, own, 1.0 - (1.0 - confidence) / rows as f64)?, own)],
            Method::Dunnett => {
                let degrees = pooled as f64 * own;
                vec![(known.of(rows, degrees, confidence)?, degrees), (single, own)]
            }
        })
    }
}

/// The numbers of pairs that rows with the same test need, by the number of their pairs and the size of the effect. A
/// larger effect never needs more.
#[derive(Debug, Default)]
pub(super) struct Needed(BTreeMap<(usize, u64), Option<usize>>);

impl Needed {
    /// The numbers for the nearest smaller and the nearest larger effect, if there are any.
    fn around(&self, pairs: usize, effect: u64) -> (Option<Option<usize>>, Option<Option<usize>>) {
        let smaller = self.0.range((pairs, 0)..=(pairs, effect)).next_back();
        let larger = self.0.range((pairs, effect)..=(pairs, u64::MAX)).next();
        (smaller.map(|(_, needed)| *needed), larger.map(|(_, needed)| *needed))
    }
}

impl Undecided {
    /// The smallest number of pairs with which either verdict has a probability of 80 %: that there is a difference, or
    /// that it is within the margin. `None` for more than [`MAX_NEEDED`]. `others` are those of rows with the same test
    /// and margin.
    pub(super) fn needed(&self, known: &mut CriticalValues, others: &mut Needed) -> Option<usize> {
        let effect = self.difference / self.deviation;
        // With a margin a small effect may need less than a large one.
        if self.margin.is_some() || !effect.is_finite() {
            return self.needed_between(self.pairs, None, known);
        }
        // Numbers that are not negative have the order of their bits.
        let effect = effect.abs().to_bits();
        let needed = match others.around(self.pairs, effect) {
            (_, Some(None)) => None,
            (Some(Some(most)), Some(Some(least))) if most == least => Some(most),
            (smaller, larger) => {
                let short = larger.flatten().map_or(self.pairs, |least| least - 1);
                self.needed_between(short, smaller.flatten(), known)
            }
        };
        others.0.insert((self.pairs, effect), needed);
        needed
    }

    /// The same, if `short` are too few, and `most`, if it is known, are enough.
    fn needed_between(
        &self,
        mut short: usize,
        most: Option<usize>,
        known: &mut CriticalValues,
    ) -> Option<usize> {
        let mut decides = |n: usize| self.power(n, known).is_some_and(|power| power >= POWER);
        let mut enough = most.unwrap_or(MAX_NEEDED);
        if short >= enough || (most.is_none() && !decides(enough)) {
            return None;
        }
        while enough - short > 1 {
            let middle = short + (enough - short) / 2;
            if decides(middle) {
                enough = middle;
            } else {
                short = middle;
            }
        }
        Some(enough)
    }

    /// The probability of the likelier of both verdicts with `n` pairs.
    fn power(&self, n: usize, known: &mut CriticalValues) -> Option<f64> {
        let error = self.deviation / (n as f64).sqrt();
        let (difference, margin) = (self.difference / error, self.margin.map(|margin| margin / error));
        let (mut differs, mut equivalent) = (1.0_f64, 1.0_f64);
        for (critical, degrees) in self.test.critical(n, known)? {
            let deviations = Deviations::coarse(degrees);
            let beyond = |s: f64| above(critical * s - difference) + above(critical * s + difference);
            differs = differs.min(deviations.mean(beyond));
            let within = |s: f64| {
                let room = margin.unwrap_or(0.0) - critical * s;
                if room > 0.0 { above(-room - difference) - above(room - difference) } else { 0.0 }
            };
            equivalent = equivalent.min(deviations.mean(within));
        }
        Some(differs.max(equivalent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(
        difference: f64,
        deviation: f64,
        margin: Option<f64>,
        method: Method,
        rows: usize,
    ) -> Option<usize> {
        let test = Test { method, rows, pooled: rows, confidence: 0.95 };
        let undecided = Undecided { pairs: 5, difference, deviation, margin, test };
        undecided.needed(&mut CriticalValues::default(), &mut Needed::default())
    }

    /// The smallest n with
    /// scipy.stats.nct.sf(c, n - 1, d * sqrt(n) / s) + scipy.stats.nct.cdf(-c, n - 1, d * sqrt(n) / s) >= 0.8
    /// where c = scipy.stats.t.ppf(0.975, n - 1), or of 1 - 0.025 / 7.
    #[test]
    fn agrees_with_scipy() {
        let deviation = 0.018_234_582_528_810_456;
        assert_eq!(needed(0.018, deviation, None, Method::Paired, 1), Some(11));
        assert_eq!(needed(0.01, 0.02, None, Method::Paired, 1), Some(34));
        assert_eq!(needed(0.01, 0.02, None, Method::Holm, 7), Some(54));
        // For the integral over the deviation scipy.integrate.quad.
        assert_eq!(needed(0.002, 0.02, Some(0.01), Method::Paired, 1), Some(53));
    }

    #[test]
    fn whichever_verdict_comes_first_decides() {
        let without = needed(0.003, 0.02, None, Method::Dunnett, 7).unwrap();
        let with = needed(0.003, 0.02, Some(0.02), Method::Dunnett, 7).unwrap();
        assert!(with < without, "{with} {without}");
        // A margin that is too narrow does not help.
        assert_eq!(needed(0.003, 0.02, Some(0.001), Method::Dunnett, 7), Some(without));
    }

    #[test]
    fn among_others_the_number_is_the_same_and_is_found_sooner() {
        for (method, margin) in [
            (Method::Dunnett, None),
            (Method::Holm, None),
            (Method::Paired, None),
            (Method::Holm, Some(0.004)),
        ] {
            let test = Test { method, rows: 2000, pooled: 2000, confidence: 0.95 };
            let (mut known, mut others) = (CriticalValues::default(), Needed::default());
            for index in 0..400_u32 {
                // Effects in no order, some of them equal.
                let share = f64::from(index * 7919 % 389) / 389.0;
                let (difference, deviation) = (0.03 * share, 0.01 + 0.005 * f64::from(index % 3));
                let pairs = 5 + (index % 2) as usize;
                let undecided = Undecided { pairs, difference, deviation, margin, test };
                let alone = undecided.needed(&mut known, &mut Needed::default());
                assert_eq!(undecided.needed(&mut known, &mut others), alone, "{index} {method:?}");
            }
            assert_eq!(others.0.is_empty(), margin.is_some());
        }
        // Between two effects that need the same, nothing is computed.
        let mut others = Needed::default();
        others.0.extend([((5, 0.5_f64.to_bits()), Some(77)), ((5, 0.7_f64.to_bits()), Some(77))]);
        let test = Test { method: Method::Holm, rows: 9, pooled: 9, confidence: 0.95 };
        let undecided = Undecided { pairs: 5, difference: 0.6, deviation: 1.0, margin: None, test };
        assert_eq!(undecided.needed(&mut CriticalValues::default(), &mut others), Some(77));
    }

    #[test]
    fn what_too_many_seeds_would_not_decide_has_no_number() {
        assert_eq!(needed(0.0, 0.02, None, Method::Paired, 1), None);
        assert_eq!(needed(0.001, 0.02, None, Method::Dunnett, 7), None);
        // One more decides a clear difference.
        assert_eq!(needed(1.0, 0.02, None, Method::Paired, 1), Some(6));
    }
}
