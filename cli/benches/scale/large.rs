//! Submits, extends, cancels, retries and removes a sweep of a million tasks, while somebody else asks something all the time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use colearn_proto::v1;

use super::{
    Outcome,
    figures::{Figures, Goal},
    programs::{self, Coordinator},
};

/// Milliseconds that anybody else may wait.
pub(crate) const MOST: f64 = 100.0;

pub(crate) async fn measure(figures: &mut Figures, small: bool) -> Outcome {
    let tasks = if small { 100_000 } else { 1_000_000 };
    let all = programs::sweep("large", tasks);
    let some = all.replace("seeds: {count: 5", "seeds: {count: 4");
    let folder = tempfile::tempdir()?;
    let coordinator = Coordinator::start(folder.path()).await?;
    let mut client = coordinator.client().await?;
    let origin = "large.yaml".to_owned();

    let (began, asking) = (Instant::now(), Asking::start(&coordinator).await?);
    let first = v1::SubmitSweepRequest { source: some, origin: origin.clone(), ..Default::default() };
    client.submit_sweep(first).await?;
    let what = |what: &str| format!("large: {what}");
    figures.add(
        what(&format!("{} tasks submitted", tasks / 5 * 4)),
        began.elapsed().as_secs_f64(),
        "s",
        None,
    );
    let goal = Some(Goal::AtMost(MOST));
    figures.add(
        what("the longest that another client waited meanwhile"),
        asking.longest().await?,
        "ms",
        goal,
    );
    figures.add(what("written to the disk"), coordinator.written()? / 1024.0, "MiB", None);
    figures.add(
        what("memory of the coordinator after that"),
        coordinator.memory()?,
        "MiB",
        Some(Goal::AtMost(512.0)),
    );

    let (began, asking) = (Instant::now(), Asking::start(&coordinator).await?);
    let name = "large".to_owned();
    let second =
        v1::ExtendSweepRequest { name, source: all.clone(), origin: origin.clone(), ..Default::default() };
    let added = client.extend_sweep(second).await?.into_inner().added;
    if added != u64::from(tasks) / 5 {
        return Err(format!("{added} tasks were added").into());
    }
    figures.add(what(&format!("extended to {tasks} tasks")), began.elapsed().as_secs_f64(), "s", None);
    figures.add(what("the longest wait meanwhile"), asking.longest().await?, "ms", goal);

    let (began, asking) = (Instant::now(), Asking::start(&coordinator).await?);
    let again = v1::SubmitSweepRequest { source: all, origin, ..Default::default() };
    client.submit_sweep(again).await?;
    figures.add(what("submitted again, unchanged"), began.elapsed().as_secs_f64(), "s", None);
    figures.add(what("the longest wait while that"), asking.longest().await?, "ms", goal);

    let (began, asking) = (Instant::now(), Asking::start(&coordinator).await?);
    let name = || "large".to_owned();
    client.cancel_sweep(v1::CancelSweepRequest { name: name() }).await?;
    figures.add(what("cancelled"), began.elapsed().as_secs_f64(), "s", None);
    figures.add(what("the longest wait while it was cancelled"), asking.longest().await?, "ms", goal);

    let (began, asking) = (Instant::now(), Asking::start(&coordinator).await?);
    client.retry_sweep(v1::RetrySweepRequest { name: name(), ..Default::default() }).await?;
    figures.add(what("retried"), began.elapsed().as_secs_f64(), "s", None);
    figures.add(what("the longest wait while it was retried"), asking.longest().await?, "ms", goal);

    client.cancel_sweep(v1::CancelSweepRequest { name: name() }).await?;
    let (began, asking) = (Instant::now(), Asking::start(&coordinator).await?);
    client.remove_sweep(v1::RemoveSweepRequest { name: name() }).await?;
    figures.add(what("removed"), began.elapsed().as_secs_f64(), "s", None);
    // What is deleted after the answer makes others wait too.
    tokio::time::sleep(Duration::from_secs(3)).await;
    figures.add(
        what("the longest wait while it was removed, and after that"),
        asking.longest().await?,
        "ms",
        goal,
    );
    figures.add(what("peak memory of the coordinator"), coordinator.peak_memory()?, "MiB", None);
    Ok(())
}

/// A client that asks for the list of sweeps all the time.
pub(crate) struct Asking {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<Duration, tonic::Status>>,
}

impl Asking {
    pub(crate) async fn start(coordinator: &Coordinator) -> Outcome<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut client, stopped) = (coordinator.client().await?, stop.clone());
        let task = tokio::spawn(async move {
            let mut longest = Duration::ZERO;
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                client.list_sweeps(v1::ListSweepsRequest {}).await?;
                longest = longest.max(began.elapsed());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok(longest)
        });
        Ok(Self { stop, task })
    }

    /// Ends it. Returns the longest time it waited for an answer, in milliseconds.
    pub(crate) async fn longest(self) -> Outcome<f64> {
        self.stop.store(true, Ordering::Relaxed);
        Ok(self.task.await??.as_secs_f64() * 1e3)
    }
}
