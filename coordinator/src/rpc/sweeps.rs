//! The service for people and scripts.

use colearn_core::{
    id::{SweepId, SweepName},
    scheduler::{Scheduler, SweepStatus},
};
use colearn_proto::v1::{self, sweep_service_server::SweepService};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{convert, results, router::Rpc};
use crate::engine::SweepSummary;

/// The longest name of a sweep file, in bytes.
const LONGEST_ORIGIN: usize = 4096;

#[derive(Clone)]
pub(super) struct Sweeps {
    rpc: Rpc,
}

impl Sweeps {
    pub(super) fn new(rpc: Rpc) -> Self {
        Self { rpc }
    }

    async fn find(&self, name: &str) -> Result<(SweepName, SweepId), Status> {
        let name = SweepName::new(name).map_err(convert::invalid)?;
        let wanted = name.clone();
        let ask = move |scheduler: &Scheduler| scheduler.sweep_named(&wanted).map(|view| view.id());
        let found = self.rpc.engine.ask(ask).await.map_err(convert::stopped)?;
        let id = found.ok_or_else(|| convert::unknown_sweep(&name))?;
        Ok((name, id))
    }
}

#[tonic::async_trait]
impl SweepService for Sweeps {
    type WatchSweepStream = ReceiverStream<Result<v1::WatchSweepResponse, Status>>;
    type GetResultsStream = ReceiverStream<Result<v1::GetResultsResponse, Status>>;
    type ListTasksStream = ReceiverStream<Result<v1::ListTasksResponse, Status>>;
    type GetLogStream = ReceiverStream<Result<v1::GetLogResponse, Status>>;

    async fn submit_sweep(
        &self,
        request: Request<v1::SubmitSweepRequest>,
    ) -> Result<Response<v1::SubmitSweepResponse>, Status> {
        let v1::SubmitSweepRequest { source, origin } = request.into_inner();
        if origin.len() > LONGEST_ORIGIN {
            return Err(Status::invalid_argument(format!("`origin` is longer than {LONGEST_ORIGIN} bytes")));
        }
        let (sweep, warnings) = (self.rpc.parser)(&source, &origin).map_err(Status::invalid_argument)?;
        let submitted = self.rpc.engine.submit(sweep).await.map_err(convert::stopped)?;
        let submitted = submitted.map_err(|error| convert::submission_refused(&error))?;
        let (sweep, created) = (Some(convert::summary(submitted.summary)), submitted.created);
        Ok(Response::new(v1::SubmitSweepResponse { sweep, created, warnings }))
    }

    async fn list_sweeps(
        &self,
        _request: Request<v1::ListSweepsRequest>,
    ) -> Result<Response<v1::ListSweepsResponse>, Status> {
        let all = |scheduler: &Scheduler| -> Vec<SweepSummary> {
            scheduler.sweeps().map(|view| SweepSummary::of(scheduler, view)).collect()
        };
        let summaries = self.rpc.engine.ask(all).await.map_err(convert::stopped)?;
        let sweeps = summaries.into_iter().map(convert::summary).collect();
        Ok(Response::new(v1::ListSweepsResponse { sweeps }))
    }

    async fn get_sweep(
        &self,
        request: Request<v1::GetSweepRequest>,
    ) -> Result<Response<v1::GetSweepResponse>, Status> {
        let name = SweepName::new(request.into_inner().name).map_err(convert::invalid)?;
        let wanted = name.clone();
        let look = move |scheduler: &Scheduler| {
            let view = scheduler.sweep_named(&wanted)?;
            let configurations = view.sweep().configurations.iter().zip(view.configuration_counts());
            Some(v1::GetSweepResponse {
                sweep: Some(convert::summary(SweepSummary::of(scheduler, view))),
                configurations: configurations
                    .map(|(configuration, counts)| convert::progress(configuration.id.to_string(), *counts))
                    .collect(),
                failures: view.recent_failures().cloned().map(convert::failure).collect(),
            })
        };
        let seen = self.rpc.engine.ask(look).await.map_err(convert::stopped)?;
        seen.map(Response::new).ok_or_else(|| convert::unknown_sweep(&name))
    }

