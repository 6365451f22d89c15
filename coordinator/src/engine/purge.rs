//! Deletes removed sweeps beside the engine: that of a large sweep takes a while, and nobody has to wait for it.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::store::Store;

/// Deletes what is left of removed sweeps, now and whenever one was `removed`, until `stop` is cancelled. The rest is
/// deleted after the next start.
pub(crate) async fn purge(store: Arc<dyn Store>, removed: Arc<Notify>, stop: CancellationToken) {
    loop {
        while !stop.is_cancelled() {
            match store.purge().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    // The engine stops for the same reason at its next commit, if the store is lost.
                    tracing::warn!(%error, "a removed sweep was not deleted from the disk; tried again later");
                    break;
                }
            }
        }
        if stop.run_until_cancelled(removed.notified()).await.is_none() {
            return;
        }
    }
}
