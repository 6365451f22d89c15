//! Large sweeps: they are journaled in parts, and nobody waits long for one.

#![expect(clippy::unwrap_used, reason = "a helper of tests that fails is a test that fails")]

use std::{path::Path, sync::Arc, time::Instant};

use colearn_coordinator::store::check;
use colearn_core::sweep::Sweep;
use colearn_proto::v1;
use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};

use crate::support::{Person, ScriptedWorker, config, small_sweep, start, start_with, tasks};

async fn longest(folder: &Path, select: &'static str) -> i64 {
    let options = SqliteConnectOptions::new().filename(folder.join("colearn.db"));
    let mut connection = options.connect().await.unwrap();
    sqlx::query_scalar(select).fetch_one(&mut connection).await.unwrap()
}

async fn extend(person: &mut Person, sweep: &Sweep) -> u64 {
    let (name, source) = (sweep.name.to_string(), serde_json::to_string(sweep).unwrap());
    let request = v1::ExtendSweepRequest { name, source, origin: String::new(), ..Default::default() };
    person.0.extend_sweep(request).await.unwrap().into_inner().added
}

#[tokio::test]
async fn a_large_sweep_is_journaled_in_parts_whatever_happens_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    let sweep = |configurations, metric: &str| {
        let mut sweep = small_sweep("large", configurations, 1);
        sweep.report.metrics = vec![metric.to_owned()];
        sweep
    };
    assert!(person.submit(&sweep(1100, "accuracy")).await.created);
    assert!(!person.submit(&sweep(1100, "accuracy")).await.created);
    // Other report settings, and another order of the configurations.
    let mut edited = sweep(1100, "loss");
    edited.configurations.reverse();
    assert!(!person.submit(&edited).await.created);
    let refused = person.try_submit(&sweep(1101, "loss")).await.unwrap_err();
    assert!(refused.message().contains("has other tasks"), "{refused}");
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[1], vec![]).await;
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    assert_eq!(extend(&mut person, &sweep(1200, "loss")).await, 100);
    assert_eq!(extend(&mut person, &sweep(1200, "loss")).await, 0);
    worker.finish(lease.token, &tasks(&lease)[0], 0.5).await;
    worker.acknowledged().await;
    coordinator.stop().await.unwrap();
    assert!(longest(folder.path(), "SELECT MAX(LENGTH(body)) FROM journal").await < 1000);
    assert!(longest(folder.path(), "SELECT MAX(LENGTH(body)) FROM definition_parts").await < 600_000);
    let definitions = "SELECT SUM(entry IS NULL) * 1000 + COUNT(*) FROM definitions";
    assert_eq!(longest(folder.path(), definitions).await, 3, "nothing is left of what changed nothing");
    assert_eq!(check(folder.path()).await.unwrap().problems, Vec::<String>::new());
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    let counts = person.tasks("large").await;
    assert_eq!((counts.total, counts.done), (1200, 1));
    assert!(!person.submit(&sweep(1200, "loss")).await.created);
    coordinator.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, of seconds"]
async fn a_million_tasks_are_submitted_and_extended() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let (small, large) = (small_sweep("huge", 200_000, 5), small_sweep("huge", 200_001, 5));
    config.parser =
        Arc::new(move |which, _, _| Ok((if which == "small" { &small } else { &large }.clone(), Vec::new())));
    let coordinator = start_with(config).await.unwrap();
    let (mut person, mut other) = (Person::at(&coordinator).await, Person::at(&coordinator).await);
    let asking = tokio::spawn(async move {
        let mut longest = std::time::Duration::ZERO;
        loop {
            let began = Instant::now();
            if other.0.list_sweeps(v1::ListSweepsRequest {}).await.is_err() {
                return longest;
            }
            if began.elapsed() > longest {
                longest = began.elapsed();
                println!("nobody else was answered for {longest:?}");
            }
        }
    });
    let began = Instant::now();
    let request =
        v1::SubmitSweepRequest { source: "small".to_owned(), origin: String::new(), ..Default::default() };
    person.0.submit_sweep(request).await.unwrap();
    println!("submitted after {:?}", began.elapsed());
    let began = Instant::now();
    let (name, origin) = ("huge".to_owned(), String::new());
    let request = v1::ExtendSweepRequest { name, source: "large".to_owned(), origin, ..Default::default() };
    person.0.extend_sweep(request).await.unwrap();
    println!("extended after {:?}", began.elapsed());
    coordinator.stop().await.unwrap();
    asking.await.unwrap();
}
