//! The service for users and scripts.

use std::{collections::HashMap, sync::Arc};

use colearn_access::Identity;
use colearn_core::{
    id::{ConfigurationId, SweepName, WorkerId},
    names::{Criteria, FindError},
    scheduler::{
        ChangedFiles, FailedAttempt, RetryScope, Scheduler, Selection, SubmissionError, SweepStatus,
        SweepView,
    },
    sweep::Sweep,
    text::is_unprintable,
};
use colearn_proto::v1::{self, sweep_service_server::SweepService};
use tokio::sync::Semaphore;
use tonic::{Code, Request, Response, Status};

use super::{
    context::Rpc,
    convert, listing, logs,
    parts::{Answers, PartStream},
    query::{self, Afterwards},
    refusal::refusal,
    results, running,
};
use crate::{
    engine::{Operated, Operation, Submitted, SweepSummary},
    logs::LogOf,
};

/// Maximum number of set-aside workers in one answer.
const MAX_SET_ASIDE: usize = 100;
/// Maximum length of what a person names a configuration by, in bytes.
const MAX_WANTED: usize = 4096;
/// Maximum length of the name of a sweep file, in bytes.
const MAX_ORIGIN: usize = 4096;

#[derive(Clone)]
pub(super) struct Sweeps {
    rpc: Rpc,
    parsers: Arc<Semaphore>,
    answers: Answers,
}

impl Sweeps {
    pub(super) fn new(rpc: Rpc, parsers: usize) -> Self {
        Self { rpc, parsers: Arc::new(Semaphore::new(parsers)), answers: Answers::default() }
    }

    /// Parses in a separate thread: a large sweep file keeps a core busy for seconds, and must not block other
    /// requests.
    async fn parse(
        &self,
        source: String,
        origin: String,
        folder: String,
    ) -> Result<(Sweep, Vec<String>), Status> {
        for (field, text) in [("origin", &origin), ("folder", &folder)] {
            if text.len() > MAX_ORIGIN {
                return Err(convert::invalid(format!("`{field}` is longer than {MAX_ORIGIN} bytes")));
            }
        }
        if !folder.is_empty() && (!folder.starts_with('/') || folder.chars().any(is_unprintable)) {
            return Err(convert::invalid("`folder` is not an absolute path without control characters"));
        }
        let internal = |error: &dyn std::fmt::Display| refusal(Code::Internal, error);
        let turn = self.parsers.clone().acquire_owned().await.map_err(|error| internal(&error))?;
        let parser = self.rpc.parser.clone();
        let parse = move || {
            let _turn = turn;
            parser(&source, &origin, &folder)
        };
        let parsed = tokio::task::spawn_blocking(parse).await.map_err(|error| internal(&error))?;
        parsed.map_err(|diagnostics| refusal(Code::InvalidArgument, diagnostics))
    }

    /// The programs of a sweep whose results were made with other files than those that a client sees.
    async fn changed_files(
        &self,
        name: &SweepName,
        digests: HashMap<String, String>,
    ) -> Result<Vec<ChangedFiles>, Status> {
        let (_, id) = self.rpc.find(name.as_str()).await?;
        let digests = digests.into_iter().collect();
        self.rpc.ask(move |scheduler| scheduler.changed_files(id, &digests)).await
    }

    async fn operate(&self, name: &str, operation: Operation) -> Result<Operated, Status> {
        let (_, id) = self.rpc.find(name).await?;
        self.rpc.revive(id).await?;
        let operated = self.rpc.engine.operate(id, operation).await.map_err(convert::stopped)?;
        operated.map_err(|error| convert::operation_refused(&error))
    }
}

#[tonic::async_trait]
impl SweepService for Sweeps {
    type WatchSweepStream = PartStream<v1::WatchSweepResponse>;
    type GetResultsStream = PartStream<v1::GetResultsResponse>;
    type GetRunningCurvesStream = PartStream<v1::GetRunningCurvesResponse>;
    type ListTasksStream = PartStream<v1::ListTasksResponse>;
    type GetGridStream = PartStream<v1::GetGridResponse>;
    type GetLogStream = PartStream<v1::GetLogResponse>;

