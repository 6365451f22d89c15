//! Modality dropout: the part of a modality that a member sees in a training batch.
//!
//! A drop is drawn for every unit (the batch, a sample, or a time step of one or all samples). The modality is dropped
//! in the unit if a draw from [0, 1) lies in the modality's interval, whose length is its level: with 0 never, with 1
//! always. A partial drop then draws for each feature or time step of the unit whether it is taken.

use std::ops::Range;

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

/// The draws that drop a modality, given the levels of all modalities in the order of the data set.
fn dropping(draw: ModalityDraw, levels: &[f64], modality: usize) -> Range<f64> {
    let ends_after = |count: usize| levels.iter().take(count).fold(0.0, |end, level| end + level);
    match draw {
        // Intervals beside each other: no draw drops two.
        ModalityDraw::Exclusive => ends_after(modality)..ends_after(modality + 1),
        ModalityDraw::Shared | ModalityDraw::Independent => 0.0..levels[modality],
    }
}

/// The draws of one member for one modality of one batch.
#[derive(Clone, Debug)]
pub(super) struct Presence<'a> {
    training: &'a TrainingSettings,
    seed: u64,
    epoch: u32,
    step: u32,
    modality: usize,
    /// The probability of a drop in this epoch, and the draws that drop.
    level: f64,
    dropping: Range<f64>,
}

impl<'a> Presence<'a> {
    /// The draws for a modality, given the levels of all modalities in the order of the data set, before annealing.
    pub(super) fn new(
        training: &'a TrainingSettings,
        levels: &[f64],
        seed: u64,
        (epoch, step): (u32, u32),
        modality: usize,
    ) -> Self {
        let factor = training.modality_anneal_factor(epoch);
        let levels: Vec<f64> = levels.iter().map(|level| level * factor).collect();
        let dropping = dropping(training.modality_draw, &levels, modality);
        Self { training, seed, epoch, step, modality, level: levels[modality], dropping }
    }

    /// The mask value of what is kept: 1, or what makes up for the share that is dropped on average.
    fn kept(&self) -> f32 {
        let dropped = self.level * self.training.modality_dropped_share();
        // Of a modality that is always dropped nothing is kept.
        if self.training.modality_rescale && dropped < 1.0 { (1.0 / (1.0 - dropped)) as f32 } else { 1.0 }
    }

    /// The shape of this member's mask, for batches of the shape `whole`.
    pub(super) fn shape(&self, whole: MaskShape) -> MaskShape {
        if self.dropping.is_empty() {
            return MaskShape::ONE;
        }
        let (by_step, by_sample) = match self.training.modality_granularity {
            ModalityGranularity::Batch => (false, false),
            ModalityGranularity::Sample => (false, true),
            ModalityGranularity::Step => (true, true),
            ModalityGranularity::BatchStep => (true, false),
        };
        let part = self.training.modality_part;
        MaskShape {
            steps: if by_step || part == ModalityPart::Steps { whole.steps } else { 1 },
            samples: if by_sample { whole.samples } else { 1 },
            features: if part == ModalityPart::Features { whole.features } else { 1 },
        }
    }

