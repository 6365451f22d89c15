//! Clients that misbehave, and a normal worker beside them that is still served.

#[expect(dead_code, reason = "the tests in that folder use more of it")]
#[path = "coordinator/support/mod.rs"]
mod support;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
};

use colearn_coordinator::Storage;
use colearn_proto::v1::{self, work_request};
use support::{
    Person, SOON, ScriptedWorker, a_sweep_is_trained, channel, config, result, small_sweep, start,
    start_with, watched::Watched,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

fn unknown_task() -> v1::TaskId {
    v1::TaskId { sweep: 99, configuration: "00000000000000ff".to_owned(), seed: 1 }
}

fn garbage_report() -> work_request::Message {
    let (task, result) = (Some(unknown_task()), Some(result(0.5)));
    work_request::Message::Finished(v1::TaskFinished { token: 1, task, result })
}

/// A report of half a megabyte.
fn large_report() -> work_request::Message {
    let record = v1::EpochRecord {
        epoch: 1,
        train_loss: 1.0,
        valid_loss: 1.0,
        valid_accuracy: 0.5,
        ..Default::default()
    };
    let result = Some(v1::TaskResult { history: vec![record; 16_000], ..result(0.5) });
    work_request::Message::Finished(v1::TaskFinished { token: 1, task: Some(unknown_task()), result })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_flood_wait_and_keep_nobody_else_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Watched::default());
    let mut config = config(folder.path());
    config.storage = Storage::Store(store.clone());
    let coordinator = start_with(config).await.unwrap();
    let record = v1::EpochRecord {
        epoch: 1,
        train_loss: 1.0,
        valid_loss: 1.0,
        valid_accuracy: 0.5,
        ..Default::default()
    };
    let (task, record) = (Some(unknown_task()), Some(record));
    let epoch = work_request::Message::Epoch(v1::EpochReport { token: 1, task, record, epochs: 10 });
    let heartbeat = work_request::Message::Heartbeat(v1::Heartbeat {});
    let floods = [large_report(), epoch, garbage_report(), heartbeat];
    let mut workers = Vec::new();
    for number in 0..floods.len() {
        workers.push(ScriptedWorker::connect(&coordinator, &format!("flood-{number}"), &[1], vec![]).await);
    }

    // The engine waits for its disk. Messages of the worker stay in the worker.
    let disk = store.commits.lock().await;
    let before = store.commits_asked.load(Ordering::SeqCst);
    let mut person = Person::at(&coordinator).await;
    let submitting = tokio::spawn(async move { person.submit(&small_sweep("held", 1, 1)).await });
    store.asked_to_commit(before).await;
    let mut sent = 0;
    while sent < 300 && timeout(SOON / 20, workers[0].say(floods[0].clone())).await.is_ok() {
        sent += 1;
    }
    // 64 wait in the worker itself, 8 for the engine, and a few are on the way.
    assert!(sent < 100, "{sent} of half a megabyte each were taken");
    drop(disk);
    submitting.await.unwrap();
    Person::at(&coordinator).await.cancel("held").await;

    let mut flooding = JoinSet::new();
    for (mut worker, message) in workers.into_iter().zip(floods) {
        flooding.spawn(async move {
            // It sends and reads as fast as it can, until it is stopped.
            let requests = worker.requests();
            let talk = async {
                while requests.send(v1::WorkRequest { message: Some(message.clone()) }).await.is_ok() {}
            };
            let listen = async { while worker.hear().await.is_some() {} };
            tokio::join!(talk, listen);
        });
    }
    a_sweep_is_trained(&coordinator, "first").await;
    drop(flooding);
    coordinator.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_never_reads_is_cut_off_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let deaf = ScriptedWorker::connect(&coordinator, "deaf", &[1], vec![]).await;
    let mut person = Person::at(&coordinator).await;
    // Each message is answered, until there is no room for the waiting answers.
    let talking = async { while deaf.try_say(garbage_report()).await {} };
    let cut_off = async { while person.workers().await.contains(&"deaf".to_owned()) {} };
    let cut_off = async {
        tokio::select! {
            () = talking => {}
            () = cut_off => {}
        }
    };
    let (cut_off, ()) = tokio::join!(timeout(SOON, cut_off), a_sweep_is_trained(&coordinator, "first"));
    cut_off.expect("it is cut off");
    a_sweep_is_trained(&coordinator, "second").await;
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn garbage_ends_its_own_connection_alone() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    for bytes in [&b"EHLO mail.example.org\r\nQUIT\r\n\r\n"[..], &[0; 100], &[0xff; 100_000]] {
        let mut stream = TcpStream::connect(coordinator.address()).await.unwrap();
        // The connection may be closed before all is written.
        let _ = stream.write_all(bytes).await;
        let mut rest = Vec::new();
        // It is closed earlier than the time limit for starting HTTP/2.
        let ended = timeout(SOON / 4, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "it is closed");
    }
    a_sweep_is_trained(&coordinator, "first").await;
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn hellos_that_are_too_large_or_strange_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let slot = |device: String| v1::Slot { index: 0, device, max_cohort: 1, offers: None };
    let good = v1::Hello { worker: "w".to_owned(), ..v1::Hello::default() };
    let huge = "x".repeat(1 << 20);
    let oversized = v1::Hello { host: "x".repeat(5 << 20), ..good.clone() };
    let offers = |memory| v1::Offers { memory_bytes: Some(memory), ..v1::Offers::default() };
    let different = |index| v1::Slot { index, offers: Some(offers(index.into())), ..slot(String::new()) };
    for (hello, code) in [
        (v1::Hello { worker: "\u{1b}[2J".to_owned(), ..good.clone() }, Code::InvalidArgument),
        (v1::Hello { worker: huge.clone(), ..good.clone() }, Code::InvalidArgument),
        (v1::Hello { host: huge.clone(), ..good.clone() }, Code::InvalidArgument),
        (v1::Hello { version: huge.clone(), ..good.clone() }, Code::InvalidArgument),
        (v1::Hello { slots: vec![slot(huge)], ..good.clone() }, Code::InvalidArgument),
        (v1::Hello { slots: vec![slot(String::new()); 1025], ..good.clone() }, Code::InvalidArgument),
        (v1::Hello { slots: (0..65).map(different).collect(), ..good.clone() }, Code::InvalidArgument),
        (v1::Hello { labels: vec!["x".repeat(65)], ..good.clone() }, Code::InvalidArgument),
        (v1::Hello { labels: vec!["x".to_owned(); 65], ..good.clone() }, Code::InvalidArgument),
        (oversized, Code::OutOfRange),
    ] {
        let opened = ScriptedWorker::open(&coordinator, work_request::Message::Hello(hello)).await;
        let Err(status) = opened else { panic!("it is refused") };
        assert_eq!(status.code(), code, "{status}");
    }
    a_sweep_is_trained(&coordinator, "first").await;
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_worker_that_offers_more_than_fits_into_a_message_gets_what_fits() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    Person::at(&coordinator).await.submit(&small_sweep("large", 2000, 5)).await;
    let mut worker = ScriptedWorker::connect(&coordinator, "greedy", &[u32::MAX], vec![]).await;
    worker.offer(&[0]).await;
    assert_eq!(worker.lease().await.tasks.len(), 1024);
    coordinator.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_of_one_name_replace_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut last = ScriptedWorker::connect(&coordinator, "same", &[1], vec![]).await;
    for _ in 0..100 {
        let next = ScriptedWorker::connect(&coordinator, "same", &[1], vec![]).await;
        assert!(last.next().await.is_none(), "the former is closed");
        last = next;
    }
    a_sweep_is_trained(&coordinator, "first").await;
    coordinator.stop().await.unwrap();
}

