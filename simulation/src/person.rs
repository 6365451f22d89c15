//! A person with the real client, who submits, operates, watches, and waits until everything is done.

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use colearn_core::{
    failure::FailureReason,
    id::{ConfigurationId, SweepId, TaskId},
    result::TaskResult,
    sweep::Sweep,
    table::{ResultsTable, TaskOutcome},
};
use colearn_proto::{
    convert,
    v1::{self, SweepState, get_results_response::Part, sweep_service_client::SweepServiceClient},
};
use tokio::time::{sleep, sleep_until, timeout};
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

use crate::{chance::Chance, hosts::Shared, network, trainers::diverges, trouble::CALM_AT};

/// The first sweep, and what it is extended to.
pub const FIRST: &str = "first";
/// The second sweep.
pub const SECOND: &str = "second";
/// A sweep of programs, beside the first one.
pub const PROGRAMS: &str = "programs";
/// The longest time that the person waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

type Client = SweepServiceClient<Channel>;

/// A sweep file. Its scheduling options are random: results must not depend on them.
#[must_use]
pub fn file(name: &str, levels: &str, seeds: &str, schedule: &str) -> String {
    format!(
        "name: {name}\ndataset: waves\nprimary: inertial\n\
         model: {{kind: bi-eflstm, hidden: 8, layers: 1, dropout: 0.5}}\n\
         training: {{epochs: 4, batch_size: 4, learning_rate: 0.001}}\n\
         parameters:\n  modality_dropout.skeleton: {levels}\n\
         include: [{{unimodal: true}}]\nseeds: {seeds}\n\
         report: {{metrics: [accuracy, loss, f_score], baseline: {{unimodal: true}}}}\n\
         retries: {{max_attempts: 2, initial_backoff: 1s, max_backoff: 4s}}\n\
         checkpoint: {{every_epochs: 1}}\n{schedule}"
    )
}

/// A sweep file of programs.
fn programs() -> String {
    format!(
        "name: {PROGRAMS}\nprogram: {{command: [train, \"${{args}}\"], directory: /net, gpu: true}}\n\
         parameters: {{depth: [1, 2, 3]}}\nseeds: [0, 1]\nreport: {{metrics: [accuracy]}}\n\
         retries: {{max_attempts: 2, initial_backoff: 1s, max_backoff: 4s}}\n"
    )
}

/// What the person has received at the end of a history.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The sweep as the coordinator resolved it.
    pub sweep: Sweep,
    /// Every result.
    pub results: BTreeMap<TaskId, TaskResult>,
    /// Every task that failed for good.
    pub failed: BTreeMap<TaskId, FailureReason>,
    /// The averaged results.
    pub table: ResultsTable,
}

/// Where the person stores what was received, by the sweep's name.
pub type Findings = Arc<Mutex<BTreeMap<String, Found>>>;

/// The person of a history.
pub struct Person {
    shared: Shared,
    chance: Chance,
    schedule: String,
    /// Recorded results that the person has seen.
    seen: BTreeMap<TaskId, TaskResult>,
}

impl Person {
    /// A person who has done nothing yet. A `calm` person only submits, extends and waits.
    #[must_use]
    pub fn new(shared: Shared) -> Self {
        let mut chance = Chance::new(shared.seed, "person");
        let schedules = ["", "order: by_configuration\n", "max_concurrent_tasks: 2\n", "priority: 3\n"];
        let schedule = (*chance.pick(&schedules)).to_owned();
        Self { shared, chance, schedule, seen: BTreeMap::new() }
    }

