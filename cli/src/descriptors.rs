//! The number of files that may be open: each connection is one.

use colearn_coordinator::Coordinator;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files other than connections: the databases, the log, the listener and files of the runtime.
const OTHERS: u64 = 64;
/// The number of files of a coordinator with the maximum number of connections.
const ENOUGH: u64 = Coordinator::MAX_CONNECTIONS as u64 + OTHERS;

/// Raises the limit of this process as far as it is useful and allowed, and warns if that is not enough. Shells and
/// service managers often start with 1024.
pub(crate) fn raise_limit() {
    let most = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, _)) if soft >= ENOUGH => soft,
        Ok((soft, hard)) => {
            let wanted = hard.min(ENOUGH);
            let raised = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard);
            if raised.is_ok() { wanted } else { soft }
        }
        Err(error) => return tracing::warn!(%error, "it is not known how many files may be open"),
    };
    if most < ENOUGH {
        tracing::warn!(
            "{most} files can be open, which is enough for about {} connections, not for {}: raise the hard limit (ulimit -Hn, or LimitNOFILE= of systemd) to {ENOUGH} for that many workers",
            most.saturating_sub(OTHERS),
            Coordinator::MAX_CONNECTIONS
        );
    }
}
