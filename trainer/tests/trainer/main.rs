//! Tests of the training loop, from members to results.
#![expect(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, which helpers of tests are not to clippy"
)]

mod cohort;
mod interruptions;
mod kept;
mod parked;
mod problem;
mod protocol;
mod resume;
mod schemes;
