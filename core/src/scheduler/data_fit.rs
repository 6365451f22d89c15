//! Checks whether sweeps fit the data sets of the workers, before anything is trained.

use std::time::Duration;

use crate::{
    failure::{Failure, FailureReason},
    id::{SweepId, WorkerId},
    settings::DataShape,
    sweep::Sweep,
    time::Timestamp,
};

use super::{
    data_sets::DataSetShape,
    event::Event,
    machine::Scheduler,
    misfit::{Misfit, WAIT_FOR_DATA},
    sweeps::SubmissionError,
};

/// Whether a sweep fits its data sets, as far as connected workers know them.
enum DataFit {
    /// No worker knows one of the data sets.
    Unknown,
    /// The sweep fits.
    Fits,
    /// The sweep does not fit the data set of any worker. Holds all mistakes.
    Misfit(String),
}

impl Scheduler {
    /// A sweep that does not fit the data set of any worker waits this long for a worker with another data set. The
    /// first worker that connects may have an outdated data set.
    pub const WAIT_FOR_DATA: Duration = WAIT_FOR_DATA;

    /// Checks a sweep against the data sets of the connected workers; to be called before it is submitted or
    /// extended.
    ///
    /// # Errors
    /// Returns all mistakes if no worker has data that fits.
    pub fn check_data(&self, sweep: &Sweep) -> Result<(), SubmissionError> {
        match self.data_fit(sweep) {
            DataFit::Misfit(mistakes) => Err(SubmissionError::Misfit { name: sweep.name.clone(), mistakes }),
            DataFit::Unknown | DataFit::Fits => Ok(()),
        }
    }

    /// The mistakes because of which no task of a sweep is granted: it does not fit the data set of any worker.
    /// `None` if there are none.
    #[must_use]
    pub fn misfit(&self, sweep: SweepId) -> Option<&Failure> {
        self.misfits.get(&sweep).map(|misfit| &misfit.failure)
    }

    /// The data sets of these names, as connected workers know them: what sweeps are checked against.
    #[must_use]
    pub fn data_shapes<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Vec<(String, DataShape)> {
        let shapes = names.into_iter().flat_map(|name| {
            let (shapes, _) = self.shapes_of(name);
            shapes.into_iter().map(move |shape| (name.to_owned(), shape))
        });
        shapes.collect()
    }

    /// The distinct data sets of this name, and whether there may be others.
    fn shapes_of(&self, name: &str) -> (Vec<DataShape>, bool) {
        let mut shapes: Vec<(&WorkerId, &DataSetShape)> = Vec::new();
        let mut unknown = false;
        for (id, worker) in self.workers.iter().filter(|(_, worker)| worker.connected) {
            match worker.data_sets.known.get(name).and_then(|known| known.shape.as_ref()) {
                Some(shape) if shapes.iter().any(|(_, other)| *other == shape) => {}
                Some(shape) => shapes.push((id, shape)),
                // The worker may have data that fits.
                None => unknown |= worker.data_sets.may_have(name, None),
            }
        }
        let shape = |(worker, shape): (&WorkerId, &DataSetShape)| DataShape {
            name: format!("`{name}` of worker {worker}"),
            modalities: shape.modalities.clone(),
            train_samples: usize::try_from(shape.train_samples).unwrap_or(usize::MAX),
        };
        (shapes.into_iter().map(shape).collect(), unknown)
    }

    fn data_fit(&self, sweep: &Sweep) -> DataFit {
        let prepared = self.prepared.as_deref().filter(|it| std::ptr::eq(it.after().as_ref(), sweep));
        let names: Vec<&str> = match prepared {
            Some(prepared) => prepared.data_sets().collect(),
            None => sweep.data_sets().into_iter().collect(),
        };
        let mut fit = DataFit::Fits;
        for name in names {
            let (shapes, unknown) = self.shapes_of(name);
            let mut mistakes = shapes.iter().map(|data| {
                let known = prepared.and_then(|prepared| prepared.misfits(name, data));
                known.unwrap_or_else(|| sweep.misfits(name, data))
            });
            match mistakes.next() {
                None => fit = DataFit::Unknown,
                Some(_) if unknown => fit = DataFit::Unknown,
                Some(first) if first.is_empty() || mistakes.any(|others| others.is_empty()) => {}
                Some(first) => return DataFit::Misfit(first.join("\n")),
            }
        }
        fit
    }

    /// Checks the active sweeps again that have no results and are not known to fit; to be called whenever workers or
    /// their known data sets have changed.
    pub(super) fn review_data_fit(&mut self) {
        let unsure: Vec<SweepId> = self.active.iter().copied().filter(|id| self.is_unsure(*id)).collect();
        for id in unsure {
            let Some(state) = self.sweeps.get(&id) else { continue };
            let fit = self.data_fit(&state.sweep);
            let since = self.misfits.remove(&id).map_or(self.heard_at, |misfit| misfit.since);
            match fit {
                DataFit::Unknown => {}
                DataFit::Fits => {
                    if let Some(state) = self.sweeps.get_mut(&id) {
                        state.fits_data = true;
                    }
                }
                DataFit::Misfit(mistakes) => {
                    let failure = Failure::new(FailureReason::Settings, mistakes);
                    self.misfits.insert(id, Misfit { since, failure });
                }
            }
        }
    }

    fn is_unsure(&self, sweep: SweepId) -> bool {
        let only = self.settings.only.as_ref();
        self.sweeps.get(&sweep).is_some_and(|state| {
            !state.fits_data && state.counts.done == 0 && only.is_none_or(|name| state.sweep.name == *name)
        })
    }

    /// Something of a sweep was trained, so it fits its data.
    pub(super) fn note_fit(&mut self, sweep: SweepId) {
        self.misfits.remove(&sweep);
        if let Some(state) = self.sweeps.get_mut(&sweep) {
            state.fits_data = true;
        }
    }

    /// The sweeps that wait for data that they fit, and when they are refused. Nothing is refused that may be in training.
    fn refusals(&self) -> impl Iterator<Item = (Timestamp, SweepId, &Misfit)> {
        let idle = |id: &SweepId| self.sweeps.get(id).is_some_and(|state| state.leases == 0);
        let waiting = self.misfits.iter().filter(move |(id, _)| idle(id));
        waiting.map(|(id, misfit)| (misfit.refused_at(self.settings.one_worker), *id, misfit))
    }

    /// When the next sweep is refused, if nothing changes.
    pub(super) fn refusal_deadline(&self) -> Option<Timestamp> {
        self.refusals().map(|(at, ..)| at).min()
    }

    /// The refusal of a sweep that has waited long enough for data that it fits, as an event to apply.
    pub(super) fn next_refusal(&self, now: Timestamp) -> Option<Event> {
        let (_, sweep, misfit) = self.refusals().find(|(at, ..)| *at <= now)?;
        Some(Event::SweepRefused { sweep, failure: misfit.failure.clone() })
    }
}
