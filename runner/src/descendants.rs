//! The processes that a program has started, also those that left its group or session.
//!
//! The runner is a *subreaper*: a process whose parent has ended becomes the runner's child. So no process can hide by
//! daemonizing, and when the runner has no children, none are left.

#[cfg(target_os = "linux")]
use std::{collections::BTreeMap, fs};

use nix::{
    errno::Errno,
    sys::wait::{WaitPidFlag, WaitStatus, waitpid},
    unistd::Pid,
};

/// Adopts the orphans among this process's descendants from now on.
#[cfg(target_os = "linux")]
pub(crate) fn adopt_orphans() -> Result<(), Errno> {
    nix::sys::prctl::set_child_subreaper(true)
}

/// Elsewhere orphans go to the first process of the system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn adopt_orphans() -> Result<(), Errno> {
    Ok(())
}

/// Collects the children that have ended, and tells their statuses. Returns whether any are left.
pub(crate) fn reap(mut ended: impl FnMut(Pid, WaitStatus)) -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return true,
            Ok(status @ (WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..))) => ended(pid, status),
            Ok(_) | Err(Errno::EINTR) => {}
            // ECHILD.
            Err(_) => return false,
        }
    }
}

/// All processes below this one that have not ended.
#[cfg(target_os = "linux")]
pub(crate) fn descendants() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for pid in pids {
        let parent = fs::read(format!("/proc/{pid}/stat")).ok().and_then(|stat| parent_in(&stat));
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut parents = vec![Pid::this().as_raw()];
    while let Some(parent) = parents.pop() {
        let own = children.remove(&parent).unwrap_or_default();
        found.extend(own.iter().copied().map(Pid::from_raw));
        parents.extend(own);
    }
    found
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn descendants() -> Vec<Pid> {
    Vec::new()
}

/// The parent in a process's `stat`. The second field is a name in parentheses, which may contain anything.
#[cfg(target_os = "linux")]
fn parent_in(stat: &[u8]) -> Option<i32> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let fields = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn names_of_processes_confuse_nobody() {
        assert_eq!(parent_in(b"71 (a) Z 1 (b)) S 40 71 70"), Some(40));
        assert_eq!(parent_in(b"71 (sh"), None);
    }
}
