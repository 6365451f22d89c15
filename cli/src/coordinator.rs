//! `colearn coordinator`.

use std::sync::Arc;

use colearn_coordinator::pools::{PoolRules, Slurm};

use crate::{
    access,
    args::CoordinatorArgs,
    connect::{self, coordinator_failure, url_of},
    descriptors,
    exit::{Exit, Outcome},
    interrupt::Interrupts,
    local_worker, notify, output,
};

/// Serves until a signal arrives or the coordinator cannot continue.
pub(crate) async fn coordinator(arguments: &CoordinatorArgs) -> Outcome {
    let mut interrupts = Interrupts::install()?;
    descriptors::raise_limit();
    let mut config = connect::config(&arguments.state);
    config.listen = arguments.listen.address;
    config.lease = arguments.lease;
    config.heartbeat = config.lease / 4;
    config.settle_after = arguments.settle_after;
    config.access = access::of_coordinator(arguments)?;
    let placed = if config.access.is_some() { access::put_in_place(arguments) } else { vec![] };
    config.pools = arguments.allow_pools.then(|| PoolRules {
        system: Arc::new(Slurm),
        interval: arguments.pool_interval,
        worker_program: local_worker::find_program()
            .ok()
            .and_then(|program| std::path::absolute(program).ok()),
        worker_access: access::file_of_workers(arguments, &placed),
    });
    config.notify = notify::of_coordinator(&arguments.notify)?;
    let mut running = connect::start_when_free(config).await?;
    if let Some(warning) = arguments.listen.unreachable_from_elsewhere() {
        tracing::warn!("{warning}");
    }
    if running.is_protected() {
        access::announce(arguments, &placed);
    } else if !running.address().ip().is_loopback() {
        tracing::warn!(
            "--insecure: {} is reachable from other machines, and everybody who reaches it can submit, cancel and be a worker, and read what others send",
            running.address()
        );
    }
    if running.is_protected() {
        tracing::info!(
            "dashboard: `colearn dashboard --coordinator {}`, where the browser is",
            url_of(&running)
        );
    } else {
        tracing::info!("dashboard: {}/", url_of(&running));
    }
    let line = format_args!("coordinator: {} (state in {})\n", url_of(&running), arguments.state.display())
        .to_string();
    // The coordinator serves even if its address cannot be printed; a closed pipe needs no warning.
    if let Err(failure) = output::print(format_args!("{line}"))
        && failure.exit != Exit::PipeClosed
    {
        tracing::warn!("{failure}; this coordinator serves at {}", url_of(&running));
    }
    let died = tokio::select! {
        ended = running.wait() => Some(ended),
        () = interrupts.next() => None,
    };
    let stopped = match died {
        Some(ended) => ended,
        None => {
            tracing::info!("stopping; workers continue and reconnect to the next coordinator");
            tokio::select! {
                stopped = running.stop() => stopped,
                () = interrupts.next() => Ok(()),
            }
        }
    };
    stopped.map(|()| Exit::Success).map_err(|error| coordinator_failure(&error))
}
