//! The distinct offers of slots, and which of them meet which needs.

use std::{collections::BTreeMap, sync::Arc};

use crate::needs::{Needs, Offers};

/// The distinct offers of the slots of connected workers, by number. Most slots of a cluster offer the same, so needs
/// are compared with each distinct offer and not with every slot.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownOffers {
    numbers: BTreeMap<Arc<Offers>, usize>,
    /// By number; an entry without slots is free for other offers.
    known: Vec<(Arc<Offers>, u32)>,
    free: Vec<usize>,
}

impl KnownOffers {
    /// Adds a slot. Returns the number of its offers, and the offers as slots share them.
    pub(super) fn add(&mut self, offers: Offers) -> (usize, Arc<Offers>) {
        if let Some((offers, number)) = self.numbers.get_key_value(&offers) {
            let (offers, number) = (offers.clone(), *number);
            self.known[number].1 += 1;
            return (number, offers);
        }
        let offers = Arc::new(offers);
        let entry = (offers.clone(), 1);
        let number = match self.free.pop() {
            Some(number) => {
                self.known[number] = entry;
                number
            }
            None => {
                self.known.push(entry);
                self.known.len() - 1
            }
        };
        self.numbers.insert(offers.clone(), number);
        (number, offers)
    }

    /// Removes a slot by the number of its offers.
    pub(super) fn remove(&mut self, number: usize) {
        let (offers, slots) = &mut self.known[number];
        *slots -= 1;
        if *slots == 0 {
            self.numbers.remove(offers);
            self.free.push(number);
        }
    }

    /// The distinct offers with the number of their slots.
    pub(super) fn slots(&self) -> impl Iterator<Item = (&Arc<Offers>, u32)> {
        self.numbers.iter().map(|(offers, number)| (offers, self.known[*number].1))
    }

    /// Whether a slot of a connected worker meets these needs.
    pub(super) fn can_meet(&self, needs: &Needs) -> bool {
        self.numbers.keys().any(|offers| needs.are_met_by(offers))
    }
}

/// Which offers meet which of the distinct needs of sweeps.
pub(super) struct Fits<'a> {
    known: &'a KnownOffers,
    rows: BTreeMap<&'a Needs, usize>,
    /// For each row, whether the offers of each number meet its needs.
    met: Vec<Vec<bool>>,
}

impl<'a> Fits<'a> {
    pub(super) fn new(known: &'a KnownOffers) -> Self {
        Self { known, rows: BTreeMap::new(), met: Vec::new() }
    }

    /// The row of these needs.
    pub(super) fn row(&mut self, needs: &'a Needs) -> usize {
        let Self { known, rows, met } = self;
        *rows.entry(needs).or_insert_with(|| {
            met.push(known.known.iter().map(|(offers, _)| needs.are_met_by(offers)).collect());
            met.len() - 1
        })
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.met.len()
    }

    /// Whether the offers of a number meet the needs of a row.
    pub(super) fn meets(&self, row: usize, kind: usize) -> bool {
        self.met[row][kind]
    }

    /// The order in which slots are filled, by the number of their offers: those that meet the needs of few sweeps come
    /// first, among these the ones without a GPU. A task thus gets the slot that fits it most tightly, and the others
    /// are left for tasks that need them.
    pub(super) fn order(&self) -> Vec<(usize, bool)> {
        let met = |kind: usize| self.met.iter().filter(|met| met[kind]).count();
        self.known.known.iter().enumerate().map(|(kind, (offers, _))| (met(kind), offers.gpu)).collect()
    }
}
