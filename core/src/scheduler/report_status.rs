//! What a report is to the scheduler.

use crate::id::SweepId;

use super::action::DropReason;

/// The validity of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReportStatus {
    /// The task runs under this token.
    Accepted { sweep: SweepId, index: u32 },
    /// The same report under the same token was accepted before.
    Repeated,
    /// The report is not valid for the task any more.
    Refused(DropReason),
}
