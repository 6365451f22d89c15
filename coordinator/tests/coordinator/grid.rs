//! The grid of a sweep, and the tasks of some of its configurations.

use colearn_proto::v1::{self, TaskState};

use crate::support::{Person, ScriptedWorker, small_sweep, start, tasks};

/// The seeds, and the names of configurations with the states of their tasks.
async fn grid(person: &mut Person, name: &str) -> (Vec<u64>, Vec<(String, Vec<TaskState>)>) {
    let request = v1::GetGridRequest { name: name.to_owned(), only_states: false };
    let mut parts = person.0.get_grid(request).await.expect("there is such a sweep").into_inner();
    let (mut seeds, mut rows) = (Vec::new(), Vec::new());
    while let Some(part) = parts.message().await.expect("the answer comes whole") {
        assert!(rows.is_empty() || part.seeds.is_empty(), "seeds come first");
        seeds.extend(part.seeds);
        let states = |row: &v1::GridRow| {
            row.states
                .iter()
                .map(|state| TaskState::try_from(i32::from(*state)).expect("it is a state"))
                .collect()
        };
        rows.extend(part.rows.iter().map(|row| (row.configuration.clone(), states(row))));
    }
    (seeds, rows)
}

#[tokio::test]
async fn a_grid_has_the_state_of_every_task() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    person.submit(&small_sweep("first", 2, 3)).await;
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[1, 1], vec![]).await;
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    let [done] = tasks(&lease).try_into().unwrap();
    worker.finish(lease.token, &done, 0.5).await;
    worker.acknowledged().await;
    worker.offer(&[1]).await;
    let [running] = tasks(&worker.lease().await).try_into().unwrap();
    let cancel = v1::CancelTasksRequest { name: "first".to_owned(), seeds: vec![2], ..Default::default() };
    person.0.cancel_tasks(cancel).await.unwrap();

    let (seeds, rows) = grid(&mut person, "first").await;
    assert_eq!((seeds.len(), rows.len()), (3, 2));
    for (configuration, states) in rows {
        for (seed, state) in seeds.iter().zip(states) {
            let is = |task: &v1::TaskId| task.configuration == configuration && task.seed == *seed;
            let expected = match (is(&done), is(&running), *seed) {
                (true, ..) => TaskState::Done,
                (_, true, _) => TaskState::Running,
                (.., 2) => TaskState::Cancelled,
                _ => TaskState::Pending,
            };
            assert_eq!(state, expected, "{configuration} {seed}");
        }
    }
    let unknown = v1::GetGridRequest { name: "other".to_owned(), only_states: true };
    assert_eq!(person.0.get_grid(unknown).await.unwrap_err().code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn tasks_of_some_configurations_are_listed_alone() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    person.submit(&small_sweep("first", 3, 1100)).await;
    let (_, rows) = grid(&mut person, "first").await;
    let [one, _, three] =
        rows.into_iter().map(|(configuration, _)| configuration).collect::<Vec<_>>().try_into().unwrap();
    let unknown = "00000000000000ff".to_owned();
    for (asked, expected) in [
        (vec![one.clone()], vec![one.clone()]),
        (vec![three.clone(), one.clone(), one.clone()], vec![one.clone(), three.clone()]),
        (vec![unknown.clone(), three.clone()], vec![three.clone()]),
        (vec![unknown], vec![]),
    ] {
        let request = v1::ListTasksRequest {
            name: "first".to_owned(),
            configurations: asked.clone(),
            ..Default::default()
        };
        let mut parts = person.0.list_tasks(request).await.unwrap().into_inner();
        let mut listed: Vec<(String, u64)> = Vec::new();
        while let Some(part) = parts.message().await.unwrap() {
            listed.extend(
                part.tasks
                    .into_iter()
                    .map(|row| row.task.unwrap())
                    .map(|task| (task.configuration, task.seed)),
            );
        }
        let expected: Vec<_> =
            expected.into_iter().flat_map(|id| (0..1100).map(move |seed| (id.clone(), seed))).collect();
        assert_eq!(listed, expected, "{asked:?}");
    }
}
