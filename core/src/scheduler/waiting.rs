//! Why no slot can take the tasks of a sweep.

use std::{collections::BTreeMap, fmt};

use crate::{
    id::SweepId,
    needs::{Lack, Needs, TrainerKind},
    text::{bytes, counted},
};

use super::machine::Scheduler;

/// Why the pending tasks of a sweep wait: no slot of a connected worker can take them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyWaiting {
    /// No worker is connected.
    NoWorker,
    /// All workers with a slot for them are set aside: each gets one task as a test when its pause is over.
    SetAside {
        /// Number of these workers.
        workers: u32,
    },
    /// No slot meets the needs of the sweep.
    NoSlot {
        /// Number of slots of the connected workers.
        slots: u32,
        /// What the slots lack, beginning with that of the slot that lacks least.
        lacks: Vec<CommonLack>,
    },
}

/// One thing that several slots lack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommonLack {
    /// What they lack. Of memory and threads it names the most that any of them offers.
    pub lack: Lack,
    /// The number of these slots.
    pub slots: u32,
}

impl Scheduler {
    /// Why the pending tasks of a sweep wait, if no slot of a connected worker can take them. `None` if there is such a
    /// slot, or if nothing is pending. Which workers are set aside or lack data is told by [`Self::set_aside_from`] and
    /// [`Self::without_data`].
    #[must_use]
    pub fn why_waiting(&self, sweep: SweepId) -> Option<WhyWaiting> {
        let state = self.sweeps.get(&sweep).filter(|state| state.counts.pending > 0)?;
        let needs = &state.sweep.needs;
        if self.known_offers.can_meet(needs) {
            return self.all_set_aside(needs).map(|workers| WhyWaiting::SetAside { workers });
        }
        if self.workers.values().all(|worker| !worker.connected) {
            return Some(WhyWaiting::NoWorker);
        }
        let known = self.known_offers.slots();
        let mut misses: Vec<(Vec<Lack>, u32)> =
            known.map(|(offers, slots)| (needs.missing_in(offers), slots)).collect();
        misses.sort_by_key(|(lacks, _)| lacks.len());
        let slots = misses.iter().map(|(_, slots)| slots).sum();
        let mut lacks: Vec<CommonLack> = Vec::new();
        let mut places: BTreeMap<Lack, usize> = BTreeMap::new();
        for (missing, slots) in misses {
            for lack in missing {
                let place = *places.entry(without_offer(&lack)).or_insert(lacks.len());
                match lacks.get_mut(place) {
                    // The lacks of one place differ at most in what is offered.
                    Some(known) => {
                        known.lack = known.lack.clone().max(lack);
                        known.slots += slots;
                    }
                    None => lacks.push(CommonLack { lack, slots }),
                }
            }
        }
        Some(WhyWaiting::NoSlot { slots, lacks })
    }

    /// The number of connected workers that meet some needs, if all of them are set aside for all tasks.
    fn all_set_aside(&self, needs: &Needs) -> Option<u32> {
        if self.records.values().all(|record| !record.pauses.contains_key(&None)) {
            return None;
        }
        let able = self.workers.iter().filter(|(_, worker)| worker.connected && worker.can_meet(needs));
        able.map(|(id, _)| self.pause_of(id, &None).map(|_| 1))
            .sum::<Option<u32>>()
            .filter(|workers| *workers > 0)
    }
}

/// The same for all slots that lack the same thing.
fn without_offer(lack: &Lack) -> Lack {
    match lack {
        Lack::Memory { needed, .. } => Lack::Memory { needed: *needed, offered: None },
        Lack::Threads { needed, .. } => Lack::Threads { needed: *needed, offered: None },
        Lack::Trainer(_) | Lack::Gpu | Lack::Label(_) => lack.clone(),
    }
}

impl fmt::Display for WhyWaiting {
    /// One line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWorker => f.write_str("no worker is connected"),
            Self::SetAside { workers: 1 } => f.write_str(
                "the only worker that can run its tasks is set aside after failures, and gets one task as a test after a pause: see `colearn workers`",
            ),
            Self::SetAside { workers } => write!(
                f,
                "all {workers} workers that can run its tasks are set aside after failures, and get one task each as a test after a pause: see `colearn workers`"
            ),
            Self::NoSlot { slots: 0, .. } => f.write_str("the connected workers have no slots"),
            Self::NoSlot { slots, lacks } => {
                let lacks: Vec<String> = lacks.iter().map(ToString::to_string).collect();
                let of = match slots {
                    1 => "the only slot cannot run its tasks".to_owned(),
                    slots => format!("none of {slots} slots can run its tasks"),
                };
                write!(f, "{of}: {}", lacks.join("; "))
            }
        }
    }
}

impl fmt::Display for CommonLack {
    /// For people: `8 have no GPU`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.slots == 1 {
            return write!(f, "1 {}", self.lack);
        }
        write!(f, "{} ", self.slots)?;
        match &self.lack {
            Lack::Trainer(TrainerKind::Programs) => {
                f.write_str("run no programs of users (start the worker with --allow-programs)")
            }
            Lack::Trainer(TrainerKind::Networks) => f.write_str("train no built-in networks"),
            Lack::Gpu => f.write_str("have no GPU"),
            Lack::Memory { needed, offered: Some(most) } => {
                write!(f, "have less than {} of memory, the largest {}", bytes(*needed), bytes(*most))
            }
            Lack::Memory { needed, offered: None } => {
                write!(f, "do not say whether they have {} of memory", bytes(*needed))
            }
            Lack::Threads { needed, offered: Some(most) } => {
                write!(f, "have less than {}, the largest {most}", counted(u64::from(*needed), "thread"))
            }
            Lack::Threads { needed, offered: None } => {
                write!(f, "do not say whether they have {}", counted(u64::from(*needed), "thread"))
            }
            Lack::Label(label) => write!(f, "have no label `{label}`"),
        }
    }
}
