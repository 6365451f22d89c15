//! `colearn coordinator`.

use std::{io::Write as _, time::Duration};

use crate::{
    args::CoordinatorArgs,
    connect::{self, coordinator_failure, url_of},
    descriptors,
    exit::{Exit, Outcome},
    interrupt::Interrupts,
};

/// Serves until a signal comes or the coordinator can not go on.
pub(crate) async fn coordinator(arguments: &CoordinatorArgs) -> Outcome {
    let mut interrupts = Interrupts::install()?;
    descriptors::raise_limit();
    let mut config = connect::config(&arguments.state);
    config.listen = arguments.listen;
    config.lease = Duration::from_secs(arguments.lease);
    config.heartbeat = config.lease / 4;
    config.settle_after = Duration::from_secs(arguments.settle_after);
    let mut running = connect::start(config).await.map_err(|error| coordinator_failure(&error))?;
    if !running.address().ip().is_loopback() {
        tracing::warn!(
            "{} is reachable from other machines, and there is no password: whoever reaches the port can submit and cancel",
            running.address()
        );
    }
    let _ = writeln!(
        std::io::stdout(),
        "coordinator: {} (state in {})",
        url_of(&running),
        arguments.state.display()
    );
    let died = tokio::select! {
        ended = running.wait() => Some(ended),
        () = interrupts.next() => None,
    };
    let stopped = match died {
        Some(ended) => ended,
        None => {
            tracing::info!("stopping; workers go on and reconnect when a coordinator is back");
            tokio::select! {
                stopped = running.stop() => stopped,
                () = interrupts.next() => Ok(()),
            }
        }
    };
    stopped.map(|()| Exit::Success).map_err(|error| coordinator_failure(&error))
}
