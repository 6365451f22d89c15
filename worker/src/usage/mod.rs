//! What this host and its GPUs do, measured at intervals.

mod gpus;
mod groups;

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use colearn_proto::v1::Usage;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use tokio::sync::mpsc;

pub(crate) use self::gpus::{GpuMeter, of_this_host};
use self::groups::Groups;
use super::input::Input;

/// Time before the first measurement, and between two.
const FIRST: Duration = Duration::from_secs(1);
const BETWEEN: Duration = Duration::from_secs(5);

/// Measures until the receiver is dropped.
pub(crate) async fn watch(gpus: Box<dyn GpuMeter>, inputs: mpsc::Sender<Input>) {
    let mut wait = FIRST;
    let made = tokio::task::spawn_blocking(move || Meter::new(gpus)).await;
    let Ok(Some(mut meter)) = made else { return };
    loop {
        tokio::time::sleep(wait).await;
        wait = BETWEEN;
        // In a separate thread: it reads a file for each process of the host, and drivers may be slow.
        let measured = tokio::task::spawn_blocking(move || {
            let usage = meter.measure();
            (meter, usage)
        });
        let Ok((returned, usage)) = measured.await else { return };
        meter = returned;
        if inputs.send(Input::Usage(usage)).await.is_err() {
            return;
        }
    }
}

/// Measures what happened since it did so before.
struct Meter {
    system: System,
    groups: Groups,
    gpus: Box<dyn GpuMeter>,
    /// When the control group of the processors had used this time.
    before: Option<(Instant, Duration)>,
}

impl Meter {
    /// `None` on a host of which nothing can be known.
    fn new(gpus: Box<dyn GpuMeter>) -> Option<Self> {
        let system = System::new().ok()?;
        let mut meter = Self { system, groups: Groups::of_this_process(), gpus, before: None };
        meter.refresh();
        meter.before = meter.groups.processor_time().map(|used| (Instant::now(), used));
        Some(meter)
    }

    fn refresh(&mut self) {
        self.system.refresh_memory();
        self.system.refresh_cpu_usage();
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        self.system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
    }

    fn measure(&mut self) -> Usage {
        self.refresh();
        let mut usage = Usage { gpus: self.gpus.read(), ..Usage::default() };
        self.processors(&mut usage);
        self.memory(&mut usage);
        let parents = self.system.processes().iter().map(|(pid, process)| (*pid, process.parent()));
        let own = descendants(Pid::from_u32(std::process::id()), &parents.collect());
        let own = own.iter().filter_map(|pid| self.system.process(*pid));
        let (busy, bytes) = own.fold((0.0, 0), |(busy, bytes), process| {
            (busy + thousandths(process.cpu_usage()), bytes + process.memory())
        });
        if usage.processors.is_some() {
            usage.own_busy = Some(busy as u64);
        }
        if usage.memory_bytes.is_some() {
            usage.own_bytes = Some(bytes);
        }
        usage
    }

    fn processors(&mut self, usage: &mut Usage) {
        let allowed = allowed_processors();
        let cpus = self.system.cpus();
        let number = |name: &str| name.strip_prefix("cpu")?.parse::<usize>().ok();
        let is_allowed = |name: &str| match (&allowed, number(name)) {
            (Some(allowed), Some(number)) => allowed.contains(&number),
            _ => true,
        };
        let cpus: Vec<_> = cpus.iter().filter(|cpu| is_allowed(cpu.name())).collect();
        if cpus.is_empty() {
            return;
        }
        let all = cpus.len() as u64 * 1000;
        usage.processors = Some(all);
        usage.busy = Some(cpus.iter().map(|cpu| thousandths(cpu.usage())).sum::<f64>() as u64);
        let limit = self.groups.processors().filter(|limit| *limit < all);
        if let (Some(limit), Some(used)) = (limit, self.groups.processor_time()) {
            let now = Instant::now();
            let before = self.before.replace((now, used));
            usage.processors = Some(limit);
            usage.processors_of_group = true;
            usage.busy = before.map(|before| busy_between(before, (now, used)).min(limit));
        }
    }

