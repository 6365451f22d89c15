//! Sweeps of programs over gRPC: which slots take them, why they wait, and what happens when a program changes.

use colearn_coordinator::RunningCoordinator;
use colearn_core::{
    needs::{Needs, TrainerKind},
    settings::{ProgramSettings, TaskSettings},
    sweep::Sweep,
};
use colearn_proto::v1::{self, work_request, work_response::Message};

use crate::support::{Person, ScriptedWorker, result, small_sweep, start, tasks};

fn program(name: &str, needs: Needs) -> Sweep {
    let mut sweep = small_sweep(name, 4, 1);
    for configuration in &mut sweep.configurations {
        let settings = TaskSettings::Program(ProgramSettings {
            command: vec!["python3".to_owned(), "train.py".to_owned()],
            directory: "/home/me/net".to_owned(),
            metrics: vec!["accuracy".to_owned()],
            ..ProgramSettings::default()
        });
        configuration.settings = settings.into();
    }
    sweep.needs = Needs { trainer: TrainerKind::Programs, ..needs };
    sweep
}

/// A worker with one slot that runs programs, with a GPU or without.
async fn worker(coordinator: &RunningCoordinator, name: &str, gpu: bool) -> ScriptedWorker {
    let trainers = vec![v1::TrainerKind::Networks.into(), v1::TrainerKind::Programs.into()];
    let offers = Some(v1::Offers { trainers, gpu, ..v1::Offers::default() });
    let slots = vec![v1::Slot { index: 0, device: "cpu x1".to_owned(), max_cohort: 4, offers }];
    let hello = v1::Hello { worker: name.to_owned(), slots, ..v1::Hello::default() };
    ScriptedWorker::open(coordinator, work_request::Message::Hello(hello)).await.expect("it is welcome")
}

async fn finish(worker: &mut ScriptedWorker, lease: &v1::Lease, digest: &str) {
    let result = v1::TaskResult { data_digest: digest.to_owned(), ..result(0.5) };
    worker.finish_with(lease.token, &tasks(lease)[0], result).await;
    worker.acknowledged().await;
}

#[tokio::test]
async fn why_a_sweep_waits_is_told_until_a_worker_can_take_it() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    let needs = Needs { gpu: true, ..Needs::default() };
    let told = person.submit(&program("net", needs.clone())).await.sweep.unwrap().why_waiting;
    assert_eq!(told, "no worker is connected");
    let networks = ScriptedWorker::connect(&coordinator, "networks", &[1, 1], vec![]).await;
    let cpu = worker(&coordinator, "cpu", false).await;
    for worker in [&networks, &cpu] {
        worker.offer(&[0]).await;
    }
    let told = person.submit(&program("net", needs)).await.sweep.unwrap().why_waiting;
    assert_eq!(
        told,
        "none of 3 slots can run its tasks: 3 have no GPU; 2 run no programs of users (start the worker with \
         --allow-programs)"
    );
    assert_eq!(person.get("net").await.sweep.unwrap().why_waiting, told);
    let mut gpu = worker(&coordinator, "gpu", true).await;
    assert_eq!(person.get("net").await.sweep.unwrap().why_waiting, "");
    gpu.offer(&[0]).await;
    assert_eq!(gpu.lease().await.tasks.len(), 1, "programs run alone");
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_sweep_goes_on_with_a_changed_program_when_a_person_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    person.submit(&program("net", Needs::default())).await;
    let mut old = worker(&coordinator, "old", false).await;
    old.offer(&[0]).await;
    let lease = old.lease().await;
    finish(&mut old, &lease, "0ld").await;
    old.offer(&[0]).await;
    let begun_before = old.lease().await;
    assert_eq!(begun_before.tasks[0].data_digest, "0ld");
    let mut new = worker(&coordinator, "new", false).await;
    new.offer(&[0]).await;
    let lease = new.lease().await;
    finish(&mut new, &lease, "0new").await;
    let seen = person.get("net").await;
    let failure = seen.failures[0].failure.clone().unwrap().message;
    assert!(
        failure.starts_with(
            "the program `/home/me/net: python3 train.py` has changed: its files have the digest 0new"
        ) && failure.ends_with("--changed-program"),
        "{failure}"
    );
    let [pause] = seen.set_aside.as_slice() else { panic!("{:?}", seen.set_aside) };
    assert!(pause.program && pause.worker == "new");
    let Some(Message::Notice(notice)) = new.next().await else { panic!("it is told") };
    assert!(notice.text.contains("no tasks of program `/home/me/net: python3 train.py`"), "{}", notice.text);

    let request = v1::ReplaceDataRequest { name: "net".to_owned() };
    let answer = person.0.replace_data(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer.sweep.unwrap().name, "net");
    assert_eq!(person.get("net").await.set_aside, []);
    let Some(Message::Notice(notice)) = new.next().await else { panic!("it is told") };
    assert!(
        notice.text.contains("tasks of program `/home/me/net: python3 train.py` again"),
        "{}",
        notice.text
    );
    finish(&mut old, &begun_before, "0ld").await;
    assert_eq!(person.tasks("net").await.done, 2, "it was begun before");
    new.offer(&[0]).await;
    let lease = new.lease().await;
    assert_eq!(lease.tasks[0].data_digest, "", "nothing determines the files yet");
    finish(&mut new, &lease, "0new").await;
    coordinator.stop().await.unwrap();

    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    let mut new = worker(&coordinator, "new", false).await;
    new.offer(&[0]).await;
    let lease = new.lease().await;
    assert_eq!(lease.tasks[0].data_digest, "0new");
    finish(&mut new, &lease, "0new").await;
    assert_eq!(person.tasks("net").await.done, 4);
    // Nothing to forget any more, and no such sweep.
    person.0.replace_data(request).await.unwrap();
    let unknown =
        person.0.replace_data(v1::ReplaceDataRequest { name: "other".to_owned() }).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
    coordinator.stop().await.unwrap();
}
