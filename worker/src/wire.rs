//! Wire to agent and back.

use std::time::Duration;

use colearn_core::{id::LeaseToken, result::TaskResult};
use colearn_proto::{
    convert::{self, ConvertError},
    v1::{self, work_request, work_response},
};
use colearn_trainer_protocol::Event;

use super::input::{Assignment, Hello, Input, Lease, Message, Report};

/// The shortest pause between heartbeats, whatever the coordinator asks for.
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(10);

/// What a message from the coordinator means.
///
/// # Errors
/// When it is empty or malformed.
pub fn input(response: v1::WorkResponse) -> Result<Input, ConvertError> {
    Ok(match response.message.ok_or(ConvertError::Missing("message"))? {
        work_response::Message::Welcome(welcome) => Input::Connected {
            heartbeat: Duration::from_millis(welcome.heartbeat_millis.into()).max(SHORTEST_HEARTBEAT),
        },
        work_response::Message::Lease(lease) => Input::Leased(Lease {
            token: LeaseToken(lease.token),
            slot: lease.slot,
            tasks: lease.tasks.into_iter().map(assignment).collect::<Result<_, _>>()?,
        }),
        work_response::Message::Acknowledged(ack) => {
            Input::Acknowledged { token: LeaseToken(ack.token), task: convert::task(ack.task)? }
        }
        work_response::Message::Drop(drop) => Input::Dropped {
            token: LeaseToken(drop.token),
            tasks: drop.tasks.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            why: drop.reason,
        },
        work_response::Message::Undrain(v1::Undrain {}) => Input::Undrain,
        work_response::Message::Notice(v1::Notice { text }) => Input::Notice { text },
        work_response::Message::Drain(v1::Drain { now }) => {
            if now {
                Input::Stop
            } else {
                Input::Drain
            }
        }
    })
}

fn assignment(assignment: v1::Assignment) -> Result<Assignment, ConvertError> {
    Ok(Assignment {
        task: convert::task(assignment.task)?,
        attempt: assignment.attempt,
        checkpoint_every_epochs: assignment.checkpoint_every_epochs,
        data_digest: assignment.data_digest,
        settings: serde_json::from_str(&assignment.settings_json).map_err(|error| error.to_string()),
    })
}

/// The first message of a stream.
#[must_use]
pub fn hello(hello: Hello) -> v1::WorkRequest {
    let slots = hello.slots.into_iter();
    let held = hello.held.into_iter();
    let warnings = hello.warnings;
    request(work_request::Message::Hello(v1::Hello {
        worker: hello.worker.into(),
        host: hello.host,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        slots: slots
            .map(|s| v1::Slot { index: s.index, device: s.device, max_cohort: s.max_cohort })
            .collect(),
        held: held
            .map(|h| v1::HeldLease {
                token: h.token.0,
                slot: h.slot,
                tasks: h.tasks.into_iter().map(Into::into).collect(),
            })
            .collect(),
        warnings,
    }))
}

/// Every later message.
#[must_use]
pub fn message(message: Message) -> v1::WorkRequest {
    request(match message {
        Message::FreeSlots(slots) => work_request::Message::FreeSlots(v1::FreeSlots { slots }),
        Message::Heartbeat => work_request::Message::Heartbeat(v1::Heartbeat {}),
        Message::Epoch { token, task, record, epochs } => work_request::Message::Epoch(v1::EpochReport {
            token: token.0,
            task: Some(task.into()),
            record: Some(record.into()),
            epochs,
        }),
        Message::Report(Report::Finished { token, task, result }) => {
            work_request::Message::Finished(v1::TaskFinished {
                token: token.0,
                task: Some(task.into()),
                result: Some((*result).into()),
            })
        }
        Message::Report(Report::Failed { token, task, failure }) => {
            work_request::Message::Failed(v1::TaskFailed {
                token: token.0,
                task: Some(task.into()),
                failure: Some(failure.into()),
            })
        }
        Message::Report(Report::Released { token }) => {
            work_request::Message::Released(v1::LeaseReleased { token: token.0 })
        }
    })
}

/// Lines of logs.
#[must_use]
pub fn logged(lines: v1::LogLines) -> v1::WorkRequest {
    request(work_request::Message::Log(lines))
}

fn request(message: work_request::Message) -> v1::WorkRequest {
    v1::WorkRequest { message: Some(message) }
}

/// Checks that an event can be told to a coordinator. A result that it would refuse could never be
/// delivered, and would be sent again and again.
///
/// # Errors
/// When a limit of the wire format is exceeded or a number is not finite.
pub fn check(event: &Event) -> Result<(), ConvertError> {
    match event {
        Event::Finished { result, .. } => {
            TaskResult::try_from(v1::TaskResult::from((**result).clone())).map(|_| ())
        }
        Event::Ready { .. }
        | Event::Epoch { .. }
        | Event::Failed { .. }
        | Event::Parked { .. }
        | Event::Idle => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use colearn_core::id::{ConfigurationId, SweepId, TaskId};

    use super::*;

    fn lease(settings_json: &str) -> v1::WorkResponse {
        let task = TaskId { sweep: SweepId(1), configuration: ConfigurationId(2), seed: 3 };
        v1::WorkResponse {
            message: Some(work_response::Message::Lease(v1::Lease {
                token: 7,
                slot: 0,
                tasks: vec![v1::Assignment {
                    task: Some(task.into()),
                    attempt: 1,
                    settings_json: settings_json.to_owned(),
                    checkpoint_every_epochs: 5,
                    data_digest: String::new(),
                }],
            })),
        }
    }

    #[test]
    fn unreadable_settings_do_not_hide_the_lease() {
        let Ok(Input::Leased(lease)) = input(lease("{\"dataset\": 3}")) else { panic!("not a lease") };
        assert!(lease.tasks[0].settings.as_ref().unwrap_err().contains("expected a string"));
    }

    #[test]
    fn malformed_messages_are_errors() {
        assert_eq!(input(v1::WorkResponse { message: None }), Err(ConvertError::Missing("message")));
        let ack = v1::Acknowledged { token: 1, task: None };
        let ack = v1::WorkResponse { message: Some(work_response::Message::Acknowledged(ack)) };
        assert_eq!(input(ack), Err(ConvertError::Missing("task")));
    }

    #[test]
    fn results_that_could_not_be_delivered_are_caught() {
        let task = TaskId { sweep: SweepId(1), configuration: ConfigurationId(2), seed: 3 };
        let result = TaskResult {
            metrics: (0..=convert::MAX_METRICS).map(|i| (format!("m{i}"), 0.0)).collect(),
            confusion: vec![],
            history: vec![],
            best_epoch: 1,
            parameters: 1,
            seconds: 0.0,
            device: "cpu x1".to_owned(),
            ..TaskResult::default()
        };
        assert!(check(&Event::Finished { task, result: Box::new(result) }).is_err());
        assert!(check(&Event::Idle).is_ok());
    }
}
