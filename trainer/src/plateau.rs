//! Lowers a learning rate when the validation loss stops falling.

use serde::{Deserialize, Serialize};

/// A relative improvement of more than this counts.
const THRESHOLD: f64 = 1e-4;
/// A smaller change of the rate is not made.
const SMALLEST_CHANGE: f64 = 1e-8;

/// `torch.optim.lr_scheduler.ReduceLROnPlateau` with its defaults (mode min, relative threshold 1e-4, no cooldown, no
/// lowest rate). Plain data, so that a checkpoint can hold it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    factor: f64,
    patience: u32,
    /// The lowest loss so far. None instead of infinity, which JSON cannot represent.
    best: Option<f64>,
    /// Epochs since the last improvement or change of the rate.
    bad_epochs: u32,
}

impl Plateau {
    /// Multiplies the rate by `factor` (in (0, 1)) after more than `patience` epochs without an improvement.
    #[must_use]
    pub fn new(factor: f64, patience: u32) -> Self {
        Self { factor, patience, best: None, bad_epochs: 0 }
    }

    /// Takes the validation loss and the rate of an epoch; returns the rate of the next epoch.
    pub fn observe(&mut self, loss: f64, rate: f64) -> f64 {
        // NaN is no improvement.
        if loss < self.best.map_or(f64::INFINITY, |best| best * (1.0 - THRESHOLD)) {
            self.best = Some(loss);
            self.bad_epochs = 0;
        } else {
            self.bad_epochs += 1;
        }
        if self.bad_epochs <= self.patience {
            return rate;
        }
        self.bad_epochs = 0;
        let lower = rate * self.factor;
        if rate - lower > SMALLEST_CHANGE { lower } else { rate }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_patience_epochs_without_improvement_lower_the_rate() {
        let mut plateau = Plateau::new(0.5, 1);
        // The third loss is an improvement, but by less than the threshold.
        let losses = [1.0, 0.9, 0.899_99, 0.95, 0.95, 0.8, f64::NAN, 0.9];
        let mut rate = 1.0;
        let rates = losses.map(|loss| {
            rate = plateau.observe(loss, rate);
            rate
        });
        assert_eq!(rates, [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25]);
    }

    #[test]
    fn a_checkpoint_holds_it_before_the_first_epoch_too() {
        let mut plateau = Plateau::new(0.5, 3);
        for loss in [2.0, 0.1 + 0.2] {
            let text = serde_json::to_string(&plateau).unwrap();
            assert_eq!(serde_json::from_str::<Plateau>(&text).unwrap(), plateau);
            let _ = plateau.observe(loss, 1.0);
        }
    }
}
