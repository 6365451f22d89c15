//! Scaling features by the training part.

use std::ops::Range;

/// One split of a modality, which is scaled in place.
pub(crate) struct Part<'a> {
    /// [samples, steps, features].
    pub(crate) values: &'a mut [f32],
    /// The steps of each sample that are not padding.
    pub(crate) present: Vec<Range<usize>>,
}

/// Counts for the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scaled {
    /// Steps of the training part that counted.
    pub(crate) present: usize,
    /// Steps of the training part that are padding.
    pub(crate) padding: usize,
    /// Features that do not vary in training.
    pub(crate) constant: usize,
}

/// Scales every feature to mean 0 and standard deviation 1 over the present steps of the first part, the training part.
/// Padding stays 0. A feature that is constant in training carries no information and becomes 0.
pub(crate) fn standardize(parts: &mut [Part<'_>; 3], steps: usize, dim: usize) -> Scaled {
    let train = &parts[0];
    let present: usize = train.present.iter().map(ExactSizeIterator::len).sum();
    let count = present.max(1) as f64;
    let mut mean = vec![0.0; dim];
    each(train, steps, dim, |feature, value| mean[feature] += f64::from(value));
    mean.iter_mut().for_each(|sum| *sum /= count);
    // The second pass keeps precision where the mean is large beside the deviation.
    let mut variance = vec![0.0; dim];
    each(train, steps, dim, |feature, value| variance[feature] += (f64::from(value) - mean[feature]).powi(2));
    let scale: Vec<f64> = variance
        .iter()
        .zip(&mean)
        .map(|(sum, mean)| {
            let deviation = (sum / count).sqrt();
            // Because of rounding, the deviation of a constant feature may be slightly above 0.
            if deviation > 1e-9 * mean.abs() { 1.0 / deviation } else { 0.0 }
        })
        .collect();
    let padding = train.present.len() * steps - present;
    for part in parts.iter_mut() {
        for (sample, range) in part.values.chunks_exact_mut(steps * dim).zip(&part.present) {
            for step in sample[range.start * dim..range.end * dim].chunks_exact_mut(dim) {
                for (feature, value) in step.iter_mut().enumerate() {
                    *value = ((f64::from(*value) - mean[feature]) * scale[feature]) as f32;
                }
            }
        }
    }
    Scaled { present, padding, constant: scale.iter().filter(|scale| **scale == 0.0).count() }
}

fn each(part: &Part<'_>, steps: usize, dim: usize, mut see: impl FnMut(usize, f32)) {
    for (sample, range) in part.values.chunks_exact(steps * dim).zip(&part.present) {
        for step in sample[range.start * dim..range.end * dim].chunks_exact(dim) {
            for (feature, value) in step.iter().enumerate() {
                see(feature, *value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(ends: &[(usize, usize)]) -> Vec<Range<usize>> {
        ends.iter().map(|(start, end)| *start..*end).collect()
    }

    #[test]
    fn the_training_part_gets_mean_0_and_deviation_1_and_padding_stays() {
        // Two samples of three steps and two features; the first step of the first sample is padding.
        let mut train = [0.0, 0.0, 1.0, 7.0, 3.0, 7.0, 5.0, 7.0, 7.0, 7.0, 9.0, 7.0];
        let mut valid = [5.0, 8.0, 0.0, 0.0, 0.0, 0.0];
        let mut test = [5.0, 7.0, 5.0, 7.0, 9.0, 7.0];
        let scaled = standardize(
            &mut [
                Part { values: &mut train, present: ranges(&[(1, 3), (0, 3)]) },
                Part { values: &mut valid, present: ranges(&[(0, 1)]) },
                Part { values: &mut test, present: ranges(&[(0, 3)]) },
            ],
            3,
            2,
        );
        assert_eq!(scaled, Scaled { present: 5, padding: 1, constant: 1 });
        let deviation = 8.0_f32.sqrt();
        let expected = [
            0.0,
            0.0,
            -4.0 / deviation,
            0.0,
            -2.0 / deviation,
            0.0,
            0.0,
            0.0,
            2.0 / deviation,
            0.0,
            4.0 / deviation,
            0.0,
        ];
        for (value, expected) in train.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-6, "{train:?}");
        }
        assert_eq!(valid, [0.0; 6], "the mean is the training part's, and what is constant there is 0");
        assert!((test[4] - 4.0 / deviation).abs() < 1e-6);
    }

    #[test]
    fn a_part_that_trains_on_padding_alone_is_left_at_zero() {
        let (mut train, mut valid, mut test) = ([0.0; 2], [1.0; 2], [2.0; 2]);
        let scaled = standardize(
            &mut [
                Part { values: &mut train, present: ranges(&[(0, 0)]) },
                Part { values: &mut valid, present: ranges(&[(0, 2)]) },
                Part { values: &mut test, present: ranges(&[(0, 2)]) },
            ],
            2,
            1,
        );
        assert_eq!((scaled.present, scaled.constant), (0, 1));
        assert_eq!((train, valid, test), ([0.0; 2], [0.0; 2], [0.0; 2]));
    }
}
