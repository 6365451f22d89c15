//! The message of `colearn run` about its device, printed when its worker has connected.

use std::time::Duration;

use colearn_core::text::counted_len;
use colearn_proto::v1::Worker;

use crate::{client::Client, exit::Failure, remote::all_workers};

/// Interval of the queries whether the worker has connected.
const PERIOD: Duration = Duration::from_millis(50);

/// Waits until a worker is connected, and returns it.
///
/// # Errors
/// If the coordinator does not answer.
pub(crate) async fn first_worker(client: &mut Client) -> Result<Worker, Failure> {
    loop {
        let workers = all_workers(client).await?;
        if let Some(worker) = workers.into_iter().find(|worker| worker.connected) {
            return Ok(worker);
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Lines about a worker for the user.
pub(crate) fn introduction(worker: &Worker) -> Vec<String> {
    let mut devices: Vec<&str> = Vec::new();
    for slot in &worker.slots {
        if !devices.contains(&slot.device.as_str()) {
            devices.push(&slot.device);
        }
    }
    let trains_on = format!("{}: {}", counted_len(worker.slots.len(), "slot"), devices.join(", "));
    let warnings = worker.warnings.iter().map(|warning| format!("warning: {warning}"));
    std::iter::once(trains_on).chain(warnings).collect()
}

#[cfg(test)]
mod tests {
    use colearn_proto::v1::WorkerSlot;

    use super::*;

    fn worker(devices: &[&str]) -> Worker {
        let slot = |device: &&str| WorkerSlot { device: (*device).to_owned(), ..WorkerSlot::default() };
        Worker { slots: devices.iter().map(slot).collect(), ..Worker::default() }
    }

    #[test]
    fn what_is_trained_on_is_said_in_a_line() {
        assert_eq!(introduction(&worker(&["cpu x1", "cpu x1"])), ["2 slots: cpu x1"]);
        assert_eq!(introduction(&worker(&["cuda:0 NVIDIA H100"])), ["1 slot: cuda:0 NVIDIA H100"]);
        let both = worker(&["cuda:0 NVIDIA H100", "cuda:1 NVIDIA H100"]);
        assert_eq!(introduction(&both), ["2 slots: cuda:0 NVIDIA H100, cuda:1 NVIDIA H100"]);
    }

    #[test]
    fn warnings_follow() {
        let warned = Worker { warnings: vec!["this host has 1 GPU".to_owned()], ..worker(&["cpu x1"]) };
        assert_eq!(introduction(&warned), ["1 slot: cpu x1", "warning: this host has 1 GPU"]);
    }
}
