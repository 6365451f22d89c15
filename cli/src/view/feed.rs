//! Asks the coordinator for what the view shows, as often as it can without being a burden.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use colearn_client::gather_running;
use colearn_core::result::TaskResult;
use colearn_proto::v1::{self, SweepSummary, TaskCounts, get_results_response::Part};
use tokio::{
    sync::{mpsc::UnboundedSender, watch},
    task::JoinHandle,
};

use super::{
    grid::Grid,
    state::{Event, Wants},
};
use crate::{
    client::Client,
    exit::Failure,
    remote::{History, all_workers, fetch_results, log_of_task, now, short_log_line, tasks_of},
    shown::Shown,
};

/// The shortest time between two questions of one kind.
const PERIOD: Duration = Duration::from_millis(500);
/// A question that takes long is not asked more often than its answer takes, times this.
const REST: u32 = 8;

/// When a question is asked again.
#[derive(Default)]
struct Turn(Option<Instant>);

impl Turn {
    fn is_due(&self) -> bool {
        self.0.is_none_or(|next| Instant::now() >= next)
    }

    fn took(&mut self, began: Instant) {
        self.0 = Some(Instant::now() + PERIOD.max(began.elapsed() * REST));
    }
}

/// What the questions are about.
pub(super) struct Feed {
    pub(super) name: String,
    /// The client, which is another one after the connection was lost.
    pub(super) client: watch::Receiver<Client>,
    pub(super) wants: watch::Receiver<Wants>,
    pub(super) summary: watch::Receiver<Option<SweepSummary>>,
    pub(super) events: UnboundedSender<Event>,
}

/// Ends with what holds it.
struct Follower(JoinHandle<()>);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Feed {
    /// Asks until nobody listens.
    pub(super) async fn run(mut self) {
        let (mut tasks, mut results, mut workers, mut curves, mut running) =
            (Turn::default(), Turn::default(), Turn::default(), Turn::default(), Turn::default());
        let mut seen: Option<SweepSummary> = None;
        let mut averaged: Option<TaskCounts> = None;
        let mut log: Option<((String, u64), Follower)> = None;
        while !self.events.is_closed() {
            let wants = self.wants.borrow_and_update().clone();
            let summary = self.summary.borrow_and_update().clone();
            let mut client = self.client.borrow().clone();
            let counts = summary.as_ref().and_then(|summary| summary.tasks);
            if log.as_ref().map(|(task, _)| task) != wants.log.as_ref() {
                log = wants.log.map(|task| (task.clone(), self.follow(task)));
            }
            let began = Instant::now();
            if tasks.is_due() && seen != summary {
                if let Ok(rows) = tasks_of(&mut client, &self.name).await {
                    self.say(Event::Tasks(Grid::of(rows)));
                    seen = summary;
                }
                tasks.took(began);
            } else if wants.workers && workers.is_due() {
                if let Ok(rows) = all_workers(&mut client).await {
                    self.say(Event::Workers(rows, now()));
                }
                workers.took(began);
            } else if let Some((configuration, done)) = wants.curves.filter(|_| curves.is_due()) {
                if let Ok(seeds) = curves_of(&mut client, &self.name, &configuration).await {
                    self.say(Event::Curves { configuration, done, seeds });
                }
                curves.took(began);
            } else if let Some(configuration) = wants.running.filter(|_| running.is_due()) {
                if let Ok(seeds) = running_curves_of(&mut client, &self.name, &configuration).await {
                    self.say(Event::Running { configuration, seeds });
                }
                running.took(began);
            } else if wants.results && results.is_due() && has_more(averaged, counts) {
                if let Ok(fetched) = fetch_results(&mut client, &self.name, History::LeftOut).await {
                    let see_all = format!("colearn results {} --all", self.name);
                    let shown = Shown::first(&fetched.table, false, &see_all);
                    self.say(Event::Results(Box::new(fetched), shown));
                    averaged = counts;
                }
                results.took(began);
            } else {
                tokio::select! {
                    changed = self.wants.changed() => if changed.is_err() { return },
                    () = tokio::time::sleep(PERIOD / 2) => {}
                }
            }
        }
    }

    fn say(&self, event: Event) {
        // The view may have ended.
        let _ = self.events.send(event);
    }

    /// Follows the log of a task.
    fn follow(&self, task: (String, u64)) -> Follower {
        let (name, events, client) = (self.name.clone(), self.events.clone(), self.client.clone());
        Follower(tokio::spawn(async move {
            let mut after = 0;
            loop {
                let mut client = client.borrow().clone();
                let of = v1::TaskReference { configuration: task.0.clone(), seed: task.1 };
                if let Ok(mut parts) = log_of_task(&mut client, &name, of, true, after).await {
                    loop {
                        match parts.message().await {
                            Ok(Some(part)) => {
                                after = part.lines.iter().map(|line| line.number).fold(after, u64::max);
                                let lines = part.lines.iter().map(short_log_line).collect();
                                let _ = events.send(Event::Log(task.clone(), lines));
                            }
                            // Nothing more will be logged.
                            Ok(None) => return,
                            Err(_) => break,
                        }
                    }
                }
                tokio::time::sleep(PERIOD * 4).await;
            }
        }))
    }
}

/// Whether there are results or failures that were not averaged yet.
fn has_more(averaged: Option<TaskCounts>, counts: Option<TaskCounts>) -> bool {
    let ended = |counts: TaskCounts| (counts.total, counts.done, counts.failed);
    averaged.is_none() || averaged.map(ended) != counts.map(ended)
}

/// The curves of a configuration by seed.
async fn curves_of(
    client: &mut Client,
    name: &str,
    configuration: &str,
) -> Result<BTreeMap<u64, Vec<colearn_core::result::EpochRecord>>, Failure> {
    let request = v1::GetResultsRequest {
        name: name.to_owned(),
        without_history: false,
        configurations: vec![configuration.to_owned()],
    };
    let answer = client.get_results(request).await;
    let mut parts = answer.map_err(|status| client.failure(&status))?.into_inner();
    let mut seeds = BTreeMap::new();
    while let Some(message) = parts.message().await.map_err(|status| client.failure(&status))? {
        let Some(Part::Result(recorded)) = message.part else { continue };
        let Some(task) = recorded.task.filter(|task| task.configuration == configuration) else { continue };
        // One that this version does not understand is left out.
        if let Ok(result) = TaskResult::try_from(recorded.result.unwrap_or_default()) {
            seeds.insert(task.seed, result.history);
        }
    }
    Ok(seeds)
}

/// The curves of a configuration's running tasks by seed.
async fn running_curves_of(
    client: &mut Client,
    name: &str,
    configuration: &str,
) -> Result<BTreeMap<u64, Vec<colearn_core::result::EpochRecord>>, Failure> {
    let configurations = vec![configuration.to_owned()];
    let request = v1::GetRunningCurvesRequest { name: name.to_owned(), configurations };
    let running = gather_running(client.get_running_curves(request).await).await;
    let running = running.map_err(|status| client.failure(&status))?;
    Ok(running.into_iter().map(|it| (it.seed, it.history)).collect())
}
