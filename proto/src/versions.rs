//! Which versions of coordinators and workers work together.
//!
//! Fields, methods and values are only ever added, and what one side does not know it leaves out: different versions
//! work together as far as they know the same. A change that the other side must not ignore gets a new [`PROTOCOL`], and
//! raises [`OLDEST_WORKER`] or [`OLDEST_COORDINATOR`]: then the two refuse each other, with a sentence that says which of
//! them to upgrade. Each side sends its own number and the oldest one that it accepts, so that the newer one decides.

use crate::v1;

/// The version of the protocol between workers and coordinators that this build speaks. Version 0 is that of builds
/// which did not say a version.
pub const PROTOCOL: u32 = 1;
/// The oldest version of a worker with which a coordinator of this build works.
pub const OLDEST_WORKER: u32 = 0;
/// The oldest version of a coordinator with which a worker of this build works.
pub const OLDEST_COORDINATOR: u32 = 0;

/// One side of a stream: its version of the protocol, and the oldest one of the other side that it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Side {
    protocol: u32,
    oldest: u32,
}

/// Which of the two is too old for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TooOld {
    Worker,
    Coordinator,
}

fn too_old(worker: Side, coordinator: Side) -> Option<TooOld> {
    if worker.protocol < coordinator.oldest {
        Some(TooOld::Worker)
    } else if coordinator.protocol < worker.oldest {
        Some(TooOld::Coordinator)
    } else {
        None
    }
}

/// What a hello says of the version of its worker.
#[derive(Clone, Copy, Debug)]
pub struct WorkerVersion<'a> {
    /// Its colearn version, for people.
    pub version: &'a str,
    /// As in the hello.
    pub protocol: u32,
    /// As in the hello.
    pub oldest_protocol: u32,
}

/// Why a coordinator of this build cannot work with a worker, and what to upgrade; `None` if it can.
#[must_use]
pub fn refuses_worker(theirs: WorkerVersion<'_>, version: &str) -> Option<String> {
    let worker = Side { protocol: theirs.protocol, oldest: theirs.oldest_protocol };
    let coordinator = Side { protocol: PROTOCOL, oldest: OLDEST_WORKER };
    too_old(worker, coordinator).map(|old| sentence(old, (worker, theirs.version), (coordinator, version)))
}

/// Why a worker of this build cannot work with the coordinator of a welcome, and what to upgrade; `None` if it can. A
/// coordinator that is older than the numbers cannot say so itself.
#[must_use]
pub fn refuses_coordinator(welcome: &v1::Welcome, version: &str) -> Option<String> {
    let worker = Side { protocol: PROTOCOL, oldest: OLDEST_COORDINATOR };
    let coordinator = Side { protocol: welcome.protocol, oldest: welcome.oldest_protocol };
    let theirs = &welcome.coordinator_version;
    too_old(worker, coordinator).map(|old| sentence(old, (worker, version), (coordinator, theirs)))
}

fn sentence(
    old: TooOld,
    (worker, worker_version): (Side, &str),
    (coordinator, coordinator_version): (Side, &str),
) -> String {
    let differ = format!(
        "this worker is colearn {worker_version} (protocol {}), and the coordinator is colearn {coordinator_version} \
         (protocol {})",
        worker.protocol, coordinator.protocol
    );
    match old {
        TooOld::Worker => format!(
            "{differ}, which needs workers of protocol {} or later: upgrade colearn-worker and colearn-trainer on this \
             host to the version of the coordinator",
            coordinator.oldest
        ),
        TooOld::Coordinator => format!(
            "{differ}, and this worker needs protocol {} or later: upgrade colearn on the coordinator's host to the \
             version of the workers",
            worker.oldest
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_newer_decides() {
        let side = |protocol, oldest| Side { protocol, oldest };
        for (worker, coordinator, old) in [
            (side(1, 0), side(1, 0), None),
            (side(0, 0), side(1, 0), None),
            (side(1, 0), side(0, 0), None),
            (side(1, 0), side(3, 2), Some(TooOld::Worker)),
            (side(2, 0), side(3, 2), None),
            (side(3, 2), side(1, 0), Some(TooOld::Coordinator)),
            (side(3, 2), side(2, 1), None),
        ] {
            assert_eq!(too_old(worker, coordinator), old, "{worker:?} {coordinator:?}");
        }
    }

    #[test]
    fn the_sentence_says_what_to_upgrade() {
        let newer = WorkerVersion { version: "9.0", protocol: 9, oldest_protocol: 8 };
        let why = refuses_worker(newer, "0.1.0").unwrap();
        assert!(why.contains("upgrade colearn on the coordinator's host"), "{why}");
        assert!(why.contains("colearn 9.0 (protocol 9)") && why.contains("needs protocol 8"), "{why}");
        let newer = v1::Welcome {
            coordinator_version: "9.0".to_owned(),
            protocol: 9,
            oldest_protocol: 8,
            ..Default::default()
        };
        let why = refuses_coordinator(&newer, "0.1.0").unwrap();
        assert!(why.contains("upgrade colearn-worker and colearn-trainer on this host"), "{why}");
        let old = WorkerVersion { version: "0.1.0", protocol: 0, oldest_protocol: 0 };
        assert_eq!(refuses_worker(old, "0.1.0"), None, "a worker of before the numbers");
        assert_eq!(refuses_coordinator(&v1::Welcome::default(), "0.1.0"), None);
    }
}