    async fn submit_sweep(
        &self,
        request: Request<v1::SubmitSweepRequest>,
    ) -> Result<Response<v1::SubmitSweepResponse>, Status> {
        let by = request.extensions().get::<Arc<Identity>>();
        let by: Option<Arc<str>> = by.map(|identity| identity.grant.holder().into());
        let v1::SubmitSweepRequest {
            source,
            origin,
            name,
            replace,
            folder,
            program_digests,
            changed_program,
        } = request.into_inner();
        let (mut sweep, warnings) = self.parse(source, origin, folder).await?;
        if !name.is_empty() {
            sweep.name = SweepName::new(name).map_err(convert::invalid)?;
        }
        let sweep = Arc::new(sweep);
        // An accepted sweep of another name would stay pending forever.
        let only = self.rpc.ask(|scheduler| scheduler.only().cloned()).await?;
        if let Some(only) = only.filter(|only| *only != sweep.name) {
            return Err(convert::trains_another(&sweep.name, &only));
        }
        // The sweep may exist already, and be settled.
        let name = sweep.name.clone();
        if let Some(id) = self.rpc.ask(move |scheduler| scheduler.id_of(&name)).await? {
            self.rpc.revive(id).await?;
        }
        let engine = &self.rpc.engine;
        let mut submitted = engine.submit_by(sweep.clone(), by.clone()).await.map_err(convert::stopped)?;
        let mut start_over = replace && matches!(submitted, Err(SubmissionError::OtherTasks { .. }));
        if let Ok(Submitted { created: false, summary, .. }) = &submitted {
            let has_ended = summary.status != SweepStatus::Active;
            let changed = self.changed_files(&sweep.name, program_digests).await?;
            if changed.is_empty() {
                // The files are the same, or the client does not see them.
            } else if changed_program {
                // A sweep that has ended has nothing to go on with: its results stay those of the old files.
                if !has_ended {
                    self.operate(sweep.name.as_str(), Operation::ReplaceData).await?;
                }
            } else if replace {
                start_over = true;
            } else {
                return Err(convert::files_changed(&sweep.name, &changed));
            }
        }
        if start_over {
            self.operate(sweep.name.as_str(), Operation::Cancel).await?;
            self.operate(sweep.name.as_str(), Operation::Remove).await?;
            submitted = engine.submit_by(sweep, by).await.map_err(convert::stopped)?;
        }
        let submitted = submitted.map_err(|error| convert::submission_refused(&error))?;
        let (sweep, created) = (Some(self.rpc.summary(submitted.summary)), submitted.created);
        Ok(Response::new(v1::SubmitSweepResponse { sweep, created, warnings }))
    }

    async fn list_sweeps(
        &self,
        _request: Request<v1::ListSweepsRequest>,
    ) -> Result<Response<v1::ListSweepsResponse>, Status> {
        let summaries = self.rpc.ask(SweepSummary::all).await?;
        let sweeps = summaries.into_iter().map(|summary| self.rpc.summary(summary)).collect();
        Ok(Response::new(v1::ListSweepsResponse { sweeps }))
    }

