//! Modality dropout: the part of a modality that a member sees in a training batch.
//!
//! A drop is drawn for every unit (the batch, a sample, or a time step of a sample). The modality is dropped in the
//! unit if a draw from [0, 1) is below its probability: with 0 never, with 1 always. A partial drop then draws for
//! each feature or time step of the unit whether it is set to zero. Kept values are not scaled.
//! for each feature or time step of the unit whether it is zeroed. Nothing that survives is scaled.

use colearn_core::settings::{ModalityDraw, ModalityGranularity, ModalityPart, TrainingSettings};

use crate::random::{Purpose, Stream};

/// The number of mask values along time, samples and features; 1 where all are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MaskShape {
    pub(super) steps: usize,
    pub(super) samples: usize,
    pub(super) features: usize,
}

impl MaskShape {
    /// One value for the whole batch.
    pub(super) const ONE: Self = Self { steps: 1, samples: 1, features: 1 };

    pub(super) fn len(self) -> usize {
        self.steps * self.samples * self.features
    }

    /// The smallest shape that can represent both.
    pub(super) fn union(self, other: Self) -> Self {
        Self {
            steps: self.steps.max(other.steps),
            samples: self.samples.max(other.samples),
            features: self.features.max(other.features),
        }
    }
}

/// The draws of one member for one modality of one batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presence {
    pub(super) seed: u64,
    pub(super) epoch: u32,
    pub(super) step: u32,
    pub(super) modality: u32,
    pub(super) probability: f64,
}

impl Presence {
    /// The shape of this member's mask, for batches of the shape `whole`.
    pub(super) fn shape(&self, training: &TrainingSettings, whole: MaskShape) -> MaskShape {
        if self.probability == 0.0 {
            return MaskShape::ONE;
        }
        let (by_step, by_sample) = match training.modality_granularity {
            ModalityGranularity::Batch => (false, false),
            ModalityGranularity::Sample => (false, true),
            ModalityGranularity::Step => (true, true),
        };
        let part = training.modality_part;
        MaskShape {
            steps: if by_step || part == ModalityPart::Steps { whole.steps } else { 1 },
            samples: if by_sample { whole.samples } else { 1 },
            features: if part == ModalityPart::Features { whole.features } else { 1 },
        }
    }

