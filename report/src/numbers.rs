//! Numbers as text for people.

use std::fmt::Write as _;

use colearn_core::{
    statistics::{Comparison, Summary},
    table::ResultsTable,
};

/// From this size on a number is written with an exponent: the largest one has 309 digits.
const LARGE: f64 = 1e9;
/// Below this size, too: most digits would be zeros.
const SMALL: f64 = 1e-4;

/// How the numbers of a table are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbers {
    /// With three decimals: the metrics of the networks are shares and losses.
    Decimals,
    /// With at least three digits of whatever size the numbers have.
    Digits,
}

/// The form of one number.
#[derive(Clone, Copy)]
enum Form {
    Decimals(usize),
    Exponent(usize),
}

impl Numbers {
    pub(crate) fn of(table: &ResultsTable) -> Self {
        if table.is_of_networks() { Self::Decimals } else { Self::Digits }
    }

    /// The form of `number` beside numbers of the size `scale`.
    fn form(self, number: f64, scale: f64) -> Form {
        if self == Self::Decimals {
            return if number.abs() < LARGE { Form::Decimals(3) } else { Form::Exponent(3) };
        }
        if scale == 0.0 {
            return Form::Decimals(3);
        }
        if !(SMALL..LARGE).contains(&scale) {
            return Form::Exponent(2);
        }
        // The exponent of a number in this range is small.
        Form::Decimals(match scale.log10().floor() as i32 {
            exponent @ ..=-2 => (2 - exponent).unsigned_abs() as usize,
            -1..=1 => 3,
            2 => 2,
            3 => 1,
            _ => 0,
        })
    }

    fn write(self, number: f64, scale: f64) -> String {
        match self.form(number, scale) {
            Form::Exponent(_) if number == 0.0 => "0".to_owned(),
            Form::Decimals(decimals) => format!("{number:.decimals$}"),
            Form::Exponent(decimals) => format!("{number:.decimals$e}"),
        }
    }

    fn write_signed(self, number: f64, scale: f64) -> String {
        let text = self.write(number, scale);
        if text.starts_with('-') { text } else { format!("+{text}") }
    }

    /// A number that stands alone.
    pub(crate) fn plain(self, number: f64) -> String {
        self.write(number, number.abs())
    }

    /// A number with its sign.
    pub(crate) fn signed(self, number: f64) -> String {
        self.write_signed(number, number.abs())
    }

    /// A mean and its deviation, if it has one.
    pub(crate) fn parts(self, summary: &Summary) -> (String, Option<String>) {
        let scale = summary.mean.abs().max(summary.std.unwrap_or(0.0));
        (self.write(summary.mean, scale), summary.std.map(|std| self.write(std, scale)))
    }

    /// `0.471 ± 0.013`, or `-` without a result.
    pub(crate) fn mean_and_deviation(self, summary: Option<&Summary>) -> String {
        match summary.map(|summary| self.parts(summary)) {
            None => "-".to_owned(),
            Some((mean, None)) => mean,
            Some((mean, Some(std))) => format!("{mean} ± {std}"),
        }
    }

    /// A difference with its interval, such as `+0.031 [0.010, 0.052]`: the simultaneous one, or its own.
    pub(crate) fn difference(self, comparison: &Comparison, simultaneous: bool) -> String {
        let ends = comparison.interval(simultaneous);
        let (low, high) = ends.unwrap_or_default();
        let scale = comparison.mean_difference.abs().max(low.abs()).max(high.abs());
        let mut text = self.write_signed(comparison.mean_difference, scale);
        if ends.is_some() {
            let _ = write!(text, " [{}, {}]", self.write(low, scale), self.write(high, scale));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(mean: f64, std: Option<f64>) -> Option<Summary> {
        Some(Summary { mean, std, ci_low: None, ci_high: None })
    }

    #[test]
    fn numbers_of_any_size_are_readable() {
        let shown = |mean, std| Numbers::Digits.mean_and_deviation(summary(mean, std).as_ref());
        for (mean, std, text) in [
            (0.8123, Some(0.0042), "0.812 ± 0.004"),
            (1234.5, Some(12.34), "1234.5 ± 12.3"),
            (-123.456, None, "-123.46"),
            (45_678.9, Some(0.5), "45679 ± 0"),
            (3e-7, Some(1.234e-8), "3.00e-7 ± 1.23e-8"),
            (3e-7, Some(0.0), "3.00e-7 ± 0"),
            (0.0312, Some(0.002), "0.0312 ± 0.0020"),
            (0.000_312, None, "0.000312"),
            (1e-12, Some(0.25), "0.000 ± 0.250"),
            (2.5e10, None, "2.50e10"),
            (0.0, Some(0.0), "0.000 ± 0.000"),
            (99.99, None, "99.990"),
        ] {
            assert_eq!(shown(mean, std), text);
        }
        assert_eq!(Numbers::Digits.signed(-0.000_02), "-2.00e-5");
        assert_eq!(Numbers::Digits.signed(1234.5), "+1234.5");
    }

    #[test]
    fn the_numbers_of_networks_have_three_decimals() {
        let shown = |mean, std| Numbers::Decimals.mean_and_deviation(summary(mean, std).as_ref());
        assert_eq!(shown(0.0312, Some(0.0002)), "0.031 ± 0.000");
        assert_eq!(shown(3e12, Some(0.5)), "3.000e12 ± 0.500");
        assert_eq!(
            (Numbers::Decimals.signed(0.0), Numbers::Decimals.signed(-0.0)),
            ("+0.000".into(), "-0.000".into())
        );
        assert_eq!(Numbers::Decimals.mean_and_deviation(None), "-");
    }

    #[test]
    fn a_difference_and_its_interval_have_the_same_decimals() {
        let pairs = |scale: f64| [(1.3, 1.0), (1.5, 1.0), (1.4, 1.0)].map(|(a, b)| (a * scale, b * scale));
        let shown = |scale| Numbers::Digits.difference(&Comparison::of(&pairs(scale), 0.95).unwrap(), false);
        assert_eq!(shown(1.0), "+0.400 [0.152, 0.648]");
        assert_eq!(shown(1e4), "+4000.0 [1515.9, 6484.1]");
        assert_eq!(shown(1e-6), "+4.00e-7 [1.52e-7, 6.48e-7]");
    }
}