    /// Fills a mask of the given shape, [steps, samples, features]: the factor of the values that are present, 0 where
    /// they are not. `whole` is the shape of the batch, which numbers the draws for every shape of the mask.
    pub(super) fn fill(&self, whole: MaskShape, shape: MaskShape, out: &mut [f32]) {
        let Self { training, seed, epoch, step, modality, .. } = *self;
        let drops = Stream::new(seed, Purpose::Modality, epoch, step);
        let parts = Stream::new(seed, Purpose::ModalityPart(modality as u32), epoch, step);
        let units = match training.modality_granularity {
            ModalityGranularity::Batch => 1,
            ModalityGranularity::Sample => whole.samples,
            ModalityGranularity::Step => whole.steps * whole.samples,
            ModalityGranularity::BatchStep => whole.steps,
        };
        let first = match training.modality_draw {
            ModalityDraw::Shared | ModalityDraw::Exclusive => 0,
            ModalityDraw::Independent => modality * units,
        };
        let taken = |index: usize| parts.uniform(index as u32) < training.modality_fraction;
        let kept = self.kept();
        let mut values = out.iter_mut();
        for step in 0..shape.steps {
            for sample in 0..shape.samples {
                let unit = match training.modality_granularity {
                    ModalityGranularity::Batch => 0,
                    ModalityGranularity::Sample => sample,
                    ModalityGranularity::Step => step * whole.samples + sample,
                    ModalityGranularity::BatchStep => step,
                };
                let dropped = !self.dropping.is_empty()
                    && self.dropping.contains(&drops.uniform((first + unit) as u32));
                for (feature, value) in (0..shape.features).zip(&mut values) {
                    let absent = dropped
                        && match training.modality_part {
                            ModalityPart::All => true,
                            ModalityPart::Features => taken(unit * whole.features + feature),
                            ModalityPart::Steps => taken(unit * whole.steps + step),
                        };
                    *value = if absent { 0.0 } else { kept };
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
        modality: usize,
        probability: f64,
        step: u32,
    ) -> (MaskShape, Vec<f32>) {
        // An exclusive draw has room for one level of 1.
        let levels = match training.modality_draw {
            Exclusive => {
                [0.0, 1.0, 2.0].map(|other| if other == modality as f64 { probability } else { 0.0 })
            }
            Shared | Independent => [0.0, probability, probability],
        };
        let presence = Presence::new(training, &levels, 3, (1 + step / 100, step % 100), modality);
        let shape = presence.shape(WHOLE);
        let mut out = vec![f32::NAN; shape.len()];
        presence.fill(WHOLE, shape, &mut out);
        // In a larger mask the same values are repeated.
        let mut spread = vec![f32::NAN; WHOLE.len()];
        presence.fill(WHOLE, WHOLE, &mut spread);
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

    use ModalityDraw::{Exclusive, Independent, Shared};
    use ModalityGranularity::{Batch, BatchStep, Sample, Step};
    use ModalityPart::{All, Features, Steps};

    #[test]
    fn a_shared_draw_drops_equal_levels_together_and_independent_draws_apart() {
        for granularity in [Batch, Sample, Step, BatchStep] {
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
        for granularity in [Batch, Sample, Step, BatchStep] {
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
        assert_eq!(shape(BatchStep, All), (5, 1, 1));
        assert_eq!(shape(BatchStep, Features), (5, 1, 6));
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

    #[derive(Clone, serde::Deserialize)]
    struct Case {
        draw: ModalityDraw,
        granularity: ModalityGranularity,
        part: ModalityPart,
        modality: usize,
        seed: u64,
        epoch: u32,
        step: u32,
        probability: f64,
        fraction: f64,
        /// Of three modalities; without them the probability is that of the last two.
        levels: Option<[f64; 3]>,
        /// Number of epochs, first and last factor.
        anneal: Option<(u32, f64, f64)>,
        /// With rescaling, the factor of what is kept.
        kept: Option<f32>,
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
            let (modality_anneal_epochs, modality_anneal_start, modality_anneal_end) =
                case.anneal.unwrap_or((0, 0.0, 1.0));
            let training = TrainingSettings {
                modality_fraction: case.fraction,
                modality_rescale: case.kept.is_some(),
                modality_anneal_epochs,
                modality_anneal_start,
                modality_anneal_end,
                ..training(case.draw, case.granularity, case.part)
            };
            let Case { seed, epoch, step, modality, probability, .. } = *case;
            let levels = case.levels.unwrap_or([0.0, probability, probability]);
            let presence = Presence::new(&training, &levels, seed, (epoch, step), modality);
            let mut out = vec![f32::NAN; whole.len()];
            presence.fill(whole, whole, &mut out);
            let kept = case.kept.unwrap_or(1.0);
            assert!(out.iter().all(|value| [0.0, kept].contains(value)), "{kept}: {out:?}");
            let mask: String = out.iter().map(|value| if *value == 0.0 { '0' } else { '1' }).collect();
            let (draw, granularity, part) = (case.draw, case.granularity, case.part);
            assert_eq!(mask, case.mask, "{draw:?} {granularity:?} {part:?} of {modality}, step {step}");
            kinds.insert((mask.contains('0'), mask.contains('1')));
        }
        assert_eq!((cases.len(), kinds.len()), (240, 3), "whole, dropped and mixed masks all occur");
    }

    #[test]
    fn an_exclusive_draw_drops_at_most_one() {
        let training = training(Exclusive, Sample, All);
        let levels = [0.25, 0.0, 0.35, 0.4];
        let mut dropped = [0_u32; 4];
        for step in 0..2000 {
            let mut absent = [0_u32; 8];
            for (modality, dropped) in dropped.iter_mut().enumerate() {
                let presence = Presence::new(&training, &levels, 3, (1, step), modality);
                let mut out = [f32::NAN; 8];
                let shape = MaskShape { steps: 1, samples: 8, features: 1 };
                presence.fill(WHOLE, shape, &mut out);
                for (absent, value) in absent.iter_mut().zip(out) {
                    *absent += u32::from(value == 0.0);
                    *dropped += u32::from(value == 0.0);
                }
            }
            // These levels sum to 1, so that exactly one is dropped.
            assert_eq!(absent, [1; 8]);
        }
        for (dropped, level) in dropped.iter().zip(levels) {
            assert!((f64::from(*dropped) / 16_000.0 - level).abs() < 0.02, "{dropped} of 16000 for {level}");
        }
    }

    /// With one level an exclusive draw is a shared one.
    #[test]
    fn alone_a_modality_is_dropped_as_with_a_shared_draw() {
        for step in 0..50 {
            let masks = [Exclusive, Shared].map(|draw| {
                let training = training(draw, Step, Features);
                let presence = Presence::new(&training, &[0.0, 0.6, 0.0], 3, (1, step), 1);
                let mut out = vec![f32::NAN; WHOLE.len()];
                presence.fill(WHOLE, WHOLE, &mut out);
                out
            });
            assert_eq!(masks[0], masks[1]);
        }
    }

    #[test]
    fn rescaled_masks_average_to_one() {
        for (granularity, part) in [(Sample, All), (BatchStep, All), (Step, Features)] {
            let training =
                TrainingSettings { modality_rescale: true, ..training(Independent, granularity, part) };
            let (mut sum, mut all) = (0.0, 0);
            for step in 0..4000 {
                let (_, values) = mask(&training, 1, 0.6, step);
                sum += values.iter().map(|value| f64::from(*value)).sum::<f64>();
                all += values.len();
            }
            let mean = sum / all as f64;
            assert!((mean - 1.0).abs() < 0.03, "{granularity:?} {part:?}: {mean}");
            // Nothing is kept, and nothing is infinite.
            let always = TrainingSettings { modality_fraction: 1.0, ..training };
            assert!(mask(&always, 1, 1.0, 0).1.iter().all(|value| *value == 0.0));
        }
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
        for draw in [Shared, Independent, Exclusive] {
            for granularity in [Batch, Sample, Step, BatchStep] {
                let training = training(draw, granularity, All);
                let never = mask(&training, 1, 0.0, 7);
                assert_eq!(never, (MaskShape::ONE, vec![1.0]));
                assert!(mask(&training, 1, 1.0, 7).1.iter().all(|value| *value == 0.0));
            }
        }
    }
}