    fn memory(&self, usage: &mut Usage) {
        let all = self.system.total_memory();
        if all == 0 {
            return;
        }
        usage.memory_bytes = Some(all);
        usage.used_bytes = Some(self.system.used_memory());
        if let Some((limit, used)) = self.groups.memory().filter(|(limit, _)| *limit < all) {
            usage.memory_of_group = true;
            usage.memory_bytes = Some(limit);
            usage.used_bytes = Some(used);
        }
    }
}

/// Percent of a processor as thousandths.
fn thousandths(percent: f32) -> f64 {
    f64::from(percent).max(0.0) * 10.0
}

/// How many thousandths of processors were busy between two measurements.
fn busy_between(before: (Instant, Duration), now: (Instant, Duration)) -> u64 {
    let passed = now.0.duration_since(before.0).as_secs_f64();
    let used = now.1.saturating_sub(before.1).as_secs_f64();
    if passed > 0.0 { (used / passed * 1000.0) as u64 } else { 0 }
}

/// The numbers of the processors on which this process may run; `None` if that is not known.
fn allowed_processors() -> Option<BTreeSet<usize>> {
    #[cfg(target_os = "linux")]
    {
        use nix::{sched::CpuSet, sched::sched_getaffinity, unistd::Pid};
        let allowed = sched_getaffinity(Pid::from_raw(0)).ok()?;
        Some((0..CpuSet::count()).filter(|number| allowed.is_set(*number).unwrap_or(false)).collect())
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// A process with all that it started, also through others.
fn descendants(root: Pid, parents: &HashMap<Pid, Option<Pid>>) -> BTreeSet<Pid> {
    let mut children: HashMap<Pid, Vec<Pid>> = HashMap::new();
    for (pid, parent) in parents {
        if let Some(parent) = parent {
            children.entry(*parent).or_default().push(*pid);
        }
    }
    let (mut found, mut open) = (BTreeSet::new(), vec![root]);
    while let Some(pid) = open.pop() {
        if found.insert(pid) {
            open.extend(children.remove(&pid).unwrap_or_default());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_are_found_through_others() {
        let pid = Pid::from_u32;
        let parents = [(1, None), (10, Some(1)), (11, Some(10)), (12, Some(11)), (20, Some(1)), (5, Some(5))];
        let parents = parents.into_iter().map(|(own, parent)| (pid(own), parent.map(pid))).collect();
        assert_eq!(descendants(pid(10), &parents), [10, 11, 12].map(pid).into());
        assert_eq!(descendants(pid(5), &parents), [pid(5)].into(), "it ends");
        assert_eq!(descendants(pid(99), &parents), [pid(99)].into());
    }

    #[test]
    fn time_of_a_group_becomes_processors() {
        let start = Instant::now();
        let before = (start, Duration::from_secs(10));
        assert_eq!(busy_between(before, (start + Duration::from_secs(4), Duration::from_secs(13))), 750);
        assert_eq!(busy_between(before, (start, Duration::from_secs(13))), 0);
        assert_eq!(
            busy_between(before, (start + Duration::from_secs(1), Duration::ZERO)),
            0,
            "another group"
        );
    }

    /// The real host: this test computes for a while, and is seen to.
    #[test]
    fn this_process_is_seen_to_compute() {
        struct NoGpus;
        impl GpuMeter for NoGpus {
            fn read(&self) -> Vec<colearn_proto::v1::GpuUsage> {
                Vec::new()
            }
        }
        let mut meter = Meter::new(Box::new(NoGpus)).unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let (began, mut sum) = (Instant::now(), 0.0_f64);
            while began.elapsed() < Duration::from_millis(400) {
                sum += std::hint::black_box(sum).sin();
            }
            let usage = meter.measure();
            let (Some(all), Some(own)) = (usage.processors, usage.own_busy) else { panic!("{usage:?}") };
            assert!(all > 0 && usage.busy.is_some_and(|busy| busy <= all), "{usage:?}");
            assert!(usage.own_bytes.unwrap() > 0 && usage.used_bytes <= usage.memory_bytes, "{usage:?}");
            // Others may have most of the processors.
            if own > 50 {
                return;
            }
            assert!(Instant::now() < end, "{usage:?}");
        }
    }
}
