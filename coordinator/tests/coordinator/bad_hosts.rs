//! Workers on which no task succeeds, over gRPC.

use colearn_proto::v1::{self, get_results_response::Part, work_response::Message};
use tonic::Code;

use crate::support::{Person, ScriptedWorker, result, small_sweep, start, tasks};

async fn undrain(person: &mut Person, worker: &str) -> Result<v1::Worker, tonic::Status> {
    let request = v1::UndrainWorkerRequest { worker: worker.to_owned() };
    let answer = person.0.undrain_worker(request).await?.into_inner();
    Ok(answer.worker.expect("the answer names the worker"))
}

/// The next text for the worker's log.
async fn notice(worker: &mut ScriptedWorker) -> String {
    loop {
        match worker.next().await {
            Some(Message::Notice(notice)) => return notice.text,
            Some(Message::Acknowledged(_)) => {}
            other => panic!("a notice was expected, not {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_worker_without_the_data_set_is_set_aside_named_and_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    person.submit(&small_sweep("first", 4, 1)).await;
    let mut good = ScriptedWorker::connect(&coordinator, "good", &[1], vec![]).await;
    good.offer(&[0]).await;
    let first = good.lease().await;
    let mut bad = ScriptedWorker::connect(&coordinator, "bad", &[1], vec![]).await;
    bad.offer(&[0]).await;
    let lease = bad.lease().await;
    bad.fail(lease.token, &tasks(&lease)[0], v1::FailureReason::Data).await;
    bad.offer(&[0]).await;
    let told = notice(&mut bad).await;
    assert!(told.contains("told so by the test") && told.ends_with("colearn undrain bad"), "{told}");

    let seen = person.get("first").await;
    assert_eq!(seen.sweep.unwrap().tasks.unwrap().failed, 0, "it may be the worker's fault");
    let [pause] = seen.set_aside.as_slice() else { panic!("{:?}", seen.set_aside) };
    assert_eq!((pause.worker.as_str(), pause.failures), ("bad", 1));
    assert!(!pause.data_set.is_empty() && pause.until > pause.since);
    let listed = person.0.list_workers(v1::ListWorkersRequest::default()).await.unwrap().into_inner();
    let told: Vec<usize> = listed.workers.iter().map(|worker| worker.set_aside.len()).collect();
    assert_eq!(told, [1, 0], "bad and good");

    let other = undrain(&mut person, "good").await.unwrap_err();
    assert_eq!(other.code(), Code::FailedPrecondition);
    assert!(other.message().contains("neither draining nor set aside"), "{other}");
    assert!(undrain(&mut person, "bad").await.unwrap().set_aside.is_empty());
    assert!(notice(&mut bad).await.contains("again: a person restored it"));
    let lease = bad.lease().await;
    assert_eq!(lease.tasks[0].data_digest, "", "nothing was trained yet: any data set may be the right one");
    let right = v1::TaskResult { data_digest: "abc".to_owned(), ..result(0.5) };
    bad.finish_with(lease.token, &tasks(&lease)[0], right).await;
    bad.acknowledged().await;

    // Another file: this result is not accepted for the sweep.
    let wrong = v1::TaskResult { data_digest: "def".to_owned(), ..result(0.5) };
    good.finish_with(first.token, &tasks(&first)[0], wrong).await;
    assert!(notice(&mut good).await.contains("has the digest def here, but the sweep is trained on abc"));
    bad.offer(&[0]).await;
    assert_eq!(bad.lease().await.tasks[0].data_digest, "abc", "from now on it must be this one");
    let parts = person.results("first").await;
    assert_eq!(parts.iter().filter(|part| matches!(part, Part::Result(_))).count(), 1);
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_worker_that_was_asked_to_leave_can_stay() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[1], vec![]).await;
    worker.offer(&[0]).await;
    for now in [false, true] {
        let request = v1::DrainWorkerRequest { worker: "w".to_owned(), now };
        assert!(person.0.drain_worker(request).await.unwrap().into_inner().worker.unwrap().draining);
        assert_eq!(worker.next().await, Some(Message::Drain(v1::Drain { now })));
        let undone = undrain(&mut person, "w").await;
        if now {
            assert!(undone.unwrap_err().message().contains("start it again"));
        } else {
            assert!(!undone.unwrap().draining);
            assert_eq!(worker.next().await, Some(Message::Undrain(v1::Undrain {})));
        }
    }
    let away = undrain(&mut person, "somebody").await.unwrap_err();
    assert_eq!(away.code(), Code::FailedPrecondition);
    coordinator.stop().await.unwrap();
}
