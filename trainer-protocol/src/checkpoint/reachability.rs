//! What is known of a place that cannot be reached, so that not every call waits for it anew.

use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::error::{ObjectError, StoreError};

/// How long a task waits for its checkpoints before it starts over.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two tries meanwhile.
const PAUSE: Duration = Duration::from_secs(1);

/// When a place could not be reached.
#[derive(Debug, Default)]
pub(super) struct Reachability(Mutex<Option<Failure>>);

#[derive(Clone, Copy, Debug)]
struct Failure {
    at: Instant,
    /// How long it was waited for in vain.
    took: Duration,
}

impl Reachability {
    /// Calls `operation`, unless the last one failed because the place could not be reached, and that was not longer
    /// ago than it took. So a place that does not answer costs training at most half of its time.
    ///
    /// # Errors
    /// Those of the operation, and [`ObjectError::NotTried`].
    pub(super) fn spare<T>(
        &self,
        operation: impl FnOnce() -> Result<T, StoreError>,
        not_tried: impl FnOnce(ObjectError) -> StoreError,
    ) -> Result<T, StoreError> {
        if let Some(failure) = self.last()
            && failure.at.elapsed() < failure.took
        {
            return Err(not_tried(ObjectError::NotTried(failure.at.elapsed().as_secs())));
        }
        self.noted(operation)
    }

    /// Calls `operation` again as long as the place cannot be reached, but no longer than a minute, and only once if
    /// that was in vain before: to start a task over costs more than to wait. `warn` hears why this waits.
    ///
    /// # Errors
    /// Those of the last call.
    pub(super) fn wait_for<T>(
        &self,
        mut operation: impl FnMut() -> Result<T, StoreError>,
        warn: &mut dyn FnMut(String),
    ) -> Result<T, StoreError> {
        let was_in_vain = self.last().is_some_and(|failure| failure.took >= PATIENCE);
        let began = Instant::now();
        let mut warned = false;
        loop {
            let result = operation();
            match &result {
                Err(error) if error.is_unreachable() && !was_in_vain && began.elapsed() < PATIENCE => {
                    if !warned {
                        warn(format!("{error}; waiting for it up to {} s", PATIENCE.as_secs()));
                        warned = true;
                    }
                    thread::sleep(PAUSE);
                }
                _ => {
                    self.note(&result, began.elapsed());
                    return result;
                }
            }
        }
    }

    fn noted<T>(&self, operation: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let began = Instant::now();
        let result = operation();
        self.note(&result, began.elapsed());
        result
    }

    fn note<T>(&self, result: &Result<T, StoreError>, took: Duration) {
        let failed = matches!(result, Err(error) if error.is_unreachable());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            failed.then(|| Failure { at: Instant::now(), took });
    }

    fn last(&self) -> Option<Failure> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
