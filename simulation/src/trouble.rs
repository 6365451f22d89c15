//! Faults from outside: hosts that crash, links that break, clocks that jump.

use std::{sync::atomic::Ordering, time::Duration};

use turmoil::Sim;

use crate::{chance::Chance, hosts::Shared, network::COORDINATOR};

/// The workers' hosts, with the cohort sizes of their slots.
pub const WORKERS: [(&str, &[u32]); 3] = [("north", &[2, 1]), ("south", &[3]), ("west", &[1])];
/// The time when troubles end.
pub const CALM_AT: Duration = Duration::from_secs(60);
/// The largest latency of a link without trouble.
const NEAR: Duration = Duration::from_millis(20);

/// One fault of hosts and links. Workers are named by their place in [`WORKERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A host crashes.
    Crash(&'static str),
    /// A crashed host returns.
    Return(&'static str),
    /// From its next start on the coordinator's wall clock is wrong by this many milliseconds.
    Skew(i64),
    /// A worker is asked to leave.
    Stop(&'static str),
    /// No message passes between a worker and the coordinator.
    Cut(&'static str),
    /// No message passes from the first host to the second.
    CutOneWay(&'static str, &'static str),
    /// A link works again.
    Mend(&'static str),
    /// A link breaks and recovers at random, with this many breaks in ten thousand messages.
    Loss(&'static str, u64),
    /// A link's longest delay.
    Delay(&'static str, Duration),
}

/// The troubles of a history, ordered by time.
#[must_use]
pub fn script(seed: u64) -> Vec<(Duration, Trouble)> {
    let mut chance = Chance::new(seed, "trouble");
    let mut script = Vec::new();
    for _ in 0..2 + chance.below(14) {
        let at = chance.millis(500, 55_000);
        let until =
            at + if chance.percent(40) { chance.millis(9000, 32_000) } else { chance.millis(100, 6000) };
        let worker = chance.pick(&WORKERS).0;
        match chance.below(10) {
            0 | 1 => {
                script.extend([(at, Trouble::Crash(COORDINATOR)), (until, Trouble::Return(COORDINATOR))]);
            }
            2 => {
                let days = chance.below(801) as i64 - 400;
                let skew = if chance.percent(50) { days * 86_400_000 } else { days * 50 };
                script.extend([
                    (at, Trouble::Crash(COORDINATOR)),
                    (at, Trouble::Skew(skew)),
                    (until, Trouble::Return(COORDINATOR)),
                ]);
            }
            3 => script.extend([(at, Trouble::Crash(worker)), (until, Trouble::Return(worker))]),
            4 => script.push((at, Trouble::Stop(worker))),
            5 => script.extend([(at, Trouble::Cut(worker)), (until, Trouble::Mend(worker))]),
            6 => {
                script
                    .extend([(at, Trouble::CutOneWay(worker, COORDINATOR)), (until, Trouble::Mend(worker))]);
            }
            7 => {
                script
                    .extend([(at, Trouble::CutOneWay(COORDINATOR, worker)), (until, Trouble::Mend(worker))]);
            }
            8 => script.extend([
                (at, Trouble::Loss(worker, 10 + chance.below(500))),
                (until, Trouble::Loss(worker, 0)),
            ]),
            _ => script.extend([
                (at, Trouble::Delay(worker, chance.millis(100, 4000))),
                (until, Trouble::Delay(worker, NEAR)),
            ]),
        }
    }
    script.retain(|(at, _)| *at < CALM_AT);
    script.extend(calm());
    // A stable sort: events at the same moment keep their order.
    script.sort_by_key(|(at, _)| *at);
    script
}

/// Repairs everything.
fn calm() -> impl Iterator<Item = (Duration, Trouble)> {
    let hosts = [COORDINATOR].into_iter().chain(WORKERS.map(|(worker, _)| worker));
    let links = WORKERS.into_iter().flat_map(|(worker, _)| {
        [Trouble::Mend(worker), Trouble::Loss(worker, 0), Trouble::Delay(worker, NEAR)]
    });
    links.chain(hosts.map(Trouble::Return)).map(|trouble| (CALM_AT, trouble))
}

impl Trouble {
    /// Applies the trouble.
    pub fn happen(self, sim: &mut Sim<'_>, shared: &Shared) {
        shared.trace.note_at(sim.elapsed(), "fate", format_args!("{self:?}"));
        match self {
            Self::Crash(host) => sim.crash(host),
            Self::Return(host) => {
                if !sim.is_host_running(host) {
                    sim.bounce(host);
                }
            }
            Self::Skew(millis) => shared.skew.store(millis, Ordering::Relaxed),
            Self::Stop(worker) => shared.stop(worker),
            Self::Cut(worker) => sim.partition(worker, COORDINATOR),
            Self::CutOneWay(from, to) => sim.partition_oneway(from, to),
            Self::Mend(worker) => sim.repair(worker, COORDINATOR),
            Self::Loss(worker, rate) => sim.set_link_fail_rate(worker, COORDINATOR, rate as f64 / 10_000.0),
            Self::Delay(worker, most) => sim.set_link_max_message_latency(worker, COORDINATOR, most),
        }
    }
}
