//! The memory that this worker may use, and kills by the system's out-of-memory killer.

use std::{
    fs,
    path::{Path, PathBuf},
};

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

/// The memory that this process and its children may use, in bytes: that of the host, or less if a control group limits
/// it. `None` if it is not known.
pub(crate) fn limit() -> Option<u64> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    limit_of(&read("/proc/meminfo"), &read("/proc/self/cgroup"), Path::new("/sys/fs/cgroup"))
}

/// A limit of a group also applies to all groups in it. In a container the paths of groups may be those of the host,
/// which are not visible; then the group at the top is the container's.
fn limit_of(host: &str, groups: &str, mounted: &Path) -> Option<u64> {
    let total = host.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = total.trim().trim_end_matches("kB").trim_end().parse().ok()?;
    let group = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/').to_owned());
        match controllers {
            "" => Some((mounted.to_owned(), path, "memory.max")),
            _ if controllers.split(',').any(|name| name == "memory") => {
                Some((mounted.join("memory"), path, "memory.limit_in_bytes"))
            }
            _ => None,
        }
    };
    let limits = groups.lines().filter_map(group).flat_map(|(top, path, file)| {
        let limits = Path::new(&path).ancestors().map(|group| top.join(group).join(file));
        limits.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).collect::<Vec<u64>>()
    });
    Some(limits.fold(kibibytes.saturating_mul(1024), u64::min))
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
    fn the_tightest_limit_counts() {
        let folder = tempfile::tempdir().unwrap();
        let limit = |groups: &str| limit_of("MemFree: 1 kB\nMemTotal:       16 kB\n", groups, folder.path());
        let write = |file: &str, text: &str| {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        assert_eq!(limit(""), Some(16 << 10));
        write("job_7/memory.max", "9000\n");
        write("job_7/step_0/memory.max", "max\n");
        assert_eq!(limit("0::/job_7/step_0\n"), Some(9000));
        assert_eq!(limit("0::/\n"), Some(16 << 10));
        // Of the first version of control groups.
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        write("memory/job_7/memory.limit_in_bytes", "8000\n");
        assert_eq!(limit("4:cpu,memory:/job_7/step_0\n3:cpuset:/\n0::/\n"), Some(8000));
        assert_eq!(limit("4:memory:/invisible\n"), Some(16 << 10));
        assert_eq!(limit_of("", "", folder.path()), None);
    }

    #[test]
    fn hosts_without_a_counter_claim_nothing() {
        assert_eq!(parse("pgfault 1\n"), None);
        assert!(!OutOfMemoryWatch { counter: None, accounted: 0 }.claim());
    }
}
