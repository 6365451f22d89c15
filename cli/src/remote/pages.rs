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
    let mut seen_tasks = 0;
    loop {
        let after = workers.last().map(|worker| worker.worker.clone()).unwrap_or_default();
        let request = v1::ListWorkersRequest { after, limit: 0, seen_tasks };
        let answer = client.list_workers(request).await;
        let page = answer.map_err(|status| client.failure(&status))?.into_inner();
        let over = !page.more || page.workers.is_empty();
        add(&mut workers, page.workers);
        if over {
            return Ok(workers);
        }
        let tasks = workers.last().filter(|_| page.cut).map_or(0, tasks_of);
        seen_tasks = u32::try_from(tasks).unwrap_or(u32::MAX);
    }
}

fn tasks_of(worker: &v1::Worker) -> usize {
    worker.slots.iter().map(|slot| slot.tasks.len()).sum()
}

/// Adds a page, whose first worker may be the rest of the last one.
fn add(workers: &mut Vec<v1::Worker>, page: Vec<v1::Worker>) {
    let mut page = page.into_iter().peekable();
    if let Some(last) = workers.last_mut()
        && let Some(rest) = page.next_if(|first| first.worker == last.worker)
    {
        for slot in rest.slots {
            match last.slots.iter_mut().find(|known| known.index == slot.index) {
                Some(known) => known.tasks.extend(slot.tasks),
                None => last.slots.push(slot),
            }
        }
    }
    workers.extend(page);
}
