//! Removes the kept files of a sweep.

use std::collections::BTreeSet;

use colearn_core::{id::TaskId, text::counted_len};
use tokio::task::spawn_blocking;

use super::places::Places;
use crate::{
    client::Client,
    exit::{Exit, Failure},
    remote::{History, fetch_results},
};

/// The kept files of a sweep: where they are, and the tasks that may have some.
#[derive(Clone)]
pub(crate) struct KeptFiles {
    /// Number of files that results record.
    pub(crate) count: usize,
    locations: BTreeSet<String>,
    tasks: Vec<TaskId>,
    from: Option<String>,
}

impl KeptFiles {
    /// Finds the kept files of a sweep; `None` if no result records one.
    pub(crate) async fn of(
        client: &mut Client,
        name: &str,
        from: Option<&String>,
    ) -> Result<Option<Self>, Failure> {
        let fetched = fetch_results(client, name, History::LeftOut).await?;
        let Some(sweep) = fetched.number else { return Ok(None) };
        let (mut count, mut locations) = (0, BTreeSet::new());
        for artifact in fetched.artifacts() {
            count += 1;
            locations.insert(artifact.location.clone());
        }
        let seeds = &fetched.sweep.seeds;
        let tasks = fetched.sweep.configurations.iter().flat_map(|configuration| {
            seeds.iter().map(move |seed| TaskId { sweep, configuration: configuration.id, seed: *seed })
        });
        let found = Self { count, locations, tasks: tasks.collect(), from: from.cloned() };
        Ok(Some(found).filter(|found| found.count > 0))
    }

    /// Checks that all locations can be used here.
    pub(crate) async fn check(&self, name: &str) -> Result<(), Failure> {
        let (files, found) = (counted_len(self.count, "kept file"), self.clone());
        let checked = spawn_blocking(move || {
            let mut places = Places::new(found.from);
            let mut there =
                found.locations.iter().filter(|location| !places.is_gone(location)).collect::<Vec<_>>();
            there.drain(..).try_for_each(|location| places.open(location).map(drop))
        });
        joined(checked).await?.map_err(|why| {
            let message = format!(
                "{name} was not removed, because its {files} cannot be: {why}; or leave them where they are with --keep-files"
            );
            Failure::new(Exit::Failure, message)
        })
    }

    /// Removes the files of all tasks, those of attempts without a recorded result too; returns how many there were.
    pub(crate) async fn remove(self, name: &str) -> Result<usize, Failure> {
        let removed = spawn_blocking(move || {
            let mut places = Places::new(self.from);
            let mut removed = 0;
            for location in &self.locations {
                // Another try at a removal may have come so far.
                if places.is_gone(location) {
                    continue;
                }
                let store = places.open(location)?;
                for task in &self.tasks {
                    removed += store.remove_kept(*task).map_err(|error| error.to_string())?;
                }
                store.remove_empty();
            }
            Ok::<usize, String>(removed)
        });
        joined(removed).await?.map_err(|why| {
            let message = format!(
                "{name} was not removed, but some of its kept files may be: {why}; try again, or leave the files where they are with --keep-files"
            );
            Failure::new(Exit::Failure, message)
        })
    }
}

/// The outcome of a blocking call.
pub(super) async fn joined<T>(task: tokio::task::JoinHandle<T>) -> Result<T, Failure> {
    task.await.map_err(|error| Failure::new(Exit::Failure, error))
}
