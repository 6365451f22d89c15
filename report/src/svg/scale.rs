//! Maps values to positions, and finds the ticks of an axis.

/// A linear or logarithmic axis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
}

impl Scale {
    /// Maps the values `low..=high` to positions `from..=to`. An empty range is widened.
    pub(crate) fn linear(low: f64, high: f64, from: f64, to: f64) -> Self {
        // Computed with halves, so that the range does not overflow for numbers of any size.
        let (low, high) = if high / 2.0 - low / 2.0 > 1e-12 * (high / 2.0).abs().max((low / 2.0).abs()) {
            (low, high)
        } else {
            let half = (low.abs() * 0.05).max(0.05);
            ((low - half).max(f64::MIN), (high + half).min(f64::MAX))
        };
        Self { low, high, from, to, log: false }
    }

    /// A logarithmic axis for positive values.
    pub(crate) fn logarithmic(low: f64, high: f64, from: f64, to: f64) -> Self {
        Self { log: true, ..Self::linear(low.log10(), high.log10(), from, to) }
    }

    /// The position of a value.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        let (low, high) = (self.low / 2.0, self.high / 2.0);
        self.from + (value / 2.0 - low) / (high - low) * (self.to - self.from)
    }

    /// The position of a value, clamped to the axis.
    pub(crate) fn place_within(&self, value: f64) -> f64 {
        self.place(value).clamp(self.from.min(self.to), self.from.max(self.to))
    }

    /// About `count` round values within the range, with their texts.
    pub(crate) fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        if self.log && self.high - self.low >= 1.0 {
            let powers = self.low.ceil() as i32..=self.high.floor() as i32;
            let every = (powers.clone().count() / count.max(1)).max(1);
            return powers.step_by(every).map(|power| (10_f64.powi(power), format!("1e{power}"))).collect();
        }
        let (low, high) =
            if self.log { (10_f64.powf(self.low), 10_f64.powf(self.high)) } else { (self.low, self.high) };
        let (step, decimals) = round_step(high / count.max(1) as f64 - low / count.max(1) as f64);
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        (first..=last)
            .map(|index| {
                let value = index as f64 * step;
                (value, in_decimals(value, decimals))
            })
            .filter(|(value, _)| value.is_finite())
            .collect()
    }
}

/// The smallest round step (1, 2, 2.5 or 5 times a power of ten) that is at least `rough`, and the decimals it needs.
fn round_step(rough: f64) -> (f64, i32) {
    let power = rough.log10().floor() as i32;
    let unit = 10_f64.powi(power);
    let (factor, more) = [(1.0, 0), (2.0, 0), (2.5, 1), (5.0, 0), (10.0, -1)]
        .into_iter()
        .find(|(factor, _)| factor * unit >= rough * (1.0 - 1e-9))
        .unwrap_or((10.0, -1));
    (factor * unit, more - power)
}

/// A tick with this number of decimals, negative for multiples of powers of ten.
fn in_decimals(value: f64, decimals: i32) -> String {
    if decimals > 6 || value.abs() >= 1e7 {
        if value.abs() < f64::MIN_POSITIVE {
            return "0".to_owned();
        }
        // As many digits as tell neighbouring ticks apart, but no text that is too wide for its place.
        let digits = (value.abs().log10().floor() as i32 + decimals).clamp(1, 3) as usize;
        let text = format!("{value:.digits$e}");
        return if text.len() < 10 { text } else { format!("{value:.1e}") };
    }
    let text = format!("{value:.*}", usize::try_from(decimals).unwrap_or(0));
    // A rounded tick must not be "-0".
    if text.trim_start_matches(['-', '0', '.']).is_empty() {
        text.trim_start_matches('-').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: &Scale) -> Vec<String> {
        scale.ticks(5).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(texts(&Scale::linear(0.0, 1.0, 0.0, 100.0)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(texts(&Scale::linear(0.263, 0.487, 0.0, 100.0)), ["0.30", "0.35", "0.40", "0.45"]);
        assert_eq!(texts(&Scale::linear(0.0, 12.0, 0.0, 1.0)), ["0.0", "2.5", "5.0", "7.5", "10.0"]);
        assert_eq!(texts(&Scale::linear(-0.1, 0.1, 0.0, 1.0)), ["-0.10", "-0.05", "0.00", "0.05", "0.10"]);
        let small = texts(&Scale::linear(3.12e-7, 3.19e-7, 0.0, 1.0));
        assert_eq!(small, ["3.12e-7", "3.14e-7", "3.16e-7", "3.18e-7"]);
        assert_eq!(texts(&Scale::linear(0.0, 4e-7, 0.0, 1.0))[..2], ["0", "1.0e-7"]);
        let large = texts(&Scale::linear(12_300_000.0, 12_350_000.0, 0.0, 1.0));
        assert_eq!(large[..2], ["1.230e7", "1.231e7"]);
        assert_eq!(texts(&Scale::logarithmic(1e-4, 1e-1, 0.0, 1.0)), ["1e-4", "1e-3", "1e-2", "1e-1"]);
    }

    #[test]
    fn a_single_value_has_an_axis() {
        let scale = Scale::linear(0.5, 0.5, 0.0, 100.0);
        assert!((scale.place(0.5) - 50.0).abs() < 1e-9);
        assert!(!texts(&scale).is_empty());
        assert!(!texts(&Scale::linear(0.0, 0.0, 0.0, 1.0)).is_empty());
    }

    #[test]
    fn numbers_of_any_size_have_an_axis() {
        for (low, high) in [
            (f64::MIN, f64::MAX),
            (-1.7e308, 1.7e308),
            (0.0, f64::MAX),
            (f64::MAX, f64::MAX),
            (1e-320, 2e-320),
        ] {
            let scale = Scale::linear(low, high, 0.0, 100.0);
            for value in [low, high] {
                let place = scale.place(value);
                assert!((-1e-6..=100.0 + 1e-6).contains(&place), "{low} {high} {place}");
            }
            let ticks = scale.ticks(5);
            assert!((1..20).contains(&ticks.len()), "{low} {high} {ticks:?}");
            for (value, text) in ticks {
                assert!(scale.place(value).is_finite() && text.len() < 10, "{value} {text}");
            }
        }
    }

    #[test]
    fn places_run_from_end_to_end() {
        let scale = Scale::linear(1.0, 3.0, 200.0, 0.0);
        assert_eq!((scale.place(1.0), scale.place(2.0), scale.place(3.0)), (200.0, 100.0, 0.0));
        assert_eq!((scale.place_within(9.0), scale.place_within(-9.0)), (0.0, 200.0));
        let log = Scale::logarithmic(0.01, 1.0, 0.0, 100.0);
        assert!((log.place(0.1) - 50.0).abs() < 1e-9);
    }
}
