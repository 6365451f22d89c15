//! What those may do who were let in: roles, names of workers, leases of others, and what is taken back.

use std::path::Path;

use colearn_access::{DAY, Moment, Role};
use colearn_proto::v1::{
    self, sweep_service_client::SweepServiceClient, work_request::Message as Say,
    worker_service_client::WorkerServiceClient,
};
use tokio::time::timeout;
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

use crate::support::{Person, SOON, ScriptedWorker, held, hello, secured::Secured, small_sweep, tasks};

fn code<T>(answer: Result<T, Status>) -> Code {
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// The answers to a call of each kind: looking, changing, working, reflection, health.
async fn answers(channel: &Channel) -> [Code; 5] {
    let mut sweeps = SweepServiceClient::new(channel.clone());
    let looked = sweeps.list_sweeps(v1::ListSweepsRequest {}).await;
    let cancelled = sweeps.cancel_sweep(v1::CancelSweepRequest { name: "nothing".to_owned() }).await;
    let worked = WorkerServiceClient::new(channel.clone()).work(tokio_stream::empty()).await;
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let reflected = ServerReflectionClient::new(channel.clone())
        .server_reflection_info(tokio_stream::once(question))
        .await;
    let health = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await;
    [code(looked), code(cancelled), code(worked), code(reflected), code(health)]
}

#[tokio::test]
async fn a_role_is_checked_at_every_call() {
    let secured = Secured::start().await;
    use Code::{NotFound, Ok, PermissionDenied as No};
    for (file, expected) in [
        ("look", [Ok, No, No, Ok, Ok]),
        // There is no such sweep, and it is asked for.
        ("people", [Ok, NotFound, No, Ok, Ok]),
        ("worker", [No, No, Ok, No, Ok]),
    ] {
        let channel = secured.channel(&secured.access.file(file)).await;
        assert_eq!(answers(&channel).await, expected, "{file}");
    }
    let looker = secured.channel(&secured.access.file("look")).await;
    let mut looker = SweepServiceClient::new(looker);
    let refused = looker.cancel_sweep(v1::CancelSweepRequest { name: "x".to_owned() }).await.unwrap_err();
    assert_eq!(
        refused.message(),
        "the access file of look (look) does not allow this (CancelSweep needs the role `operate`)"
    );
    secured.coordinator.stop().await.unwrap();
}

async fn worker(secured: &Secured, file: &Path, name: &str) -> Result<ScriptedWorker, Status> {
    ScriptedWorker::open_on(secured.channel(file).await, hello(name, &[100], vec![])).await
}

#[tokio::test]
async fn a_workers_name_belongs_to_its_credential() {
    let secured = Secured::start().await;
    let (one, two) = (secured.file(Role::Work, "gpu1"), secured.file(Role::Work, "gpu2"));
    let shared = secured.access.file("worker");
    let stolen = async |file: &Path, name: &str| match worker(&secured, file, name).await {
        Ok(_) => panic!("{name} was stolen"),
        Err(status) => (status.code(), status.message().to_owned()),
    };
    // The coordinator learns of the new names within a second.
    let deadline = tokio::time::Instant::now() + SOON;
    while worker(&secured, &shared, "gpu2-00000000000a").await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline);
    }
    let _one = worker(&secured, &one, "gpu1-0123456789ab").await.unwrap();
    let _node = worker(&secured, &shared, "node7-0123456789ab").await.unwrap();
    for (file, name, why) in [
        (&two, "gpu1-0123456789ab", "the credential of worker `gpu2` is not one of `gpu1-0123456789ab`"),
        (&shared, "gpu1-0123456789ab", "the name `gpu1` belongs to another credential"),
        (&two, "node7-0123456789ab", "the credential of worker `gpu2` is not one of `node7-0123456789ab`"),
    ] {
        let (code, told) = stolen(file, name).await;
        assert_eq!(code, Code::PermissionDenied, "{name}");
        assert!(told.contains(why), "{told}");
    }
    let mut person = Person(SweepServiceClient::new(secured.channel(&secured.access.file("people")).await));
    assert_eq!(
        person.workers().await,
        ["gpu1-0123456789ab", "node7-0123456789ab"],
        "who had it has it still"
    );
    secured.coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn reports_under_a_lease_are_taken_from_its_holder_alone() {
    let secured = Secured::start().await;
    let mut person = Person(SweepServiceClient::new(secured.channel(&secured.access.file("people")).await));
    person.submit(&small_sweep("first", 2, 1)).await;
    let (one, two) = (secured.file(Role::Work, "gpu1"), secured.file(Role::Work, "gpu2"));
    let mut holder = worker(&secured, &one, "gpu1-0123456789ab").await.unwrap();
    holder.offer(&[0]).await;
    let lease = holder.lease().await;
    let [first, second] = tasks(&lease).try_into().unwrap();

    // Another worker replays its token, in every message that has one.
    let mut thief = worker(&secured, &two, "gpu2-0123456789ab").await.unwrap();
    let token = lease.token;
    thief.finish(token, &first, 1.0).await;
    assert_eq!(thief.dropped().await.token, token);
    thief.fail(token, &first, v1::FailureReason::Crash).await;
    assert_eq!(thief.dropped().await.token, token);
    thief.epoch(token, &first, 9).await;
    assert_eq!(thief.dropped().await.token, token);
    thief.say(Say::Released(v1::LeaseReleased { token })).await;
    assert_eq!(thief.dropped().await.token, token);
    // Or claims to hold it.
    drop(thief);
    let claim = hello("gpu2-ffffffffffff", &[100], vec![held(&lease)]);
    let mut claimant = ScriptedWorker::open_on(secured.channel(&two).await, claim).await.unwrap();
    claimant.finish(token, &first, 1.0).await;
    assert_eq!(claimant.dropped().await.token, token);
    let counts = person.tasks("first").await;
    assert_eq!((counts.running, counts.done, counts.failed), (2, 0, 0), "nothing has happened");

    holder.finish(token, &first, 0.5).await;
    holder.acknowledged().await;
    // An old report again, after the task is done: it changes nothing, whoever sends it.
    claimant.finish(token, &first, 1.0).await;
    holder.finish(token, &second, 0.5).await;
    holder.acknowledged().await;
    claimant.finish(token, &second, 1.0).await;
    drop(claimant.next().await);
    let counts = person.tasks("first").await;
    assert_eq!((counts.running, counts.done, counts.failed), (0, 2, 0));
    let accuracies = person.results("first").await.into_iter().filter_map(|part| match part {
        v1::get_results_response::Part::Result(recorded) => {
            Some(recorded.result.unwrap().metrics["accuracy"])
        }
        _ => None,
    });
    assert_eq!(accuracies.collect::<Vec<_>>(), [0.5, 0.5], "the holder's");
    secured.coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_revoked_ends_also_while_it_is_used() {
    let secured = Secured::start().await;
    let (one, two) = (secured.file(Role::Work, "gpu1"), secured.file(Role::Work, "gpu2"));
    let anna = secured.file(Role::Operate, "anna");
    let mut revoked = worker(&secured, &one, "gpu1-0123456789ab").await.unwrap();
    let mut kept = worker(&secured, &two, "gpu2-0123456789ab").await.unwrap();
    let mut person = SweepServiceClient::new(secured.channel(&anna).await);
    person.list_sweeps(v1::ListSweepsRequest {}).await.unwrap();

    for who in ["gpu1", "anna"] {
        assert_eq!(secured.access.revoke(who, Moment::now()).unwrap().len(), 1);
    }
    let ended = timeout(SOON, revoked.hear()).await.expect("its stream ends");
    assert_eq!(ended, None);
    assert!(secured.try_channel(&one).await.unwrap_err().contains("it was revoked"));
    let ended = async {
        // Its channel would connect again, and is refused.
        while person.list_sweeps(v1::ListSweepsRequest {}).await.is_ok() {}
    };
    timeout(SOON, ended).await.expect("its connection ends");
    kept.heartbeat().await;
    assert!(timeout(std::time::Duration::from_millis(500), kept.hear()).await.is_err(), "others stay");
    secured.coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_connection_ends_with_its_credential() {
    let secured = Secured::start().await;
    let now = Moment::now();
    let soon = secured.file_valid(Role::Work, "gpu1", now..now.after(std::time::Duration::from_secs(10)));
    let mut worker = worker(&secured, &soon, "gpu1-0123456789ab").await.unwrap();
    assert_eq!(timeout(SOON, worker.hear()).await.expect("its stream ends"), None);
    assert!(secured.try_channel(&soon).await.unwrap_err().contains("it has expired"));
    secured.coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn the_authority_is_replaced_while_everybody_works() {
    let secured = Secured::start().await;
    let gpu1 = secured.file(Role::Work, "gpu1");
    let mut worker = worker(&secured, &gpu1, "gpu1-0123456789ab").await.unwrap();
    let old = secured.folder.path().join("old.access");
    std::fs::copy(secured.access.file("people"), &old).unwrap();

    secured.access.rotate(Moment::now()).unwrap();
    let new = secured.access.file("people");
    assert_ne!(std::fs::read(&old).unwrap(), std::fs::read(&new).unwrap());
    let deadline = tokio::time::Instant::now() + SOON;
    while secured.try_channel(&new).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the new files work");
    }
    // Files of the old authority work too, for new connections and for those that were there.
    secured.channel(&old).await;
    secured.channel(&gpu1).await;
    worker.heartbeat().await;
    assert!(timeout(std::time::Duration::from_millis(500), worker.hear()).await.is_err(), "it stays");

    assert_eq!(secured.access.forget_former(Moment::now()).unwrap(), 1);
    assert_eq!(timeout(SOON, worker.hear()).await.expect("its stream ends"), None);
    let told = secured.try_channel(&old).await.unwrap_err();
    assert!(told.contains("is not the coordinator of the access file"), "{told}");
    secured.channel(&secured.access.file("people")).await;
    secured.coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn who_submitted_is_recorded_and_survives_a_restart() {
    let secured = Secured::start().await;
    let submit = async |file: &Path, name: &str| {
        let mut person = Person(SweepServiceClient::new(secured.channel(file).await));
        person.submit(&small_sweep(name, 1, 1)).await.sweep.unwrap().submitted_by
    };
    let (anna, ben) = (secured.file(Role::Operate, "anna"), secured.file(Role::Operate, "ben"));
    assert_eq!(submit(&anna, "first").await, "anna");
    assert_eq!(submit(&ben, "second").await, "ben");
    assert_eq!(submit(&ben, "first").await, "anna", "again: it is hers");
    let Secured { folder, coordinator, access } = secured;
    coordinator.stop().await.unwrap();
    let secured = Secured::start_in(folder).await;
    let mut looker = SweepServiceClient::new(secured.channel(&access.file("look")).await);
    let sweeps = looker.list_sweeps(v1::ListSweepsRequest {}).await.unwrap().into_inner().sweeps;
    assert_eq!(sweeps.iter().map(|sweep| sweep.submitted_by.as_str()).collect::<Vec<_>>(), ["anna", "ben"]);
    let first = looker.get_sweep(v1::GetSweepRequest { name: "first".to_owned(), ..Default::default() });
    assert_eq!(first.await.unwrap().into_inner().sweep.unwrap().submitted_by, "anna");
    secured.coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_restart_changes_no_credential() {
    let secured = Secured::start().await;
    let gpu1 = secured.file(Role::Work, "gpu1");
    let Secured { folder, coordinator, access } = secured;
    let before = std::fs::read(access.file("people")).unwrap();
    coordinator.stop().await.unwrap();
    let secured = Secured::start_in(folder).await;
    assert_eq!(std::fs::read(access.file("people")).unwrap(), before);
    worker(&secured, &gpu1, "gpu1-0123456789ab").await.unwrap();
    secured.coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn files_that_end_soon_are_made_again_at_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let access = colearn_access::AccessFolder::of(folder.path());
    access.open(Moment::now().before(DAY * 340)).unwrap();
    let before = std::fs::read(access.file("people")).unwrap();
    let secured = Secured::start_in(folder).await;
    assert_ne!(std::fs::read(access.file("people")).unwrap(), before);
    secured.channel(&access.file("people")).await;
    secured.coordinator.stop().await.unwrap();
}
