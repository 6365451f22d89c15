//! The memory that this worker may use.

use std::{fs, path::Path};

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