    /// Acts through a history, and stores what was received.
    ///
    /// # Errors
    /// Never: violations are written to the trace.
    pub async fn live(mut self, troubled: bool, findings: Findings) -> turmoil::Result {
        let first = file(FIRST, "[0, 0.5]", "[0, 1, 2]", &self.schedule);
        self.submit(FIRST, &first).await;
        self.submit(PROGRAMS, &programs()).await;
        if troubled {
            let mut moments: Vec<Duration> =
                (0..self.chance.below(9)).map(|_| self.chance.millis(500, 50_000)).collect();
            moments.sort_unstable();
            for moment in moments {
                until(moment).await;
                self.operate().await;
            }
            until(CALM_AT + Duration::from_secs(1)).await;
        }
        let second = file(SECOND, "[0.25]", "[7, 8]", "");
        self.submit(SECOND, &second).await;
        self.submit(SECOND, &second).await;
        let longer = self.longer();
        self.insist("extend", |mut client| {
            let request = longer.clone();
            async move { client.extend_sweep(request).await }
        })
        .await;
        for name in [FIRST, PROGRAMS, SECOND] {
            self.finish(name).await;
            let found = self.results(name).await;
            findings.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), found);
        }
        self.wait_for_idle_slots().await;
        Ok(())
    }

    /// Submits a sweep until the coordinator confirms it.
    async fn submit(&mut self, name: &str, source: &str) {
        let (source, origin) = (source.to_owned(), format!("{name}.yaml"));
        let request = v1::SubmitSweepRequest { source, origin, ..Default::default() };
        let answer = self
            .insist("submit", |mut client| {
                let request = request.clone();
                async move { client.submit_sweep(request).await }
            })
            .await;
        self.note(format_args!("submitted {name}: new: {}", answer.created));
    }

    /// Does one random operation once, with any outcome.
    async fn operate(&mut self) {
        let names = [FIRST, FIRST, FIRST, FIRST, PROGRAMS, SECOND];
        let name = (*self.chance.pick(&names)).to_owned();
        let what = self.chance.below(11);
        let paused = self.chance.percent(50);
        let priority = self.chance.below(5) as i32;
        let at_once = self.chance.percent(50);
        let failed_only = self.chance.percent(30);
        let any = self.chance.draw();
        let longer = self.longer();
        let outcome = self
            .attempt(|mut client| async move {
                Ok(match what {
                    0 | 1 => {
                        let request = v1::PauseSweepRequest { name, paused };
                        client.pause_sweep(request).await?;
                        format!("paused: {paused}")
                    }
                    2 => {
                        client.cancel_sweep(v1::CancelSweepRequest { name }).await?;
                        "cancelled".to_owned()
                    }
                    3 | 4 => {
                        let request = v1::RetrySweepRequest { name, failed_only, tasks: Vec::new() };
                        let answer = client.retry_sweep(request).await?.into_inner();
                        format!("retried {}", answer.retried)
                    }
                    5 => {
                        let answer = client.extend_sweep(longer).await?.into_inner();
                        format!("extended by {}", answer.added)
                    }
                    6 => {
                        client.prioritize_sweep(v1::PrioritizeSweepRequest { name, priority }).await?;
                        format!("priority {priority}")
                    }
                    7 => {
                        client.replace_data(v1::ReplaceDataRequest { name }).await?;
                        "data replaced".to_owned()
                    }
                    8 => {
                        let workers = client
                            .list_workers(v1::ListWorkersRequest::default())
                            .await?
                            .into_inner()
                            .workers;
                        if workers.is_empty() {
                            return Ok("nobody to drain".to_owned());
                        }
                        let worker = workers[any as usize % workers.len()].worker.clone();
                        let request = v1::DrainWorkerRequest { worker: worker.clone(), now: at_once };
                        client.drain_worker(request).await?;
                        format!("drained {worker}, at once: {at_once}")
                    }
                    10 => {
                        let request = v1::ListTasksRequest { name: name.clone(), ..Default::default() };
                        let page = client.list_tasks(request).await?.into_inner().message().await?;
                        let all = page.unwrap_or_default().tasks;
                        let named = |task: TaskId| (task.configuration.to_string(), task.seed);
                        let at = any as usize % all.len().max(1);
                        let Some(Ok(task)) = all.get(at).map(|row| convert::task(row.task.clone())) else {
                            return Ok("no task to cancel".to_owned());
                        };
                        let (configuration, seed) = named(task);
                        let mut request = v1::CancelTasksRequest { name, ..Default::default() };
                        match (at_once, paused) {
                            (true, _) => request.tasks = vec![v1::TaskReference { configuration, seed }],
                            (false, true) => request.configurations = vec![configuration],
                            (false, false) => request.seeds = vec![seed],
                        }
                        let answer = client.cancel_tasks(request).await?.into_inner();
                        format!("cancelled {} tasks", answer.cancelled)
                    }
                    _ => "looks".to_owned(),
                })
            })
            .await;
        match outcome {
            Ok(done) => self.note(format_args!("{done}")),
            Err(status) => self.note(format_args!("{:?}: {}", status.code(), status.message())),
        }
        if (8..10).contains(&what)
            && let Ok(found) = self.fetch(FIRST).await
        {
            self.check(&found);
        }
    }

    /// More levels and more seeds.
    fn longer(&self) -> v1::ExtendSweepRequest {
        let source = file(FIRST, "[0, 0.5, 0.9]", "[0, 1, 2, 3]", &self.schedule);
        v1::ExtendSweepRequest {
            name: FIRST.to_owned(),
            source,
            origin: "longer.yaml".to_owned(),
            ..Default::default()
        }
    }

    /// Resumes and retries a sweep until every task has its result, except those that always diverge.
    async fn finish(&mut self, name: &str) {
        loop {
            let request = v1::GetSweepRequest { name: name.to_owned(), ..Default::default() };
            let answer = self
                .insist("look", |mut client| {
                    let request = request.clone();
                    async move { client.get_sweep(request).await }
                })
                .await;
            let summary = answer.sweep.unwrap_or_default();
            if summary.state() == SweepState::Active {
                if summary.paused {
                    let request = v1::PauseSweepRequest { name: name.to_owned(), paused: false };
                    // The sweep may have ended in between, which is no error.
                    let _ = self.attempt(|mut client| async move { client.pause_sweep(request).await }).await;
                }
                sleep(Duration::from_secs(1)).await;
                continue;
            }
            let found = self.results(name).await;
            let as_always = |(task, reason): &(&TaskId, &FailureReason)| {
                diverges(**task) && **reason == FailureReason::Diverged
            };
            let whims = found.failed.iter().filter(|failed| !as_always(failed)).count();
            let missing = found.sweep.task_count() as usize - found.results.len() - found.failed.len();
            self.note(format_args!("{name} has ended: {whims} to try again, {missing} without any outcome"));
            if whims + missing == 0 {
                return;
            }
            let request =
                v1::RetrySweepRequest { name: name.to_owned(), failed_only: false, tasks: Vec::new() };
            self.insist("retry", |mut client| {
                let request = request.clone();
                async move { client.retry_sweep(request).await }
            })
            .await;
        }
    }

    /// When everything has ended, no worker must continue under a lease that is no longer its own.
    async fn wait_for_idle_slots(&mut self) {
        for _ in 0..60 {
            let answer = self
                .insist("workers", |mut client| async move {
                    client.list_workers(v1::ListWorkersRequest::default()).await
                })
                .await;
            let busy = answer.workers.iter().flat_map(|worker| &worker.slots);
            if busy.into_iter().all(|slot| slot.tasks.is_empty()) {
                return;
            }
            sleep(Duration::from_secs(1)).await;
        }
        self.shared.trace.wrong("everything has ended, and slots are busy still");
    }

    async fn results(&mut self, name: &str) -> Found {
        loop {
            match self.fetch(name).await {
                Ok(found) => {
                    self.check(&found);
                    return found;
                }
                Err(_) => sleep(Duration::from_secs(1)).await,
            }
        }
    }

    async fn fetch(&mut self, name: &str) -> Result<Found, Status> {
        let request =
            v1::GetResultsRequest { name: name.to_owned(), without_history: false, ..Default::default() };
        self.attempt(|mut client| async move {
            let bad = |error: &dyn std::fmt::Display| Status::internal(error.to_string());
            let mut parts = client.get_results(request).await?.into_inner();
            let (mut json, mut results, mut failed) = (String::new(), BTreeMap::new(), BTreeMap::new());
            let mut cancelled: Vec<v1::TaskReference> = Vec::new();
            while let Some(message) = parts.message().await? {
                match message.part {
                    Some(Part::SweepJson(text)) => json += &text,
                    Some(Part::Result(recorded)) => {
                        let task = convert::task(recorded.task).map_err(|error| bad(&error))?;
                        let result = recorded.result.unwrap_or_default().try_into();
                        results.insert(task, result.map_err(|error| bad(&error))?);
                    }
                    Some(Part::Failure(failure)) => {
                        let task = convert::task(failure.task).map_err(|error| bad(&error))?;
                        let reason = failure.failure.unwrap_or_default().reason;
                        let reason = convert::failure_reason(reason).map_err(|error| bad(&error))?;
                        failed.insert(task, reason);
                    }
                    Some(Part::Cancelled(part)) => cancelled.extend(part.tasks),
                    None => {}
                }
            }
            let sweep: Sweep = serde_json::from_str(&json).map_err(|error| bad(&error))?;
            let done = results.iter().map(|(task, result): (&TaskId, &TaskResult)| {
                ((task.configuration, task.seed), TaskOutcome::Done(result.clone()))
            });
            let not = failed.iter().map(|(task, reason): (&TaskId, _)| {
                ((task.configuration, task.seed), TaskOutcome::Failed(*reason))
            });
            let cancelled = cancelled.into_iter().map(|task| {
                let configuration = task.configuration.parse().map_err(|error| bad(&error))?;
                Ok(((configuration, task.seed), TaskOutcome::Cancelled))
            });
            let cancelled = cancelled.collect::<Result<Vec<_>, Status>>()?;
            let outcomes: HashMap<(ConfigurationId, u64), TaskOutcome> =
                done.chain(not).chain(cancelled).collect();
            let table = ResultsTable::of(&sweep, &outcomes);
            Ok(Found { sweep, results, failed, table })
        })
        .await
    }

    /// Checks that everything the person ever saw is still there, and that every mean says how many seeds it is over.
    fn check(&mut self, found: &Found) {
        let trace = &self.shared.trace;
        let sweep = found.results.keys().next().map_or(SweepId(0), |task| task.sweep);
        for (task, result) in self.seen.iter().filter(|(task, _)| task.sweep == sweep) {
            if found.results.get(task) != Some(result) {
                trace.wrong(format_args!("the result of {task} was seen and is not there any more"));
            }
        }
        self.seen.extend(found.results.iter().map(|(task, result)| (*task, result.clone())));
        for row in &found.table.configurations {
            let of_row = |task: &&TaskId| task.configuration == row.id;
            let of = found.results.iter().filter(|(task, _)| of_row(task));
            let accuracies: Vec<f64> = of.filter_map(|(_, result)| result.metrics.get("accuracy")).collect();
            let n = accuracies.len();
            let failed = found.failed.keys().filter(of_row).count();
            let expected = found.sweep.seeds.len();
            let mean = accuracies.iter().sum::<f64>() / n as f64;
            let said = row.metrics.get("accuracy").map_or(f64::NAN, |summary| summary.mean);
            let means = n == 0 || (mean - said).abs() < 1e-9;
            if (row.n, row.failed_seeds.len(), row.expected) != (n, failed, expected) || !means {
                trace.wrong(format_args!(
                    "a mean over {n} of {expected} seeds, {failed} failed, says {row:?}"
                ));
            }
        }
    }

    fn note(&self, what: impl std::fmt::Display) {
        self.shared.trace.note("person", what);
    }

    /// Repeats a request until there is an answer.
    async fn insist<T, F>(&mut self, what: &str, ask: impl Fn(Client) -> F) -> T
    where
        F: Future<Output = Result<tonic::Response<T>, Status>>,
    {
        loop {
            match self.attempt(&ask).await {
                Ok(answer) => return answer.into_inner(),
                Err(status) => {
                    self.note(format_args!("{what}: {:?}: {}", status.code(), status.message()));
                    sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }

    /// Sends a request once, on a new connection.
    async fn attempt<T, F>(&self, ask: impl FnOnce(Client) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let endpoint = Endpoint::from(network::coordinator()).connect_timeout(PATIENCE);
        let asked = async {
            let channel = network::connect(endpoint).await;
            let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
            ask(Client::new(channel)).await
        };
        let late = |_| Status::deadline_exceeded("no answer");
        timeout(PATIENCE, asked).await.map_err(late)?
    }
}

/// Sleeps until this moment of the history.
async fn until(moment: Duration) {
    let now = turmoil::sim_elapsed().unwrap_or_default();
    sleep_until(tokio::time::Instant::now() + moment.saturating_sub(now)).await;
}
