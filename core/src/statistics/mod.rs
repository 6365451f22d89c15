//! Statistics over the seed axis. `docs/statistics.md` explains them.
//!
//! Every number here can be computed with scipy too; the tests contain scipy's values and the expressions for them.

mod aggregate;
mod bootstrap;
mod comparison;
mod family;
mod holm;
mod homogeneity;
mod maximum;
mod pairing;
mod power;
mod ranks;
mod summary;
mod verdict;
mod wilcoxon;

pub use aggregate::{
    Estimate, interquartile_mean, interquartile_mean_of, performance_profile, probability_of_improvement,
};
pub use bootstrap::{Bootstrapped, Resampling, crossed};
pub use comparison::{Comparison, MIN_PAIRS};
pub use family::{Group, Pair, Question, Row, judge};
pub use holm::holm;
pub use homogeneity::Reason;
pub use maximum::CriticalValues;
pub use pairing::welch_test;
pub use power::MAX_NEEDED;
pub use ranks::Ranks;
pub use summary::{Summary, mean};
pub use verdict::{Method, Untested, Verdict};
pub use wilcoxon::signed_rank;
