//! Figures of this process, under the names that all exporters use.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};

/// Figures of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
    pub(super) threads: u64,
    pub(super) open_files: u64,
    pub(super) start_seconds: f64,
}

impl Process {
    /// `None` where the system has no `/proc` like Linux.
    pub(super) fn look() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let system = fs::read_to_string("/proc/stat").ok()?;
        let ticks = sysconf(SysconfVar::CLK_TCK).ok()??;
        let page = sysconf(SysconfVar::PAGE_SIZE).ok()??;
        let open_files = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
        Self::read(&stat, &system, ticks as f64, page as u64, open_files)
    }

    fn read(stat: &str, system: &str, ticks: f64, page: u64, open_files: u64) -> Option<Self> {
        let booted =
            system.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok())?;
        // The name of the program, in brackets, may contain anything. After it comes field 3.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) as f64 / ticks,
            threads: field(20)?,
            start_seconds: booted + field(22)? as f64 / ticks,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * page,
            open_files,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let stat =
            "7 (co) learn (x) S 1 7 7 0 -1 4 1 0 0 0 250 50 0 0 20 0 9 0 1000 4096 3 18446744073709551615";
        let system = "cpu 1 2 3\nbtime 1700000000\nprocesses 5\n";
        let read = Process::read(stat, system, 100.0, 4096, 12).unwrap();
        let expected = Process {
            cpu_seconds: 3.0,
            threads: 9,
            start_seconds: 1_700_000_010.0,
            virtual_bytes: 4096,
            resident_bytes: 12288,
            open_files: 12,
        };
        assert_eq!(read, expected);
        assert_eq!(Process::read("7 (x) S 1", system, 100.0, 4096, 12), None);
    }
}
