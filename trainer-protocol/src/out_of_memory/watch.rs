//! Kills by the system's out-of-memory killer.

use std::{fs, path::PathBuf};

/// Counts the kills by the out-of-memory killer in this process's control group, or on the whole host if there is no
/// group.
///
/// Such a process looks like any other that was killed by signal 9; only the counter shows the difference.
#[derive(Debug)]
pub struct OutOfMemoryWatch {
    counter: Option<PathBuf>,
    accounted: u64,
}

impl OutOfMemoryWatch {
    /// Starts to count; earlier kills are ignored.
    #[must_use]
    pub fn begin() -> Self {
        let candidates = [own_group(), Some(PathBuf::from("/proc/vmstat"))];
        let counter = candidates.into_iter().flatten().find(|path| read(path).is_some());
        let accounted = counter.as_ref().and_then(read).unwrap_or(0);
        Self { counter, accounted }
    }

    /// Attributes one kill to a process that was killed by signal 9, if a kill is not attributed yet.
    pub fn claim(&mut self) -> bool {
        let kills = self.counter.as_ref().and_then(read).unwrap_or(0);
        let claimed = kills > self.accounted;
        if claimed {
            self.accounted += 1;
        }
        claimed
    }
}

fn own_group() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(PathBuf::from("/sys/fs/cgroup").join(path).join("memory.events"))
}

fn read(path: &PathBuf) -> Option<u64> {
    parse(&fs::read_to_string(path).ok()?)
}

fn parse(counters: &str) -> Option<u64> {
    counters
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "))
        .and_then(|count| count.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kill_is_claimed_once() {
        let folder = tempfile::tempdir().unwrap();
        let counter = folder.path().join("memory.events");
        let write = |kills: u32| fs::write(&counter, format!("low 0\noom 9\noom_kill {kills}\n")).unwrap();
        write(3);
        let mut watch = OutOfMemoryWatch { counter: Some(counter.clone()), accounted: 3 };
        assert!(!watch.claim());
        write(5);
        assert_eq!([watch.claim(), watch.claim(), watch.claim()], [true, true, false]);
    }

    #[test]
    fn hosts_without_a_counter_claim_nothing() {
        assert_eq!(parse("pgfault 1\n"), None);
        assert!(!OutOfMemoryWatch { counter: None, accounted: 0 }.claim());
    }
}