    async fn watch_sweep(
        &self,
        request: Request<v1::WatchSweepRequest>,
    ) -> Result<Response<Self::WatchSweepStream>, Status> {
        let (name, id) = self.find(&request.into_inner().name).await?;
        let follower = self.rpc.engine.watch(id).await.map_err(convert::stopped)?;
        let mut follower = follower.ok_or_else(|| convert::unknown_sweep(&name))?;
        let (updates, stream) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                let summary = follower.borrow_and_update().clone();
                let ended = summary.status != SweepStatus::Active;
                let update = v1::WatchSweepResponse { sweep: Some(convert::summary(summary)) };
                if updates.send(Ok(update)).await.is_err() || ended {
                    return;
                }
                tokio::select! {
                    biased;
                    changed = follower.changed() => if changed.is_err() {
                        let stopped = convert::stopped(crate::engine::Stopped);
                        // Who watched may have gone away.
                        drop(updates.send(Err(stopped)).await);
                        return;
                    },
                    () = updates.closed() => return,
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn get_results(
        &self,
        request: Request<v1::GetResultsRequest>,
    ) -> Result<Response<Self::GetResultsStream>, Status> {
        let name = SweepName::new(request.into_inner().name).map_err(convert::invalid)?;
        let wanted = name.clone();
        let look = move |scheduler: &Scheduler| {
            let view = scheduler.sweep_named(&wanted)?;
            let failures = view.failures();
            let failures = failures.into_iter().map(|(position, failed)| (position, failed.clone()));
            Some(results::Source { id: view.id(), sweep: view.sweep().clone(), failures: failures.collect() })
        };
        let source = self.rpc.engine.ask(look).await.map_err(convert::stopped)?;
        let source = source.ok_or_else(|| convert::unknown_sweep(&name))?;
        let (parts, stream) = mpsc::channel(16);
        tokio::spawn(results::stream(source, self.rpc.store.clone(), parts));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn cancel_sweep(
        &self,
        request: Request<v1::CancelSweepRequest>,
    ) -> Result<Response<v1::CancelSweepResponse>, Status> {
        let (name, id) = self.find(&request.into_inner().name).await?;
        let summary = self.rpc.engine.cancel(id).await.map_err(convert::stopped)?;
        let summary = summary.ok_or_else(|| convert::unknown_sweep(&name))?;
        Ok(Response::new(v1::CancelSweepResponse { sweep: Some(convert::summary(summary)) }))
    }

    async fn retry_sweep(
        &self,
        _request: Request<v1::RetrySweepRequest>,
    ) -> Result<Response<v1::RetrySweepResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn extend_sweep(
        &self,
        _request: Request<v1::ExtendSweepRequest>,
    ) -> Result<Response<v1::ExtendSweepResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn pause_sweep(
        &self,
        _request: Request<v1::PauseSweepRequest>,
    ) -> Result<Response<v1::PauseSweepResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn prioritize_sweep(
        &self,
        _request: Request<v1::PrioritizeSweepRequest>,
    ) -> Result<Response<v1::PrioritizeSweepResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn remove_sweep(
        &self,
        _request: Request<v1::RemoveSweepRequest>,
    ) -> Result<Response<v1::RemoveSweepResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn list_workers(
        &self,
        _request: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn drain_worker(
        &self,
        _request: Request<v1::DrainWorkerRequest>,
    ) -> Result<Response<v1::DrainWorkerResponse>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn list_tasks(
        &self,
        _request: Request<v1::ListTasksRequest>,
    ) -> Result<Response<Self::ListTasksStream>, Status> {
        Err(Status::unimplemented("not yet"))
    }

    async fn get_log(
        &self,
        _request: Request<v1::GetLogRequest>,
    ) -> Result<Response<Self::GetLogStream>, Status> {
        Err(Status::unimplemented("not yet"))
    }
}
