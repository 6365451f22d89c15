//! Answers that would not fit into one message and are sent in pages.

use std::sync::Arc;

use colearn_core::sweep::Sweep;
use colearn_proto::v1;

use crate::support::{Person, ScriptedWorker, config, small_sweep, start, start_with};

fn ids(page: &v1::GetSweepResponse) -> Vec<String> {
    page.configurations.iter().map(|row| row.configuration.clone()).collect()
}

fn ids_of(sweep: &Sweep) -> Vec<String> {
    sweep.configurations.iter().map(|configuration| configuration.id.to_string()).collect()
}

#[tokio::test]
async fn a_sweep_is_told_page_by_page_in_the_order_of_the_grid() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    let sweep = small_sweep("first", 5, 2);
    person.submit(&sweep).await;
    let all = ids_of(&sweep);
    let mut told = Vec::new();
    for (from, more) in [(0, true), (2, true), (4, false)] {
        let page = person.page("first", from, 2).await;
        assert_eq!(page.more, more, "from {from}");
        assert_eq!(page.sweep.as_ref().unwrap().configurations, 5, "the sweep is the whole on each page");
        assert!(page.configurations.iter().all(|row| row.tasks.unwrap().pending == 2));
        told.extend(ids(&page));
    }
    assert_eq!(told, all);
    assert_eq!(ids(&person.get("first").await), all, "who asks for no page gets what fits");
    for beyond in [5, u32::MAX] {
        let page = person.page("first", beyond, 2).await;
        assert!(page.configurations.is_empty() && !page.more, "there is nothing from {beyond} on");
    }
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_sweep_of_very_many_configurations_is_never_told_in_one_message() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.parser = Arc::new(|count, _, _| Ok((small_sweep("huge", count.parse().unwrap(), 1), Vec::new())));
    let coordinator = start_with(config).await.unwrap();
    let mut person = Person::at(&coordinator).await;
    let (source, origin) = ("20000".to_owned(), String::new());
    person.0.submit_sweep(v1::SubmitSweepRequest { source, origin, ..Default::default() }).await.unwrap();
    for limit in [0, u32::MAX] {
        let first = person.page("huge", 0, limit).await;
        assert_eq!((first.configurations.len(), first.more), (16_384, true));
        let last = person.page("huge", 16_384, limit).await;
        assert_eq!((last.configurations.len(), last.more), (20_000 - 16_384, false));
    }
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn workers_are_told_page_by_page() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut connected = Vec::new();
    for name in ["c", "a", "d", "b", "e"] {
        connected.push(ScriptedWorker::connect(&coordinator, name, &[1], vec![]).await);
    }
    let mut person = Person::at(&coordinator).await;
    let mut told = Vec::new();
    for (after, more) in [("", true), ("b", true), ("d", false), ("e", false)] {
        let request = v1::ListWorkersRequest { after: after.to_owned(), limit: 2, seen_tasks: 0 };
        let page = person.0.list_workers(request).await.unwrap().into_inner();
        assert_eq!(page.more, more, "after {after:?}");
        told.extend(page.workers.into_iter().map(|worker| worker.worker));
    }
    assert_eq!(told, ["a", "b", "c", "d", "e"]);
    assert_eq!(person.workers().await, told, "who asks for no page gets what fits");
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn workers_with_very_many_tasks_are_never_told_in_one_message() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    let mut workers = Vec::new();
    for name in 0..10 {
        person.submit(&small_sweep(&format!("sweep-{name}"), 1000, 1)).await;
        let mut worker = ScriptedWorker::connect(&coordinator, &format!("w{name}"), &[1000], vec![]).await;
        worker.offer(&[0]).await;
        assert_eq!(worker.lease().await.tasks.len(), 1000);
        workers.push(worker);
    }
    let first = person.0.list_workers(v1::ListWorkersRequest::default()).await.unwrap().into_inner();
    // A task has its own size and that of its name.
    assert_eq!((first.workers.len(), first.more), (5, true), "the fifth brings it to more than 8192");
    let after = first.workers.last().unwrap().worker.clone();
    let last = person
        .0
        .list_workers(v1::ListWorkersRequest { after, ..Default::default() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!((last.workers.len(), last.more), (5, false));
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn the_tasks_of_one_worker_are_told_in_several_messages() {
    const SLOTS: u32 = 10;
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[1000; SLOTS as usize], vec![]).await;
    for slot in 0..SLOTS {
        person.submit(&small_sweep(&format!("sweep-{slot}"), 1000, 1)).await;
        worker.offer(&[slot]).await;
        assert_eq!(worker.lease().await.tasks.len(), 1000);
    }
    let mut idle = Vec::new();
    for name in ["a", "x"] {
        idle.push(ScriptedWorker::connect(&coordinator, name, &[1], vec![]).await);
    }
    let (mut after, mut seen_tasks, mut told, mut names) = (String::new(), 0, Vec::new(), Vec::new());
    for (more, cut) in [(true, true), (true, true), (false, false)] {
        let request = v1::ListWorkersRequest { after, limit: 0, seen_tasks };
        let page = person.0.list_workers(request).await.unwrap().into_inner();
        assert_eq!((page.more, page.cut), (more, cut));
        names.extend(page.workers.iter().map(|worker| worker.worker.clone()));
        let split = page.workers.iter().find(|worker| worker.worker == "w").unwrap();
        assert_eq!((split.running, split.slots.len()), (u64::from(SLOTS) * 1000, SLOTS as usize));
        for slot in &split.slots {
            told.extend(slot.tasks.iter().map(|task| (slot.index, task.sweep.clone(), task.task.clone())));
        }
        (after, seen_tasks) = ("w".to_owned(), u32::try_from(told.len()).unwrap());
    }
    assert_eq!(names, ["a", "w", "w", "w", "x"]);
    assert_eq!(told.len(), SLOTS as usize * 1000);
    for (at, one) in told.iter().enumerate() {
        assert_eq!((one.0 as usize, one.1.clone()), (at / 1000, format!("sweep-{}", at / 1000)));
    }
    let distinct: std::collections::HashSet<_> =
        told.iter().map(|(_, sweep, task)| (sweep, &task.as_ref().unwrap().configuration)).collect();
    assert_eq!(distinct.len(), told.len(), "each task is told once");
    // Who names a worker that has gone gets the next one.
    let request = v1::ListWorkersRequest { after: "v".to_owned(), limit: 0, seen_tasks: 5 };
    let page = person.0.list_workers(request).await.unwrap().into_inner();
    assert_eq!(page.workers.first().unwrap().worker, "w");
    let drained = v1::DrainWorkerRequest { worker: "w".to_owned(), now: false };
    let worker = person.0.drain_worker(drained).await.unwrap().into_inner().worker.unwrap();
    assert_eq!(worker.running, 10_000);
    assert!(worker.slots.iter().map(|slot| slot.tasks.len()).sum::<usize>() < 10_000);
    coordinator.stop().await.unwrap();
}
