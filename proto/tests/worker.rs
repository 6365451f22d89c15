//! The worker's protocol over the wire and back.

use std::time::Duration;

use colearn_core::{
    failure::{Failure, FailureReason},
    id::{ConfigurationId, LeaseToken, SweepId, TaskId, WorkerId},
    needs::{Offers, TrainerKind},
    result::{EpochRecord, TaskResult},
    settings::TaskSettings,
    sweep::Kept,
};
use colearn_proto::{
    convert::ConvertError,
    v1::{self, work_request, work_response},
    worker::{
        Assignment, DataSetShape, DataSets, FromWorker, HeldLease, Hello, KnownDataSet, Lease, Report,
        SlotOffer, ToWorker, UnreadableSettings, Welcome,
    },
};

fn task(seed: u64) -> TaskId {
    TaskId { sweep: SweepId(7), configuration: ConfigurationId(0xfeed), seed }
}

fn settings() -> TaskSettings {
    let json = r#"{"dataset":"demo","primary":"words","unimodal":false,
        "model":{"kind":"bi-eflstm","hidden":8,"layers":1,"dropout":0.0},
        "training":{"epochs":2,"batch_size":4,"learning_rate":0.001,"shuffle":"once","drop_last":false,
                    "modality_draw":"shared"},
        "modality_dropout":{"sound":0.8}}"#;
    serde_json::from_str(json).expect("these are settings")
}

fn hello() -> Hello {
    Hello {
        worker: WorkerId::new("w-1").expect("this is a name"),
        host: "node17".to_owned(),
        version: "0.1.0".to_owned(),
        slots: vec![
            SlotOffer {
                index: 3,
                device: "cpu x2".to_owned(),
                max_cohort: 16,
                offers: Offers {
                    trainers: [TrainerKind::Networks, TrainerKind::Programs].into(),
                    gpu: true,
                    memory: Some(8_000_000_000),
                    threads: Some(2),
                    labels: ["big".to_owned(), "near".to_owned()].into(),
                },
            },
            SlotOffer {
                index: 4,
                device: "cpu x1".to_owned(),
                max_cohort: 1,
                offers: Offers {
                    trainers: [TrainerKind::Programs].into(),
                    labels: ["big".to_owned(), "near".to_owned()].into(),
                    ..Offers::default()
                },
            },
        ],
        held: vec![HeldLease { token: LeaseToken(9), tasks: vec![task(1), task(2)] }],
        warnings: vec!["no GPU is used".to_owned()],
    }
}

fn message_of(request: v1::WorkRequest) -> work_request::Message {
    request.message.expect("there is a message")
}

#[test]
fn a_hello_survives_the_wire() {
    let work_request::Message::Hello(wire) = message_of(hello().into()) else { panic!("not a hello") };
    assert_eq!(Hello::try_from(wire), Ok(hello()));
}

/// Workers of the version before programs say nothing about what their slots offer; kinds of trainers of later versions
/// are not offered.
#[test]
fn workers_of_other_versions_offer_what_is_known_of_them() {
    let slots = |change: fn(&mut v1::Slot)| {
        let work_request::Message::Hello(mut wire) = message_of(hello().into()) else {
            panic!("not a hello")
        };
        wire.labels.clear();
        wire.slots.iter_mut().for_each(change);
        Hello::try_from(wire).expect("it is a hello").slots
    };
    assert_eq!(slots(|slot| slot.offers = None)[0].offers, Offers::default());
    let kinds = |slot: &mut v1::Slot| slot.offers.as_mut().expect("they are there").trainers = vec![7, 2, 0];
    assert_eq!(slots(kinds)[0].offers.trainers, [TrainerKind::Programs].into());
}

#[test]
fn what_a_worker_says_survives_the_wire() {
    let (token, task) = (LeaseToken(9), task(1));
    let record = EpochRecord::of_network(2, 0.5, 0.75, 0.25);
    let result = TaskResult { metrics: [("accuracy".to_owned(), 0.5)].into(), ..TaskResult::default() };
    let failure = Failure::new(FailureReason::Data, "no such file");
    for message in [
        FromWorker::FreeSlots(vec![0, 4]),
        FromWorker::Heartbeat,
        FromWorker::DataSets(DataSets {
            known: [
                ("demo".to_owned(), KnownDataSet::default()),
                (
                    "waves".to_owned(),
                    KnownDataSet {
                        digest: Some("0f".repeat(32)),
                        shape: Some(DataSetShape {
                            modalities: vec!["inertial".to_owned()],
                            train_samples: 431,
                        }),
                    },
                ),
            ]
            .into(),
            complete: true,
        }),
        FromWorker::Epoch { token, task, record, epochs: 40 },
        FromWorker::Report(Report::Finished { token, task, result: Box::new(result) }),
        FromWorker::Report(Report::Failed { token, task, failure }),
        FromWorker::Report(Report::Released { token }),
    ] {
        let wire = message_of(message.clone().into());
        assert_eq!(FromWorker::try_from(wire), Ok(message));
    }
}