    async fn get_sweep(
        &self,
        request: Request<v1::GetSweepRequest>,
    ) -> Result<Response<v1::GetSweepResponse>, Status> {
        let v1::GetSweepRequest { name, from, limit } = request.into_inner();
        let rpc = self.rpc.clone();
        let look = move |scheduler: &Scheduler, view: SweepView<'_>| {
            let (configurations, more) = listing::configurations(view, from, limit);
            let set_aside = scheduler.set_aside_from(view.id()).into_iter().take(MAX_SET_ASIDE);
            let set_aside = set_aside.map(|(worker, pause)| convert::set_aside(&worker, pause));
            let without_data = scheduler.without_data(view.id()).into_iter().take(MAX_SET_ASIDE);
            let without_data = without_data.map(convert::without_data);
            let failure =
                |failed: &FailedAttempt| convert::failure(failed.clone(), view.name_of(failed.task));
            v1::GetSweepResponse {
                sweep: Some(rpc.summary(SweepSummary::of(scheduler, view))),
                configurations,
                failures: view.recent_failures().map(failure).collect(),
                more,
                set_aside: set_aside.collect(),
                without_data: without_data.collect(),
                misfit: scheduler
                    .misfit(view.id())
                    .map(|failure| failure.message.clone())
                    .unwrap_or_default(),
            }
        };
        Ok(Response::new(self.rpc.look(&name, look).await?))
    }

    async fn watch_sweep(
        &self,
        request: Request<v1::WatchSweepRequest>,
    ) -> Result<Response<Self::WatchSweepStream>, Status> {
        let peer = request.extensions().get().cloned();
        let (name, id) = self.rpc.find(&request.into_inner().name).await?;
        let follower = self.rpc.engine.watch(id).await.map_err(convert::stopped)?;
        let mut follower = follower.ok_or_else(|| convert::unknown_sweep(&name))?;
        let (mut updates, stream) = self.answers.begin(peer.as_ref(), 1)?;
        let rpc = self.rpc.clone();
        tokio::spawn(async move {
            loop {
                let summary = follower.borrow_and_update().clone();
                let ended = summary.status != SweepStatus::Active;
                let update = v1::WatchSweepResponse { sweep: Some(rpc.summary(summary)) };
                if updates.send(update).await.is_err() || ended {
                    return;
                }
                tokio::select! {
                    biased;
                    changed = follower.changed() => if changed.is_err() {
                        return updates.fail(query::stopped()).await;
                    },
                    () = updates.closed() => return,
                }
            }
        });
        Ok(Response::new(stream))
    }

    async fn get_results(
        &self,
        request: Request<v1::GetResultsRequest>,
    ) -> Result<Response<Self::GetResultsStream>, Status> {
        let peer = request.extensions().get().cloned();
        let v1::GetResultsRequest { name, without_history, configurations } = request.into_inner();
        let only = results::only(&configurations)?;
        // A page of the dashboard asks for one configuration after the other.
        let afterwards = if only.is_empty() { Afterwards::LetGo } else { Afterwards::Keep };
        let look = move |_: &Scheduler, view: SweepView<'_>| {
            let failures = view.failures();
            let failures = failures.into_iter().map(|(position, failed)| (position, failed.clone()));
            let (sweep, failures) = (view.sweep().clone(), failures.collect());
            let cancelled = view.cancelled();
            results::ResultSource { id: view.id(), sweep, failures, cancelled, without_history, only }
        };
        let source = self.rpc.look_and(afterwards, &name, look).await?;
        let (parts, stream) = self.answers.begin(peer.as_ref(), 16)?;
        tokio::spawn(results::stream(source, self.rpc.store.clone(), parts));
        Ok(Response::new(stream))
    }

    async fn cancel_sweep(
        &self,
        request: Request<v1::CancelSweepRequest>,
    ) -> Result<Response<v1::CancelSweepResponse>, Status> {
        let operated = self.operate(&request.into_inner().name, Operation::Cancel).await?;
        Ok(Response::new(v1::CancelSweepResponse { sweep: Some(self.rpc.summary(operated.summary)) }))
    }

    async fn cancel_tasks(
        &self,
        request: Request<v1::CancelTasksRequest>,
    ) -> Result<Response<v1::CancelTasksResponse>, Status> {
        let v1::CancelTasksRequest { name, tasks, configurations, seeds } = request.into_inner();
        let selection = match (tasks.is_empty(), configurations.is_empty() && seeds.is_empty()) {
            (true, true) => {
                return Err(convert::invalid("no task is named: to cancel all of them, cancel the sweep"));
            }
            (false, false) => {
                return Err(convert::invalid("name either `tasks`, or `configurations` and `seeds`"));
            }
            (false, true) => {
                let (_, id) = self.rpc.find(&name).await?;
                Selection::Tasks(listing::references(id, tasks)?)
            }
            (true, false) => {
                let ids = configurations.iter().map(|id| id.parse::<ConfigurationId>());
                let configurations = ids.collect::<Result<_, _>>().map_err(convert::invalid)?;
                Selection::Grid { configurations, seeds }
            }
        };
        let operation = Operation::CancelTasks(selection);
        let Operated { summary, selected, .. } = self.operate(&name, operation).await?;
        Ok(Response::new(v1::CancelTasksResponse {
            sweep: Some(self.rpc.summary(summary)),
            cancelled: (selected.pending + selected.running).into(),
            done: selected.done.into(),
            failed: selected.failed.into(),
            cancelled_before: selected.cancelled.into(),
        }))
    }

    async fn retry_sweep(
        &self,
        request: Request<v1::RetrySweepRequest>,
    ) -> Result<Response<v1::RetrySweepResponse>, Status> {
        let v1::RetrySweepRequest { name, failed_only, tasks } = request.into_inner();
        let scope = if !tasks.is_empty() {
            let (_, id) = self.rpc.find(&name).await?;
            RetryScope::Tasks(listing::references(id, tasks)?)
        } else if failed_only {
            RetryScope::Failed
        } else {
            RetryScope::FailedAndCancelled
        };
        let Operated { summary, tasks, .. } = self.operate(&name, Operation::Retry(scope)).await?;
        Ok(Response::new(v1::RetrySweepResponse { sweep: Some(self.rpc.summary(summary)), retried: tasks }))
    }

    async fn extend_sweep(
        &self,
        request: Request<v1::ExtendSweepRequest>,
    ) -> Result<Response<v1::ExtendSweepResponse>, Status> {
        let v1::ExtendSweepRequest { name, source, origin, folder } = request.into_inner();
        let (sweep, warnings) = self.parse(source, origin, folder).await?;
        let Operated { summary, tasks, .. } = self.operate(&name, Operation::Extend(sweep.into())).await?;
        let sweep = Some(self.rpc.summary(summary));
        Ok(Response::new(v1::ExtendSweepResponse { sweep, added: tasks, warnings }))
    }

    async fn pause_sweep(
        &self,
        request: Request<v1::PauseSweepRequest>,
    ) -> Result<Response<v1::PauseSweepResponse>, Status> {
        let v1::PauseSweepRequest { name, paused } = request.into_inner();
        let operated = self.operate(&name, Operation::Pause(paused)).await?;
        Ok(Response::new(v1::PauseSweepResponse { sweep: Some(self.rpc.summary(operated.summary)) }))
    }

    async fn prioritize_sweep(
        &self,
        request: Request<v1::PrioritizeSweepRequest>,
    ) -> Result<Response<v1::PrioritizeSweepResponse>, Status> {
        let v1::PrioritizeSweepRequest { name, priority } = request.into_inner();
        let operated = self.operate(&name, Operation::Prioritize(priority)).await?;
        Ok(Response::new(v1::PrioritizeSweepResponse { sweep: Some(self.rpc.summary(operated.summary)) }))
    }

    async fn replace_data(
        &self,
        request: Request<v1::ReplaceDataRequest>,
    ) -> Result<Response<v1::ReplaceDataResponse>, Status> {
        let operated = self.operate(&request.into_inner().name, Operation::ReplaceData).await?;
        Ok(Response::new(v1::ReplaceDataResponse { sweep: Some(self.rpc.summary(operated.summary)) }))
    }

    async fn remove_sweep(
        &self,
        request: Request<v1::RemoveSweepRequest>,
    ) -> Result<Response<v1::RemoveSweepResponse>, Status> {
        let (_, id) = self.rpc.find(&request.into_inner().name).await?;
        let removed = self.rpc.engine.operate(id, Operation::Remove).await.map_err(convert::stopped)?;
        let removed = removed.map_err(|error| convert::operation_refused(&error))?;
        Ok(Response::new(v1::RemoveSweepResponse { sweep: Some(self.rpc.summary(removed.summary)) }))
    }

    async fn find_configuration(
        &self,
        request: Request<v1::FindConfigurationRequest>,
    ) -> Result<Response<v1::FindConfigurationResponse>, Status> {
        let v1::FindConfigurationRequest { name, wanted } = request.into_inner();
        let missing = || convert::invalid("`wanted` names no configuration");
        let wanted = Some(wanted).filter(|it| it.len() <= MAX_WANTED).ok_or_else(missing)?;
        let wanted = Criteria::new(&wanted).ok_or_else(missing)?;
        let look = |_: &Scheduler, view: SweepView<'_>| (view.sweep().clone(), view.names().clone());
        let (sweep, names) = self.rpc.look(&name, look).await?;
        // To read the settings of a large sweep takes a while.
        let find = move || {
            let configuration = names.find(&sweep, &wanted)?;
            let name = names.name(configuration);
            Ok(v1::FindConfigurationResponse { configuration: configuration.id.to_string(), name })
        };
        let found = tokio::task::spawn_blocking(find).await;
        let found = found.map_err(|error| refusal(Code::Internal, error))?;
        found.map(Response::new).map_err(|error: FindError| refusal(Code::NotFound, error))
    }

    async fn list_tasks(
        &self,
        request: Request<v1::ListTasksRequest>,
    ) -> Result<Response<Self::ListTasksStream>, Status> {
        let peer = request.extensions().get().cloned();
        let v1::ListTasksRequest { name, states, configurations } = request.into_inner();
        let only = results::only(&configurations)?;
        self.rpc.find(&name).await?;
        let (pages, stream) = self.answers.begin(peer.as_ref(), 1)?;
        tokio::spawn(listing::tasks(self.rpc.clone(), name, states, only, pages));
        Ok(Response::new(stream))
    }

    async fn get_grid(
        &self,
        request: Request<v1::GetGridRequest>,
    ) -> Result<Response<Self::GetGridStream>, Status> {
        let peer = request.extensions().get().cloned();
        let (parts, stream) = self.answers.begin(peer.as_ref(), 1)?;
        let v1::GetGridRequest { name, only_states } = request.into_inner();
        let grid = self.rpc.grid(&name).await?;
        match only_states {
            true => tokio::spawn(grid.stream_states(parts)),
            false => tokio::spawn(grid.stream(parts)),
        };
        Ok(Response::new(stream))
    }

    async fn get_running_curves(
        &self,
        request: Request<v1::GetRunningCurvesRequest>,
    ) -> Result<Response<Self::GetRunningCurvesStream>, Status> {
        let peer = request.extensions().get().cloned();
        let v1::GetRunningCurvesRequest { name, configurations } = request.into_inner();
        let only = results::only(&configurations)?;
        let running = self.rpc.running_curves(&name, only).await?;
        let (parts, stream) = self.answers.begin(peer.as_ref(), 16)?;
        tokio::spawn(running::stream(running, parts));
        Ok(Response::new(stream))
    }

    async fn list_workers(
        &self,
        request: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersResponse>, Status> {
        let v1::ListWorkersRequest { after, limit, seen_tasks } = request.into_inner();
        let seen = seen_tasks as usize;
        let page = move |scheduler: &Scheduler| listing::workers(scheduler, &after, seen, limit);
        let listing::WorkerPage { workers, more, cut } = self.rpc.ask(page).await?;
        let workers = workers.into_iter().map(|worker| self.rpc.with_usage(worker)).collect();
        Ok(Response::new(v1::ListWorkersResponse { workers, more, cut }))
    }

    async fn drain_worker(
        &self,
        request: Request<v1::DrainWorkerRequest>,
    ) -> Result<Response<v1::DrainWorkerResponse>, Status> {
        let v1::DrainWorkerRequest { worker, now } = request.into_inner();
        let id = WorkerId::new(worker).map_err(convert::invalid)?;
        let view = self.rpc.engine.drain(id.clone(), now).await.map_err(convert::stopped)?;
        let away = || refusal(Code::FailedPrecondition, format!("worker `{id}` is not connected"));
        let worker = Some(self.rpc.with_usage(listing::worker(view.ok_or_else(away)?)));
        Ok(Response::new(v1::DrainWorkerResponse { worker }))
    }

    async fn undrain_worker(
        &self,
        request: Request<v1::UndrainWorkerRequest>,
    ) -> Result<Response<v1::UndrainWorkerResponse>, Status> {
        let id = WorkerId::new(request.into_inner().worker).map_err(convert::invalid)?;
        let view = self.rpc.engine.undrain(id).await.map_err(convert::stopped)?;
        let view = view.map_err(|error| refusal(Code::FailedPrecondition, error))?;
        let worker = Some(self.rpc.with_usage(listing::worker(view)));
        Ok(Response::new(v1::UndrainWorkerResponse { worker }))
    }

    async fn get_log(
        &self,
        request: Request<v1::GetLogRequest>,
    ) -> Result<Response<Self::GetLogStream>, Status> {
        let peer = request.extensions().get().cloned();
        let v1::GetLogRequest { of, follow, after } = request.into_inner();
        let of = match of {
            Some(v1::get_log_request::Of::Task(v1::TaskOfSweep { name, task })) => {
                let (name, id) = self.rpc.find(&name).await?;
                let task = task.ok_or_else(|| convert::invalid("`task` names no task"))?;
                let task = listing::reference(id, &task)?;
                let known = move |_: &Scheduler, view: SweepView<'_>| view.has_task(task);
                if !self.rpc.look(name.as_str(), known).await? {
                    return Err(convert::unknown_task(&name, task));
                }
                LogOf::Task(task)
            }
            Some(v1::get_log_request::Of::Worker(worker)) => {
                LogOf::Worker(WorkerId::new(worker).map_err(convert::invalid)?)
            }
            None => return Err(convert::invalid("a log is of a task or of a worker")),
        };
        let (lines, stream) = self.answers.begin(peer.as_ref(), 1)?;
        tokio::spawn(logs::stream(self.rpc.clone(), of, follow, after, lines));
        Ok(Response::new(stream))
    }
}
