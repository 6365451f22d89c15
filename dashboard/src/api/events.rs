//! Changes as they happen, as server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{Path, rejection::PathRejection},
    response::{
        IntoResponse, Sse,
        sse::{Event, KeepAlive},
    },
};
use colearn_proto::v1;
use serde_json::Value;
use tokio::{sync::mpsc, time::MissedTickBehavior};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

use super::sweeps::{listed, summary};
use crate::{error::ApiError, services::Caller};

/// Changes that come faster are merged.
const NOT_FASTER: Duration = Duration::from_millis(200);
/// How often the list of all sweeps is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The sweep now and after each change, until it has ended: events `sweep`; then one event `end`.
pub(crate) async fn of_sweep(
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<impl IntoResponse, ApiError> {
    let Path(name) = path?;
    let request = caller.call(v1::WatchSweepRequest { name });
    let changes = caller.sweeps.clone().watch_sweep(request).await?.into_inner();
    let events = changes
        .take_while(Result::is_ok)
        .filter_map(Result::ok)
        .filter_map(|change| change.sweep)
        .throttle(NOT_FASTER)
        .map(|sweep| Ok::<_, Infallible>(event("sweep", &summary(&sweep))))
        .chain(tokio_stream::once(Ok(event("end", &Value::Null))));
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// All sweeps now and after each change: events `sweeps`.
pub(crate) async fn of_all(caller: Caller) -> Result<impl IntoResponse, ApiError> {
    let (send, events) = mpsc::channel(1);
    let first = caller.sweeps.clone().list_sweeps(caller.call(v1::ListSweepsRequest {})).await?;
    let mut last = listed(&first.into_inner().sweeps);
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if send.send(event("sweeps", &last)).await.is_err() {
            return;
        }
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                // The browser has gone.
                () = send.closed() => return,
            }
            let request = caller.call(v1::ListSweepsRequest {});
            let Ok(now) = caller.sweeps.clone().list_sweeps(request).await else { return };
            let now = listed(&now.into_inner().sweeps);
            if now != last {
                if send.send(event("sweeps", &now)).await.is_err() {
                    return;
                }
                last = now;
            }
        }
    });
    let events = ReceiverStream::new(events).map(Ok::<_, Infallible>);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

fn event(name: &str, data: &Value) -> Event {
    // JSON on one line has no character that an event may not have.
    Event::default().event(name).data(data.to_string())
}
