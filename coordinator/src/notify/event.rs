//! The events as JSON.

use colearn_core::{scheduler::SweepStatus, time::Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Wanted;
use crate::{engine::SweepSummary, store::Notice};

/// What happened to a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Completed,
    Failed,
    Cancelled,
    Stalled,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "sweep.completed",
            Self::Failed => "sweep.failed",
            Self::Cancelled => "sweep.cancelled",
            Self::Stalled => "sweep.stalled",
        }
    }
}

/// The event that a sweep has ended; `None` if it has not.
pub(crate) fn notice_of_end(
    summary: &SweepSummary,
    by: Option<&str>,
    at: Timestamp,
    wanted: &Wanted,
) -> Option<Notice> {
    let kind = match summary.status {
        SweepStatus::Active => return None,
        SweepStatus::Complete => Kind::Completed,
        SweepStatus::Failed => Kind::Failed,
        SweepStatus::Cancelled => Kind::Cancelled,
    };
    Some(notice(kind, summary, by, at, None, wanted))
}

/// The event that a sweep makes no progress, and why.
pub(super) fn notice_of_stall(
    summary: &SweepSummary,
    by: Option<&str>,
    at: Timestamp,
    why: &str,
    wanted: &Wanted,
) -> Notice {
    notice(Kind::Stalled, summary, by, at, Some(why), wanted)
}

fn notice(
    kind: Kind,
    summary: &SweepSummary,
    by: Option<&str>,
    at: Timestamp,
    why: Option<&str>,
    wanted: &Wanted,
) -> Notice {
    let counts = summary.counts;
    let mut data = json!({
        "sweep": summary.name.as_str(),
        "number": summary.id.0,
        "state": match summary.status {
            SweepStatus::Active => "active",
            SweepStatus::Complete => "complete",
            SweepStatus::Failed => "failed",
            SweepStatus::Cancelled => "cancelled",
        },
        "submitted_at": date(summary.submitted_at),
        "submitted_by": by,
        "configurations": summary.configurations,
        "seeds": summary.seeds,
        "tasks": {
            "total": counts.total(),
            "pending": counts.pending,
            "running": counts.running,
            "done": counts.done,
            "failed": counts.failed,
            "cancelled": counts.cancelled,
        },
        "retried": summary.retried,
    });
    if let (Some(why), Some(data)) = (why, data.as_object_mut()) {
        data.insert("why".to_owned(), Value::from(why));
    }
    let body = json!({ "type": kind.as_str(), "timestamp": date(at), "data": data }).to_string();
    // No full stop: the parts of what is signed are separated by it.
    let id = format!("msg_{}", Uuid::new_v4().simple());
    Notice { id, at, body, webhook: wanted.webhook, command: wanted.command }
}

/// As in RFC 3339.
fn date(at: Timestamp) -> Value {
    jiff::Timestamp::from_millisecond(at.0).map_or(Value::Null, |date| Value::from(date.to_string()))
}
