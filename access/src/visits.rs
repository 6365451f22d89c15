//! The connections of clients that were let in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::{identity::Identity, moment::Moment};

/// All connections of clients that were let in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visits(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    visits: BTreeMap<u64, (Arc<Identity>, CancellationToken)>,
    next: u64,
    /// Serial numbers of credentials whose end was said.
    said: BTreeSet<String>,
}

/// A connection of a client that was let in.
#[derive(Debug)]
pub struct Visit {
    visits: Visits,
    number: u64,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.visits.known().visits.remove(&self.number);
    }
}

impl Visits {
    pub(crate) fn enter(&self, identity: Arc<Identity>, cut: CancellationToken) -> Visit {
        let mut known = self.known();
        let number = known.next;
        known.next += 1;
        known.visits.insert(number, (identity, cut));
        Visit { visits: self.clone(), number }
    }

    /// Closes the connections of those for whom `ends` is true.
    pub(crate) fn end(&self, ends: impl Fn(&Identity) -> bool) {
        for (identity, cut) in self.known().visits.values() {
            if !cut.is_cancelled() && ends(identity) {
                cut.cancel();
            }
        }
    }

    /// Those that are connected and whose credentials end soon, each once.
    pub(crate) fn newly_ending(&self, now: Moment) -> Vec<Arc<Identity>> {
        let mut known = self.known();
        let Known { visits, said, .. } = &mut *known;
        let ending =
            visits.values().map(|(identity, _)| identity).filter(|identity| identity.until.is_soon(now));
        ending.filter(|identity| said.insert(identity.serial.clone())).cloned().collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DAY, grant::Grant};

    #[test]
    fn what_ends_soon_is_said_once_while_it_is_used() {
        let visits = Visits::default();
        let now = Moment::now();
        let identity = |serial: &str, days| {
            let until = now.after(DAY * days);
            Arc::new(Identity { grant: Grant::SHARED_WORK, serial: serial.to_owned(), until })
        };
        let enter = |identity: &Arc<Identity>| visits.enter(identity.clone(), CancellationToken::new());
        let (soon, late) = (identity("a", 29), identity("b", 31));
        drop(enter(&soon));
        assert_eq!(visits.newly_ending(now), []);
        let _connected = [enter(&soon), enter(&soon), enter(&late)];
        assert_eq!(visits.newly_ending(now), [soon]);
        assert_eq!(visits.newly_ending(now), []);
        assert_eq!(visits.newly_ending(now.after(DAY * 2)), [late]);
    }
}