#[test]
fn what_a_coordinator_says_survives_the_wire() {
    let (token, tasks) = (LeaseToken(9), vec![task(1), task(2)]);
    let assignment = |settings| Assignment {
        task: task(1),
        attempt: 2,
        settings,
        checkpoint_every_epochs: 5,
        data_digest: "0f".repeat(32),
        name: "demo/audio=0.8/1".to_owned(),
        keep: Kept::ALL.into(),
        kept_in: "kept-18c".to_owned(),
    };
    let (json, why) = ("{\"dataset\": 3}".to_owned(), String::new());
    let unreadable =
        Assignment::try_from(v1::Assignment::from(assignment(Err(UnreadableSettings { json, why }))));
    let (lease, heartbeat) = (Duration::from_secs(30), Duration::from_millis(5001));
    for message in [
        ToWorker::Welcome(Welcome { lease, heartbeat, version: "0.1.0".to_owned() }),
        ToWorker::Lease(Lease {
            token,
            slot: 3,
            tasks: vec![assignment(Ok(settings())), unreadable.unwrap()],
        }),
        ToWorker::Acknowledged { token, task: task(1) },
        ToWorker::Drop { token, tasks, reason: "the lease expired".to_owned() },
        ToWorker::Drain { now: true },
        ToWorker::Drain { now: false },
        ToWorker::Undrain,
        ToWorker::Notice { text: "set aside".to_owned() },
    ] {
        assert_eq!(ToWorker::try_from(v1::WorkResponse::from(message.clone())), Ok(message));
    }
}

#[test]
fn unreadable_settings_do_not_hide_the_lease() {
    let assignment = v1::Assignment {
        task: Some(task(1).into()),
        settings_json: "{\"dataset\": 3}".to_owned(),
        ..v1::Assignment::default()
    };
    let lease = v1::Lease { token: 9, slot: 0, tasks: vec![assignment] };
    let message = Some(work_response::Message::Lease(lease));
    let Ok(ToWorker::Lease(lease)) = ToWorker::try_from(v1::WorkResponse { message }) else {
        panic!("not a lease")
    };
    assert_eq!((lease.token, lease.tasks[0].task), (LeaseToken(9), task(1)));
    let unreadable = lease.tasks[0].settings.as_ref().unwrap_err().to_string();
    assert!(unreadable.contains("expected a string"), "{unreadable}");
}

#[test]
fn an_unacceptable_result_does_not_hide_the_report() {
    let wire =
        v1::TaskResult { metrics: [("loss".to_owned(), f64::NAN)].into(), ..v1::TaskResult::default() };
    let finished = v1::TaskFinished { token: 9, task: Some(task(1).into()), result: Some(wire) };
    let Ok(FromWorker::Report(report)) = FromWorker::try_from(work_request::Message::Finished(finished))
    else {
        panic!("not a report")
    };
    let why = "its result is not acceptable: metric `loss` is not a finite number";
    let failure = Failure::new(FailureReason::Diverged, why);
    assert_eq!(report, Report::Failed { token: LeaseToken(9), task: task(1), failure });
}

#[test]
fn malformed_messages_are_errors() {
    fn missing<T>(field: &'static str) -> Result<T, ConvertError> {
        Err(ConvertError::Missing(field))
    }
    assert_eq!(ToWorker::try_from(v1::WorkResponse { message: None }), missing("message"));
    let ack = work_response::Message::Acknowledged(v1::Acknowledged { token: 1, task: None });
    assert_eq!(ToWorker::try_from(v1::WorkResponse { message: Some(ack) }), missing("task"));
    let epoch = v1::EpochReport { token: 1, task: Some(task(1).into()), record: None, epochs: 3 };
    assert_eq!(FromWorker::try_from(work_request::Message::Epoch(epoch)), missing("record"));
    let second = message_of(hello().into());
    let unexpected = FromWorker::try_from(second).unwrap_err().to_string();
    assert_eq!(unexpected, "unexpected `hello`: a stream has one, at its beginning");
}
