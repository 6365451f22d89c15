//! Whether higher or lower values of a metric are better.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The direction in which a metric gets better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// A higher value is better.
    Higher,
    /// A lower value is better.
    Lower,
}

impl Direction {
    /// Both directions.
    pub const ALL: [Self; 2] = [Self::Higher, Self::Lower];

    /// Last words of the names of metrics whose lower values are better.
    const LOWER: [&str; 10] =
        ["loss", "mae", "mse", "rmse", "error", "err", "perplexity", "nll", "seconds", "time"];

    /// The direction of the metric `name`: that of `better`, else the one that its name suggests. This is the only
    /// place that decides it.
    ///
    /// An entry of `better` for the plain name is about `name@...` too, unless that has an entry of its own. Without
    /// an entry, lower is better if the last word of the name is one of a short list, such as `loss` or `rmse`; words
    /// end at `_`, `-`, `/` and spaces.
    #[must_use]
    pub fn of(name: &str, better: &BTreeMap<String, Self>) -> Self {
        let plain = name.split_once('@').map_or(name, |(plain, _)| plain);
        if let Some(direction) = better.get(name).or_else(|| better.get(plain)) {
            return *direction;
        }
        let last = plain.trim_end().rsplit(['_', '-', '/', ' ']).next().unwrap_or(plain);
        let lower = Self::LOWER.iter().any(|word| last.eq_ignore_ascii_case(word));
        if lower { Self::Lower } else { Self::Higher }
    }

    /// The word for it in sweep files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Higher => "higher",
            Self::Lower => "lower",
        }
    }

    /// A number that is larger for a better value.
    #[must_use]
    pub fn score(self, value: f64) -> f64 {
        match self {
            Self::Higher => value,
            Self::Lower => -value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_suggests_its_direction() {
        let of = |name| Direction::of(name, &BTreeMap::new());
        for name in [
            "loss",
            "mae",
            "loss@audio+video",
            "mae@audio",
            "valid_loss",
            "val/RMSE",
            "top-1 error",
            "test_nll",
            "train time",
            "perplexity",
            "cross-entropy-loss",
            "wall_seconds",
            "char_err",
            "MSE",
            "error@5",
        ] {
            assert_eq!(of(name), Direction::Lower, "{name}");
        }
        for name in [
            "accuracy",
            "accuracy@audio",
            "f_score",
            "r2",
            "tokens/s",
            "lossless",
            "loss_reduction",
            "time_saved",
            "",
            "recall@10",
            "accuracy@loss",
            "BLEU",
            "losses",
            "@loss",
        ] {
            assert_eq!(of(name), Direction::Higher, "{name}");
        }
    }

    #[test]
    fn the_sweep_has_the_last_word() {
        let better = [
            ("latency".to_owned(), Direction::Lower),
            ("loss".to_owned(), Direction::Higher),
            ("loss@a".to_owned(), Direction::Lower),
        ];
        let of = |name| Direction::of(name, &better.clone().into());
        assert_eq!([of("latency"), of("latency@5")], [Direction::Lower; 2]);
        assert_eq!([of("loss"), of("loss@b")], [Direction::Higher; 2]);
        assert_eq!([of("loss@a"), of("valid_loss")], [Direction::Lower; 2]);
    }

    #[test]
    fn the_words_are_those_of_sweep_files() {
        for direction in Direction::ALL {
            let word = serde_json::to_string(&direction).unwrap();
            assert_eq!(word, format!("\"{}\"", direction.as_str()));
        }
        assert!(Direction::Lower.score(1.0) < Direction::Lower.score(0.5));
    }
}
