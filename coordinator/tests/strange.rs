//! Workers that say strange things, and what becomes of it.

mod support;

use std::time::{Duration, Instant};

use colearn_proto::v1::{self, work_request};
use support::{Person, ScriptedWorker, small_sweep, start, tasks};

fn released(token: u64) -> work_request::Message {
    work_request::Message::Released(v1::LeaseReleased { token })
}

#[tokio::test]
async fn a_worker_that_gives_back_whatever_it_gets_is_slowed_down() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    Person::at(&coordinator).await.submit(&small_sweep("first", 1, 1)).await;
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[1], vec![]).await;
    // Leases that there are not count, too, and cost the test no time.
    for _ in 0..1024 {
        worker.say(released(999_999)).await;
    }
    worker.offer(&[0]).await;
    let mut lease = worker.lease().await;
    let began = Instant::now();
    for _ in 0..2 {
        worker.say(released(lease.token)).await;
        worker.offer(&[0]).await;
        lease = worker.lease().await;
    }
    assert!(began.elapsed() > Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(lease.tasks[0].attempt, 1, "and loses nothing by it");
    coordinator.stop().await.unwrap();
}