    /// Fills a mask of the given shape, [steps, samples, features]: 1 where the modality is present, 0 where not.
    /// `whole` is the shape of the batch, which numbers the draws for every shape of the mask.
    pub(super) fn fill(
        &self,
        training: &TrainingSettings,
        whole: MaskShape,
        shape: MaskShape,
        out: &mut [f32],
    ) {
        let drops = Stream::new(self.seed, Purpose::Modality, self.epoch, self.step);
        let parts = Stream::new(self.seed, Purpose::ModalityPart(self.modality), self.epoch, self.step);
        let units = match training.modality_granularity {
            ModalityGranularity::Batch => 1,
            ModalityGranularity::Sample => whole.samples,
            ModalityGranularity::Step => whole.steps * whole.samples,
        };
        let first = match training.modality_draw {
            ModalityDraw::Shared => 0,
            ModalityDraw::Independent => self.modality as usize * units,
        };
        let zeroed = |index: usize| parts.uniform(index as u32) < training.modality_fraction;
        let mut values = out.iter_mut();
        for step in 0..shape.steps {
            for sample in 0..shape.samples {
                let unit = match training.modality_granularity {
                    ModalityGranularity::Batch => 0,
                    ModalityGranularity::Sample => sample,
                    ModalityGranularity::Step => step * whole.samples + sample,
                };
                let dropped =
                    self.probability > 0.0 && drops.uniform((first + unit) as u32) < self.probability;
                for (feature, value) in (0..shape.features).zip(&mut values) {
                    let absent = dropped
                        && match training.modality_part {
                            ModalityPart::All => true,
                            ModalityPart::Features => zeroed(unit * whole.features + feature),
                            ModalityPart::Steps => zeroed(unit * whole.steps + step),
                        };
                    *value = f32::from(u8::from(!absent));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: MaskShape = MaskShape { steps: 5, samples: 8, features: 6 };

    fn training(
        modality_draw: ModalityDraw,
        modality_granularity: ModalityGranularity,
        modality_part: ModalityPart,
    ) -> TrainingSettings {
        TrainingSettings {
            modality_draw,
            modality_granularity,
            modality_part,
            modality_fraction: 0.3,
            ..TrainingSettings::default()
        }
    }

    fn mask(
        training: &TrainingSettings,
        modality: u32,
        probability: f64,
        step: u32,
    ) -> (MaskShape, Vec<f32>) {
        let presence = Presence { seed: 3, epoch: 1 + step / 100, step: step % 100, modality, probability };
        let shape = presence.shape(training, WHOLE);
        let mut out = vec![f32::NAN; shape.len()];
        presence.fill(training, WHOLE, shape, &mut out);
        // In a larger mask the same values are repeated.
        let mut spread = vec![f32::NAN; WHOLE.len()];
        presence.fill(training, WHOLE, WHOLE, &mut spread);
        for (index, value) in spread.iter().enumerate() {
            let (t, b, d) = (index / 48, index / 6 % 8, index % 6);
            let at = |n: usize, index: usize| if n == 1 { 0 } else { index };
            let [t, b, d] = [at(shape.steps, t), at(shape.samples, b), at(shape.features, d)];
            assert_eq!(*value, out[(t * shape.samples + b) * shape.features + d]);
        }
        (shape, out)
    }

    /// The share of zeros, and the share of values that differ between two modalities of equal level, over many
    /// batches.
    fn shares(training: &TrainingSettings, probability: f64) -> (f64, f64) {
        let (mut zeros, mut apart, mut all) = (0, 0, 0);
        for step in 0..2000 {
            let (_, one) = mask(training, 1, probability, step);
            let (_, two) = mask(training, 2, probability, step);
            zeros += one.iter().filter(|value| **value == 0.0).count();
            apart += one.iter().zip(&two).filter(|(a, b)| a != b).count();
            all += one.len();
        }
        (zeros as f64 / all as f64, apart as f64 / all as f64)
    }

    use ModalityDraw::{Independent, Shared};
    use ModalityGranularity::{Batch, Sample, Step};
    use ModalityPart::{All, Features, Steps};

    #[test]
    fn a_shared_draw_drops_equal_levels_together_and_independent_draws_apart() {
        for granularity in [Batch, Sample, Step] {
            let (zeros, apart) = shares(&training(Shared, granularity, All), 0.6);
            assert!((zeros - 0.6).abs() < 0.04 && apart == 0.0, "{granularity:?}: {zeros} {apart}");
            let (zeros, apart) = shares(&training(Independent, granularity, All), 0.6);
            assert!((zeros - 0.6).abs() < 0.04, "{granularity:?}: {zeros}");
            // 2 * 0.6 * 0.4.
            assert!((apart - 0.48).abs() < 0.04, "{granularity:?}: {apart}");
        }
    }

    #[test]
    fn of_unequal_levels_with_a_shared_draw_the_higher_drops_wherever_the_lower_does() {
        let training = training(Shared, Sample, All);
        for step in 0..200 {
            let (_, low) = mask(&training, 1, 0.2, step);
            let (_, high) = mask(&training, 2, 0.6, step);
            assert!(low.iter().zip(&high).all(|(low, high)| high <= low));
        }
    }

    #[test]
    fn a_partial_drop_zeroes_its_fraction_of_what_it_drops() {
        for granularity in [Batch, Sample, Step] {
            for part in [Features, Steps] {
                let (zeros, _) = shares(&training(Shared, granularity, part), 0.5);
                assert!((zeros - 0.15).abs() < 0.02, "{granularity:?} {part:?}: {zeros}");
            }
        }
    }

    #[test]
    fn masks_are_as_large_as_what_is_drawn_for() {
        let shape = |granularity, part| {
            let (shape, _) = mask(&training(Shared, granularity, part), 1, 0.5, 0);
            (shape.steps, shape.samples, shape.features)
        };
        assert_eq!(shape(Batch, All), (1, 1, 1));
        assert_eq!(shape(Sample, All), (1, 8, 1));
        assert_eq!(shape(Step, All), (5, 8, 1));
        assert_eq!(shape(Batch, Features), (1, 1, 6));
        assert_eq!(shape(Sample, Features), (1, 8, 6));
        assert_eq!(shape(Step, Features), (5, 8, 6));
        assert_eq!(shape(Batch, Steps), (5, 1, 1));
        assert_eq!(shape(Sample, Steps), (5, 8, 1));
    }

    #[derive(serde::Deserialize)]
    struct Fixture {
        steps: usize,
        samples: usize,
        features: usize,
        cases: Vec<Case>,
    }

    #[derive(serde::Deserialize)]
    struct Case {
        draw: ModalityDraw,
        granularity: ModalityGranularity,
        part: ModalityPart,
        modality: u32,
        seed: u64,
        epoch: u32,
        step: u32,
        probability: f64,
        fraction: f64,
        /// 0 or 1 for every step, sample and feature.
        mask: String,
    }

    /// The masks that `tests/parity/make_masks.py` computes element by element.
    #[test]
    fn masks_are_those_of_a_second_implementation() {
        let text = include_str!("../../tests/parity/fixtures/masks.json");
        let Fixture { steps, samples, features, cases } = serde_json::from_str(text).unwrap();
        let whole = MaskShape { steps, samples, features };
        let mut kinds = std::collections::BTreeSet::new();
        for case in &cases {
            let training = TrainingSettings {
                modality_fraction: case.fraction,
                ..training(case.draw, case.granularity, case.part)
            };
            let Case { seed, epoch, step, modality, probability, .. } = *case;
            let presence = Presence { seed, epoch, step, modality, probability };
            let mut out = vec![f32::NAN; whole.len()];
            presence.fill(&training, whole, whole, &mut out);
            let mask: String = out.iter().map(|value| if *value == 1.0 { '1' } else { '0' }).collect();
            let (draw, granularity, part) = (case.draw, case.granularity, case.part);
            assert_eq!(mask, case.mask, "{draw:?} {granularity:?} {part:?} of {modality}, step {step}");
            kinds.insert((mask.contains('0'), mask.contains('1')));
        }
        assert_eq!((cases.len(), kinds.len()), (108, 3), "whole, dropped and mixed masks all occur");
    }

    /// A dropped feature is zero at all time steps, and samples that are not dropped lose nothing.
    #[test]
    fn partial_drops_take_whole_features_of_whole_samples() {
        let (mut touched, mut untouched) = (0, 0);
        for step in 0..200 {
            let (shape, values) = mask(&training(Shared, Sample, Features), 1, 0.5, step);
            for sample in values.chunks(shape.features) {
                match sample.iter().filter(|value| **value == 0.0).count() {
                    0 => untouched += 1,
                    _ => touched += 1,
                }
            }
        }
        // A dropped sample loses at least one of six features in 1 - 0.7^6 = 0.88 of the cases; half of the samples
        // are dropped.
        let share = f64::from(touched) / f64::from(touched + untouched);
        assert!((share - 0.44).abs() < 0.04, "{share}");
    }

    #[test]
    fn never_and_always() {
        for draw in [Shared, Independent] {
            for granularity in [Batch, Sample, Step] {
                let training = training(draw, granularity, All);
                let never = mask(&training, 1, 0.0, 7);
                assert_eq!(never, (MaskShape::ONE, vec![1.0]));
                assert!(mask(&training, 1, 1.0, 7).1.iter().all(|value| *value == 0.0));
            }
        }
    }
}
