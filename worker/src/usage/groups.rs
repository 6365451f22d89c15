//! The control groups of this process (version 2): in a container or a batch job, their limits are those that count.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where control groups are mounted.
const MOUNTED: &str = "/sys/fs/cgroup";

/// The groups of a process, from its own to the top. None on hosts with version 1, where the limits of memory alone are
/// known (see [`crate::memory`]).
#[derive(Clone, Debug)]
pub(super) struct Groups(Vec<PathBuf>);

impl Groups {
    pub(super) fn of_this_process() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::of(&groups, Path::new(MOUNTED))
    }

    /// A limit of a group also applies to all groups in it. In a container the paths of groups may be those of the
    /// host, which are not visible; then the group at the top is the container's.
    fn of(groups: &str, mounted: &Path) -> Self {
        let Some(path) = groups.lines().find_map(|line| line.strip_prefix("0::/")) else {
            return Self(Vec::new());
        };
        let own = Path::new(path).ancestors().map(|group| mounted.join(group));
        Self(own.filter(|group| group.is_dir()).collect())
    }

    fn tightest<T: Ord>(&self, limit: impl Fn(&Path) -> Option<T>) -> Option<(T, &Path)> {
        self.0.iter().filter_map(|group| Some((limit(group)?, group.as_path()))).min()
    }

    /// The processors that the tightest limit leaves, in thousandths.
    pub(super) fn processors(&self) -> Option<u64> {
        Some(self.tightest(processors)?.0)
    }

    /// The processor time that the group with this limit has used.
    pub(super) fn processor_time(&self) -> Option<Duration> {
        let (_, group) = self.tightest(processors)?;
        let text = fs::read_to_string(group.join("cpu.stat")).ok()?;
        Some(Duration::from_micros(value(&text, "usage_usec")?))
    }

    /// The tightest limit of memory, and how much of it is used, in bytes. Files that the system keeps in memory only as
    /// long as nobody needs it do not count, as they do not for the host.
    pub(super) fn memory(&self) -> Option<(u64, u64)> {
        let number =
            |group: &Path, file: &str| fs::read_to_string(group.join(file)).ok()?.trim().parse().ok();
        let (limit, group) = self.tightest(|group| number(group, "memory.max"))?;
        let used: u64 = number(group, "memory.current")?;
        let text = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let files = value(&text, "inactive_file").unwrap_or(0);
        Some((limit, used.saturating_sub(files)))
    }
}

/// The processors of `cpu.max`, which is `max 100000` or `150000 100000`, in thousandths.
fn processors(group: &Path) -> Option<u64> {
    let text = fs::read_to_string(group.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    quota.checked_mul(1000)?.checked_div(period)
}

/// The number after a name, in a file with one of each a line.
fn value(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_group_counts() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let file = folder.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        let of = |groups: &str| Groups::of(groups, folder.path());
        let nothing = of("0::/job_7/step_0\n");
        assert_eq!((nothing.processors(), nothing.processor_time(), nothing.memory()), (None, None, None));
        write("job_7/cpu.max", "150000 100000\n");
        write("job_7/cpu.stat", "nr_periods 3\nusage_usec 2500000\nuser_usec 1\n");
        write("job_7/memory.max", "9000\n");
        write("job_7/memory.current", "5000\n");
        write("job_7/memory.stat", "anon 1\ninactive_file 1500\n");
        write("job_7/step_0/cpu.max", "max 100000\n");
        write("job_7/step_0/memory.max", "max\n");
        let groups = of("0::/job_7/step_0\n");
        assert_eq!(groups.processors(), Some(1500));
        assert_eq!(groups.processor_time(), Some(Duration::from_millis(2500)));
        assert_eq!(groups.memory(), Some((9000, 3500)));
        write("job_7/step_0/cpu.max", "50000 100000\n");
        assert_eq!(groups.processors(), Some(500));
        // In a container with groups of the host's names, the one at the top is the container's.
        write("memory.max", "7000\n");
        write("memory.current", "100\n");
        assert_eq!(of("0::/invisible/here\n").memory(), Some((7000, 100)));
        assert!(of("4:memory:/job_7\n").0.is_empty(), "version 1");
    }
}
