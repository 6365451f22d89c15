//! Statistics over the seed axis.
//!
//! Every number here is one that scipy gives too; the tests hold scipy's values, with the expression that
//! made them.

mod comparison;
mod holm;
mod summary;
mod wilcoxon;

pub use comparison::{Comparison, Verdict};
pub use holm::holm;
pub use summary::Summary;
pub use wilcoxon::signed_rank;
