//! A webhook and a command are told that sweeps have ended or make no progress.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{path::Path, time::Duration};

use colearn_coordinator::{
    Config, RunningCoordinator,
    notify::{EventCommand, NotifyRules, Secrets, Webhook},
    store::{SqliteStore, Store as _},
};
use colearn_proto::v1;
use tokio::time::sleep;

use crate::support::{
    Person, ScriptedWorker, a_sweep_is_trained, config,
    receiver::{Receiver, SECRET, SILENCE},
    small_sweep, start_with, tasks,
};

fn telling(folder: &Path, receiver: &Receiver) -> Config {
    let url = format!("http://anna:pw@{}/hooks/colearn?token=x", receiver.address);
    let webhook = Webhook::new(&url, Secrets::parse(SECRET).unwrap()).unwrap();
    with_rules(folder, Some(webhook), None)
}

fn with_rules(folder: &Path, webhook: Option<Webhook>, command: Option<EventCommand>) -> Config {
    let (stalled_after, patience) = (Duration::from_hours(1), Duration::from_secs(5));
    let notify = Some(NotifyRules { webhook, command, stalled_after, patience });
    Config { notify, ..config(folder) }
}

/// How many events somebody is still to be told of.
async fn kept(folder: &Path) -> usize {
    SqliteStore::open(folder).await.unwrap().notices().await.unwrap().len()
}

/// A sweep of two tasks, of which one fails.
async fn a_sweep_fails(coordinator: &RunningCoordinator, name: &str) {
    Person::at(coordinator).await.submit(&small_sweep(name, 2, 1)).await;
    let mut worker = ScriptedWorker::connect(coordinator, &format!("w-{name}"), &[2], vec![]).await;
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    let [one, two] = tasks(&lease).try_into().unwrap();
    worker.finish(lease.token, &one, 0.5).await;
    worker.fail(lease.token, &two, v1::FailureReason::Diverged).await;
    worker.acknowledged().await;
    worker.acknowledged().await;
}

#[tokio::test]
async fn ends_are_told_with_a_signature_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::answering(&["204 No Content"]).await;
    let coordinator = start_with(telling(folder.path(), &receiver)).await.unwrap();
    a_sweep_is_trained(&coordinator, "good").await;
    let got = receiver.next().await;
    assert!(got.id.starts_with("msg_") && !got.id.contains('.'), "{got:?}");
    assert_eq!(got.event["type"], "sweep.completed");
    let data = &got.event["data"];
    assert_eq!((&data["sweep"], &data["state"]), (&"good".into(), &"complete".into()), "{data:#}");
    assert_eq!((&data["tasks"]["total"], &data["tasks"]["done"]), (&20.into(), &20.into()), "{data:#}");

    a_sweep_fails(&coordinator, "bad").await;
    let got = receiver.next().await;
    assert_eq!(
        (&got.event["type"], &got.event["data"]["tasks"]["failed"]),
        (&"sweep.failed".into(), &1.into())
    );

    let mut person = Person::at(&coordinator).await;
    person.submit(&small_sweep("unwanted", 1, 1)).await;
    person.cancel("unwanted").await;
    assert_eq!(receiver.next().await.event["type"], "sweep.cancelled");
    coordinator.stop().await.unwrap();
    assert_eq!(kept(folder.path()).await, 0);
}

#[tokio::test]
async fn a_refused_event_is_told_again_after_a_while_with_the_same_identifier() {
    let folder = tempfile::tempdir().unwrap();
    let answers =
        ["503 Service Unavailable", "301 Moved Permanently\r\nlocation: http://127.0.0.1:1/", "200 OK"];
    let mut receiver = Receiver::answering(&answers).await;
    let coordinator = start_with(telling(folder.path(), &receiver)).await.unwrap();
    a_sweep_fails(&coordinator, "bad").await;
    let (first, second, third) = (receiver.next().await, receiver.next().await, receiver.next().await);
    assert_eq!((&first.id, &first.body), (&second.id, &second.body));
    assert_eq!((&first.id, &first.body), (&third.id, &third.body));
    // After one second, and after two: it is signed anew each time.
    assert!(third.seconds - first.seconds >= 2, "{first:?} {third:?}");
    coordinator.stop().await.unwrap();
    assert_eq!(kept(folder.path()).await, 0);
}

#[tokio::test]
async fn a_receiver_that_never_answers_holds_up_nobody_and_is_told_by_the_next_coordinator() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::answering(&[SILENCE]).await;
    let mut silent = telling(folder.path(), &receiver);
    silent.notify.as_mut().unwrap().patience = Duration::from_millis(100);
    let coordinator = start_with(silent).await.unwrap();
    a_sweep_fails(&coordinator, "bad").await;
    let first = receiver.next().await;
    // Sweeps go on.
    a_sweep_is_trained(&coordinator, "good").await;
    coordinator.stop().await.unwrap();
    assert_eq!(kept(folder.path()).await, 2);

    receiver.answer("200 OK");
    let coordinator = start_with(telling(folder.path(), &receiver)).await.unwrap();
    let (again, other) = (receiver.next().await, receiver.next().await);
    assert_eq!((again.id, again.body), (first.id, first.body));
    assert_eq!(other.event["data"]["sweep"], "good");
    coordinator.stop().await.unwrap();
    assert_eq!(kept(folder.path()).await, 0);
}

#[tokio::test]
async fn a_stalled_sweep_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::answering(&["200 OK"]).await;
    let mut soon = telling(folder.path(), &receiver);
    soon.notify.as_mut().unwrap().stalled_after = Duration::from_millis(200);
    let coordinator = start_with(soon).await.unwrap();
    Person::at(&coordinator).await.submit(&small_sweep("waiting", 1, 1)).await;
    let got = receiver.next().await;
    assert_eq!(
        (&got.event["type"], &got.event["data"]["why"]),
        (&"sweep.stalled".into(), &"no worker is connected".into())
    );
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_command_is_told_beside_the_webhook_and_repeated_when_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::answering(&["200 OK"]).await;
    let (once, file) = (folder.path().join("once"), folder.path().join("event"));
    let line = format!(
        "test -e '{0}' || {{ touch '{0}'; exit 7; }}; cat > '{1}.part' && mv '{1}.part' '{1}'",
        once.display(),
        file.display()
    );
    let mut both = telling(folder.path(), &receiver);
    both.notify.as_mut().unwrap().command = Some(EventCommand::new(line, vec![]));
    let coordinator = start_with(both).await.unwrap();
    a_sweep_fails(&coordinator, "bad").await;
    let got = receiver.next().await;
    while !file.exists() {
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{}\n", got.body));
    coordinator.stop().await.unwrap();
    assert_eq!(kept(folder.path()).await, 0);
}
