//! Which task is trained where: a state machine without clock, randomness or I/O.
//!
//! What happens is an [`Event`], what follows is a list of [`Action`]s, and [`Scheduler::apply`] is the only
//! way from one to the other, for living and for recovery alike. The durable events are *facts*: the journal
//! holds "lease 7 was granted to w1", not "w1 offered a slot". What to grant and what has expired is proposed
//! by [`Scheduler::proposals`] and comes back through `apply`, so that replaying
//! a journal never repeats a decision: a later version may decide otherwise without misreading old journals.

mod action;
mod assessment;
mod backoff;
mod data_sets;
mod eligibility;
mod event;
mod grants;
mod invariants;
mod leases;
mod machine;
mod operations;
mod pauses;
mod reports;
mod settle;
mod sweep_state;
mod sweeps;
mod task;
mod turn;
mod view;
mod workers;

#[cfg(test)]
mod tests;

pub use action::{Action, DropReason};
pub use data_sets::{DataSets, is_in_data_folder};
pub use event::{Event, HeldLease, RestoreCause, RetryScope, SlotOffer};
pub use machine::{Scheduler, SchedulerSettings};
pub use operations::{ExtensionError, RemovalError, RetryError};
pub use pauses::PauseView;
pub use settle::{Recovered, SettledSweep};
pub use sweep_state::FailedAttempt;
pub use sweeps::{Submission, SubmissionError};
pub use task::{SweepStatus, TaskCounts, TaskState};
pub use view::{RunningTask, SlotView, SweepView, TaskView, WithoutData, WorkerView};
