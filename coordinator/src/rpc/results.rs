//! Sends results from the store to clients.

use std::{collections::HashSet, sync::Arc};

use colearn_core::{
    id::{ConfigurationId, SweepId},
    scheduler::FailedAttempt,
    sweep::Sweep,
};
use colearn_proto::v1::{self, GetResultsResponse, get_results_response::Part};
use tonic::{Code, Status};

use super::{convert, parts::Gone, refusal::refusal};
use crate::store::Store;

/// Number of results that are read at once.
const PAGE: u32 = 256;
/// Maximum number of cancelled tasks in a message.
const CANCELLED: usize = 1024;
/// The sweep's JSON is sent in parts of this size, which the client joins. The size of a message is limited, but that
/// of a sweep is not; and parts that wait for a client that does not read must be small.
const SWEEP_PART: usize = 64 << 10;

/// The parts of a sweep to send.
pub(super) struct ResultSource {
    pub(super) id: SweepId,
    pub(super) sweep: Arc<Sweep>,
    /// Failures by position.
    pub(super) failures: Vec<(u64, FailedAttempt)>,
    /// The positions of cancelled tasks, in the order of the grid.
    pub(super) cancelled: Vec<u64>,
    /// Whether the curves of training are left out.
    pub(super) without_history: bool,
    /// The only configurations whose results and failures are sent; empty for all.
    pub(super) only: HashSet<ConfigurationId>,
}

/// The configurations of these ids.
pub(super) fn only(ids: &[String]) -> Result<HashSet<ConfigurationId>, Status> {
    let ids = ids.iter().map(|id| id.parse::<ConfigurationId>());
    ids.collect::<Result<_, _>>().map_err(|error| refusal(Code::InvalidArgument, error))
}

type Parts = super::parts::Parts<GetResultsResponse>;

/// Sends the sweep, then results and failures in the order of the grid, then the cancelled tasks.
pub(super) async fn stream(source: ResultSource, store: Arc<dyn Store>, mut parts: Parts) {
    // A client that disconnects needs no handling.
    let _: Result<(), Gone> = send_all(source, &*store, &mut parts).await;
}

async fn send_all(source: ResultSource, store: &dyn Store, parts: &mut Parts) -> Result<(), Gone> {
    let of_failure = |(_, failed): &(u64, FailedAttempt)| size_of_val(failed) + failed.failure.message.len();
    let failures: usize =
        source.failures.iter().map(of_failure).sum::<usize>() + size_of_val(source.cancelled.as_slice());
    match serde_json::to_string(source.sweep.as_ref()) {
        Ok(json) => {
            parts.holds(failures + json.len());
            for part in pieces(&json, SWEEP_PART) {
                send(parts, Part::SweepJson(part.to_owned())).await?;
            }
            drop(json);
            parts.holds(failures);
        }
        Err(error) => return fail(parts, refusal(Code::Internal, error)).await,
    }
    let wanted =
        |configuration: ConfigurationId| source.only.is_empty() || source.only.contains(&configuration);
    // Held only for what is to be said of it after the results.
    let cancelled = (!source.cancelled.is_empty()).then_some((source.sweep, source.cancelled));
    let failures = source.failures.into_iter().filter(|(_, failed)| wanted(failed.task.configuration));
    let mut failures = failures.peekable();
    let mut from = 0;
    loop {
        parts.ready().await?;
        let rows = match store.results(source.id, from, PAGE).await {
            Ok(rows) => rows,
            Err(error) => return fail(parts, convert::store_failed(&error)).await,
        };
        let Some(last) = rows.last() else { break };
        from = last.position.saturating_add(1);
        for mut row in rows {
            if source.without_history {
                row.result.history.clear();
            }
            while let Some((_, failed)) = failures.next_if(|(position, _)| *position < row.position) {
                send(parts, Part::Failure(convert::failure(failed, String::new()))).await?;
            }
            if wanted(row.task.configuration) {
                send(parts, Part::Result(convert::result(row))).await?;
            }
        }
    }
    for (_, failed) in failures {
        send(parts, Part::Failure(convert::failure(failed, String::new()))).await?;
    }
    let Some((sweep, cancelled)) = cancelled else { return Ok(()) };
    let reference = |position: &u64| {
        // See `Scheduler::position_of`.
        let configuration = sweep.configurations.get((position >> 32) as usize)?.id;
        let seed = *sweep.seeds.get((position & u64::from(u32::MAX)) as usize)?;
        let named = || v1::TaskReference { configuration: configuration.to_string(), seed };
        wanted(configuration).then(named)
    };
    for some in cancelled.chunks(CANCELLED) {
        let tasks: Vec<_> = some.iter().filter_map(reference).collect();
        if !tasks.is_empty() {
            send(parts, Part::Cancelled(v1::CancelledTasks { tasks })).await?;
        }
    }
    Ok(())
}

async fn send(parts: &mut Parts, part: Part) -> Result<(), Gone> {
    parts.send(GetResultsResponse { part: Some(part) }).await
}

async fn fail(parts: &mut Parts, status: Status) -> Result<(), Gone> {
    parts.fail(status).await;
    Ok(())
}

/// Splits a text between characters into pieces of at most `most` bytes.
fn pieces(text: &str, most: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(most));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::pieces;

    #[test]
    fn pieces_make_the_whole_and_cut_no_character() {
        let text = "aä".repeat(10);
        let cut: Vec<&str> = pieces(&text, 5).collect();
        assert!(cut.iter().all(|piece| piece.len() <= 5 && !piece.is_empty()));
        assert_eq!(cut.concat(), text);
        assert_eq!(pieces("", 5).count(), 0);
    }
}
