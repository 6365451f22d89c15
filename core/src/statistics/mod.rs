//! Statistics over the seed axis.
//!
//! Every number here can be computed with scipy too; the tests contain scipy's values and the expressions for them.

mod comparison;
mod holm;
mod summary;
mod wilcoxon;

pub use comparison::{Comparison, Verdict};
pub use holm::holm;
pub use summary::Summary;
pub use wilcoxon::signed_rank;
