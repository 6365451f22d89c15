//! Answers in pages.

use colearn_proto::v1;

use super::{Client, request::answered};
use crate::exit::Failure;

/// The sweep `name` with at most `limit` of its configurations; `None` for all.
///
/// # Errors
/// If there is no such sweep, or no answer.
pub(crate) async fn sweep(
    client: &mut Client,
    name: &str,
    most: Option<u32>,
) -> Result<v1::GetSweepResponse, Failure> {
    let request = |from, limit| v1::GetSweepRequest { name: name.to_owned(), from, limit };
    let answer = client.get_sweep(request(0, most.unwrap_or(0))).await;
    let mut sweep = answered(client, name, answer).await?;
    while most.is_none() && sweep.more {
        let seen = u32::try_from(sweep.configurations.len()).unwrap_or(u32::MAX);
        let answer = client.get_sweep(request(seen, 0)).await;
        let page = answered(client, name, answer).await?;
        // An empty page would be requested again forever.
        sweep.more = page.more && !page.configurations.is_empty();
        sweep.configurations.extend(page.configurations);
    }
    Ok(sweep)
}

/// All workers that the coordinator knows.
///
/// # Errors
/// If there is no answer.
pub(crate) async fn workers(client: &mut Client) -> Result<Vec<v1::Worker>, Failure> {
    let mut workers: Vec<v1::Worker> = Vec::new();
    loop {
        let after = workers.last().map(|worker| worker.worker.clone()).unwrap_or_default();
        let answer = client.list_workers(v1::ListWorkersRequest { after, limit: 0 }).await;
        let page = answer.map_err(|status| client.failure(&status))?.into_inner();
        let over = !page.more || page.workers.is_empty();
        workers.extend(page.workers);
        if over {
            return Ok(workers);
        }
    }
}
