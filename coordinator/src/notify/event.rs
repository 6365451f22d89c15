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
    Some(notice(kind, summary, by, at, summary.stopped.as_deref(), wanted))
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

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use colearn_core::scheduler::TaskCounts;

    use super::*;

    fn summary(status: SweepStatus) -> SweepSummary {
        let counts = TaskCounts { done: 18, failed: 2, ..TaskCounts::default() };
        SweepSummary {
            status,
            counts,
            configurations: 4,
            seeds: 5,
            retried: 3,
            ..SweepSummary::example(3, "demo")
        }
    }

    fn keys(of: &Value) -> BTreeSet<&str> {
        of.as_object().unwrap().keys().map(String::as_str).collect()
    }

    fn words(of: &Value) -> BTreeSet<&str> {
        of.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
    }

    #[test]
    fn events_have_the_keys_of_the_schema() {
        let schema =
            fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/notification.schema.json")).unwrap();
        let schema: Value = serde_json::from_slice(&schema).unwrap();
        let (all, data) = (&schema["properties"], &schema["properties"]["data"]);
        let wanted = Wanted { webhook: true, command: false, news: Default::default() };
        let at = Timestamp(1_700_000_000_123);
        let ended = |status| notice_of_end(&summary(status), Some("anna"), at, &wanted).map(|it| it.body);
        let stalled =
            notice_of_stall(&summary(SweepStatus::Active), None, at, "no worker is connected", &wanted);
        let ends = [SweepStatus::Complete, SweepStatus::Failed, SweepStatus::Cancelled].map(ended);
        let stopped =
            SweepSummary { stopped: Some("2 tasks failed".to_owned()), ..summary(SweepStatus::Failed) };
        let stopped = notice_of_end(&stopped, None, at, &wanted).unwrap();
        let mut kinds = BTreeSet::new();
        for body in ends.into_iter().flatten().chain([stalled.body, stopped.body.clone()]) {
            let event: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(keys(&event), words(&schema["required"]));
            assert_eq!(event["timestamp"], "2023-11-14T22:13:20.123Z");
            let mut required = words(&data["required"]);
            let kind = event["type"].as_str().unwrap().to_owned();
            if kind == "sweep.stalled" || body == stopped.body {
                required.insert("why");
            }
            assert_eq!(keys(&event["data"]), required);
            assert_eq!(keys(&event["data"]["tasks"]), words(&data["properties"]["tasks"]["required"]));
            assert!(
                words(&data["properties"]["state"]["enum"])
                    .contains(event["data"]["state"].as_str().unwrap())
            );
            kinds.insert(kind);
        }
        assert_eq!(kinds, words(&all["type"]["enum"]).into_iter().map(str::to_owned).collect());
        assert_eq!(ended(SweepStatus::Active), None);
    }
}