async fn silent(address: SocketAddr) -> TcpStream {
    timeout(SOON, TcpStream::connect(address)).await.expect("it is accepted soon").expect("it is accepted")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_that_connect_and_say_nothing_are_sent_away() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut connections = Vec::new();
    for _ in 0..2000 {
        connections.push(silent(coordinator.address()).await);
    }
    a_sweep_is_trained(&coordinator, "first").await;
    for mut connection in connections {
        let mut rest = Vec::new();
        let ended = timeout(SOON, connection.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "who does not speak is cut off");
    }
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn streams_without_a_hello_keep_nobody_out_and_are_sent_away() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut client = v1::worker_service_client::WorkerServiceClient::new(channel(&coordinator).await);
    let mut open = Vec::new();
    for _ in 0..60 {
        let (requests, stream) = tokio::sync::mpsc::channel::<v1::WorkRequest>(1);
        let answer = client.work(ReceiverStream::new(stream)).await.unwrap();
        open.push((requests, answer.into_inner()));
    }
    a_sweep_is_trained(&coordinator, "first").await;
    for (_, answers) in &mut open {
        let ended = timeout(SOON, answers.message()).await.expect("it is sent away");
        assert_eq!(ended.unwrap_err().code(), Code::DeadlineExceeded);
    }
    coordinator.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_that_come_at_once_are_all_welcomed() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = Arc::new(start(folder.path()).await);
    let mut coming = JoinSet::new();
    for number in 0..500 {
        let coordinator = coordinator.clone();
        coming.spawn(async move {
            ScriptedWorker::connect(&coordinator, &format!("w{number:03}"), &[1], vec![]).await
        });
    }
    a_sweep_is_trained(&coordinator, "first").await;
    let workers = timeout(SOON, coming.join_all()).await.expect("they are welcomed soon");
    let told = Person::at(&coordinator).await.workers().await;
    // The worker that trained the sweep may still be listed.
    assert_eq!(told.iter().filter(|name| name.starts_with('w') && name.len() == 4).count(), 500);
    drop(workers);
}
