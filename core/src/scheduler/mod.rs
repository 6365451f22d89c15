//! Decides which task is trained where: a state machine without clock, randomness or I/O.
//!
//! [`Scheduler::apply`] turns an [`Event`] into a list of [`Action`]s, and is used both in normal operation and
//! during recovery. The durable events are *facts*: the journal contains "lease 7 was granted to w1", not "w1 offered
//! a slot". [`Scheduler::proposals`] decides what to grant and what has expired, as events for `apply`. A replay of
//! the journal therefore repeats no decision: a later version may decide differently and still read old journals.

mod action;
mod assessment;
mod backoff;
mod cancel;
mod data_fit;
mod data_sets;
mod eligibility;
mod event;
mod figures;
mod grants;
mod invariants;
mod lease;
mod leases;
mod machine;
mod misfit;
mod offers;
mod operations;
mod pauses;
mod pools;
mod prepared;
mod queries;
mod record;
mod report_status;
mod reports;
mod running_curves;
mod settle;
mod settled;
mod stop;
mod sweep_state;
mod sweeps;
mod task;
mod turn;
mod view;
mod waiting;
mod worker;
mod workers;

#[cfg(test)]
mod tests;

pub use action::{Action, DropReason};
pub use cancel::SelectionError;
pub use data_sets::{DataSetShape, DataSets, KnownDataSet, is_in_data_folder};
pub use event::{Event, HeldLease, RestoreCause, RetryScope, Selection, SlotOffer};
pub use figures::WorkerFigures;
pub use machine::{Scheduler, SchedulerSettings};
pub use operations::{ExtensionError, RemovalError, RetryError};
pub use prepared::{Discarded, Prepared};
pub use record::PauseView;
pub use running_curves::{RunningCurves, RunningTaskCurves};
pub use settled::{Recovered, SettledSweep};
pub use sweep_state::FailedAttempt;
pub use sweeps::{Submission, SubmissionError};
pub use task::{SweepStatus, TaskCounts, TaskState};
pub use view::{ChangedFiles, RunningTask, SlotView, SweepView, TaskView, WithoutData, WorkerView};
pub use waiting::{CommonLack, WhyWaiting};
