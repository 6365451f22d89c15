//! The grid of a sweep: the states of all its tasks.

use std::sync::Arc;

use colearn_core::{
    names::Names,
    scheduler::{Scheduler, SweepView},
    sweep::Sweep,
};
use colearn_proto::v1::{GetGridResponse, GridRow};
use tonic::Status;

use super::{context::Rpc, convert, parts::Parts};

/// A part of an answer ends after the row with which it has this many bytes.
const PART: usize = 1 << 20;
/// Maximum number of bytes of a seed.
const SEED: usize = 10;
/// The bytes of a row beside its name and its states.
const OF_ROW: usize = 32;

/// The states of all tasks at one moment, and what rows are made of.
pub(super) struct Grid {
    sweep: Arc<Sweep>,
    names: Arc<Names>,
    /// In the order of the grid, as numbers of [`colearn_proto::v1::TaskState`].
    states: Vec<u8>,
}

impl Rpc {
    /// The grid of a sweep. Only the states are copied in the engine's turn.
    pub(super) async fn grid(&self, name: &str) -> Result<Grid, Status> {
        let look = |_: &Scheduler, view: SweepView<'_>| Grid {
            sweep: view.sweep().clone(),
            names: view.names().clone(),
            states: view.states().map(|state| convert::task_state(state) as u8).collect(),
        };
        self.look(name, look).await
    }
}

impl Grid {
    /// Sends the states alone.
    pub(super) async fn stream_states(self, mut parts: Parts<GetGridResponse>) {
        parts.holds(self.states.len());
        let seed_count = self.sweep.seeds.len() as u64;
        for states in self.states.chunks(PART) {
            let part = GetGridResponse { states: states.to_vec(), seed_count, ..GetGridResponse::default() };
            if parts.send(part).await.is_err() {
                return;
            }
        }
    }

    /// Sends it.
    pub(super) async fn stream(self, mut parts: Parts<GetGridResponse>) {
        parts.holds(self.states.len());
        for seeds in self.sweep.seeds.chunks(PART / SEED) {
            let part = GetGridResponse { seeds: seeds.to_vec(), ..GetGridResponse::default() };
            if parts.send(part).await.is_err() {
                return;
            }
        }
        let mut part = GetGridResponse::default();
        let mut size = 0;
        let states = self.states.chunks(self.sweep.seeds.len().max(1));
        for (configuration, states) in self.sweep.configurations.iter().zip(states) {
            for states in states.chunks(PART) {
                let name = self.names.name(configuration);
                size += OF_ROW + name.len() + states.len();
                let configuration = configuration.id.to_string();
                part.rows.push(GridRow { configuration, name, states: states.to_vec() });
                if size >= PART {
                    size = 0;
                    if parts.send(std::mem::take(&mut part)).await.is_err() {
                        return;
                    }
                }
            }
        }
        // Nothing follows, so that it does not matter whether the client is still there.
        parts.send(part).await.ok();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use tokio_stream::StreamExt as _;

    use super::*;
    use crate::{rpc::parts::Answers, testing::small_sweep};

    #[tokio::test]
    async fn a_grid_of_any_size_comes_in_messages_of_bounded_size() {
        for (configurations, seeds) in [(1, 2_500_000), (40_000, 1), (3, 1000)] {
            let sweep = Arc::new(small_sweep("large", configurations, seeds));
            let states = vec![1; (configurations * seeds) as usize];
            let grid = Grid { names: Names::of(&sweep).into(), sweep, states };
            let (parts, mut stream) = Answers::default().begin(None, 1).unwrap();
            let same =
                Grid { sweep: grid.sweep.clone(), names: grid.names.clone(), states: grid.states.clone() };
            tokio::spawn(same.stream_states(parts));
            let mut states = 0;
            while let Some(part) = stream.next().await {
                let part: GetGridResponse = part.unwrap();
                assert!(part.encoded_len() < 3 << 20 && part.seed_count == seeds, "{}", part.encoded_len());
                states += part.states.len() as u64;
            }
            assert_eq!(states, configurations * seeds);
            let (parts, mut stream) = Answers::default().begin(None, 1).unwrap();
            tokio::spawn(grid.stream(parts));
            let (mut sent, mut seen, mut rows) = (0, 0, BTreeSet::new());
            while let Some(part) = stream.next().await {
                let part: GetGridResponse = part.unwrap();
                assert!(part.encoded_len() < 3 << 20, "{}", part.encoded_len());
                assert!(rows.is_empty() || part.seeds.is_empty(), "seeds come first");
                sent += part.seeds.len() as u64;
                for row in part.rows {
                    seen += row.states.len() as u64;
                    rows.insert(row.configuration);
                }
            }
            assert_eq!((sent, rows.len() as u64, seen), (seeds, configurations, configurations * seeds));
        }
    }
}
