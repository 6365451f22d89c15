//! Measures how long a very large sweep blocks the coordinator.

mod support;

use std::{sync::Arc, time::Instant};

use colearn_proto::v1;
use support::{Person, config, small_sweep, start_with};

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
