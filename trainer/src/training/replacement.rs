//! What replaces the values of modalities that are dropped or absent: the mean of each feature over the training split,
//! or noise around it.

use colearn_core::settings::ModalityReplacement;
use statrs::distribution::{ContinuousCDF, Normal};
use tch::{Kind, Tensor};

use super::{plan::Plan, source::DataSource};
use crate::{
    random::{Purpose, Stream},
    tensor_bits,
};

/// Number of equally probable values that stand for the normal distribution.
const QUANTILES: i64 = 1 << 16;

/// The mean and the standard deviation of every feature of a modality over all samples and time steps of the training
/// split, [D] each. Padding counts like any other value.
#[derive(Debug)]
pub(super) struct FeatureStatistics {
    pub(super) mean: Tensor,
    pub(super) deviation: Tensor,
}

impl FeatureStatistics {
    /// The statistics of rows of `width` values each, computed on the host in double precision.
    pub(super) fn of(values: &[f32], width: usize) -> Self {
        let rows = (values.len() / width.max(1)).max(1) as f64;
        let averaged = |term: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
            let mut sums = vec![0.0; width];
            for row in values.chunks_exact(width.max(1)) {
                for (feature, (sum, &value)) in sums.iter_mut().zip(row).enumerate() {
                    *sum += term(feature, f64::from(value));
                }
            }
            sums.into_iter().map(|sum| sum / rows).collect()
        };
        let mean = averaged(&|_, value| value);
        let variance = averaged(&|feature, value| (value - mean[feature]).powi(2));
        let deviation: Vec<f64> = variance.into_iter().map(f64::sqrt).collect();
        let [mean, deviation] =
            [mean, deviation].map(|values| Tensor::from_slice(&values).to_kind(Kind::Float));
        Self { mean, deviation }
    }
}

/// The quantiles (i + 1/2) / 65536 of the standard normal distribution. To look a normal number up in a table is exact
/// on every device, unlike logarithms and cosines.
pub(super) fn normal_quantiles() -> Tensor {
    let normal = Normal::standard();
    let quantile = |index: i64| normal.inverse_cdf((index as f64 + 0.5) / QUANTILES as f64) as f32;
    Tensor::from_slice(&(0..QUANTILES).map(quantile).collect::<Vec<f32>>())
}

/// The members' replacements for the values of one modality in a training batch.
pub(super) struct Fill {
    /// [K, 1, 1, D]: the mean; zero for members that do not replace.
    mean: Tensor,
    steps: i64,
    noise: Option<Noise>,
}

/// Normal numbers for the members that replace by noise.
struct Noise {
    /// [K, 1, 1, D]: the standard deviation; zero for members without noise.
    deviation: Tensor,
    quantiles: Tensor,
    /// The halves of the keys of the draws, [steps, K, 1] of 32-bit integers each.
    low: Tensor,
    high: Tensor,
}

impl Fill {
    /// For `steps` steps from the first on; `None` if no member replaces values of this modality.
    pub(super) fn new(
        source: &DataSource,
        plans: &[&Plan],
        epochs: &[u32],
        (first_step, steps): (u32, usize),
        modality: usize,
    ) -> Option<Self> {
        let of = |plan: &&Plan| plan.replacement(modality);
        if plans.iter().all(|plan| of(plan) == ModalityReplacement::Zero) {
            return None;
        }
        let statistics = source.statistics(modality);
        let replaced: Vec<bool> = plans.iter().map(|plan| of(plan) != ModalityReplacement::Zero).collect();
        let noisy: Vec<bool> = plans.iter().map(|plan| of(plan) == ModalityReplacement::Noise).collect();
        let noise = noisy.contains(&true).then(|| {
            let members = || plans.iter().zip(epochs);
            let keys: Vec<_> = (first_step..)
                .take(steps)
                .flat_map(|step| {
                    members().map(move |(plan, &epoch)| {
                        let purpose = Purpose::ModalityNoise(modality as u32);
                        Stream::new(plan.seed(), purpose, epoch, step).mask_keys()
                    })
                })
                .collect();
            let half = |half: Vec<i32>| {
                Tensor::from_slice(&half).view([-1, plans.len() as i64, 1]).to_device(source.device())
            };
            Noise {
                deviation: rows(&statistics.deviation, &noisy),
                quantiles: source.normal_quantiles().shallow_clone(),
                low: half(keys.iter().map(|keys| keys.low).collect()),
                high: half(keys.iter().map(|keys| keys.high).collect()),
            }
        });
        Some(Self { mean: rows(&statistics.mean, &replaced), steps: source.steps(), noise })
    }

    /// The values for the step of this number, counted from the first; of a shape that expands to
    /// [K, steps, samples, D].
    pub(super) fn values(&self, step: i64, samples: i64) -> Tensor {
        let Some(Noise { deviation, quantiles, low, high }) = &self.noise else {
            return self.mean.shallow_clone();
        };
        let [members, _, _, dim] = <[i64; 4]>::try_from(self.mean.size()).unwrap_or([1; 4]);
        let size = [members, self.steps, samples, dim];
        let index = Tensor::arange(size[1..].iter().product::<i64>(), (Kind::Int, quantiles.device()));
        let bits = tensor_bits::bits(low.get(step).bitwise_xor_tensor(&index), &high.get(step));
        // The upper 16 bits. The shift copies the sign, which is masked out.
        let upper = bits.bitwise_right_shift_tensor_scalar(16).bitwise_and_(QUANTILES - 1);
        let normal = quantiles.index_select(0, &upper.reshape([-1])).view(size);
        // One operation after the other: fused, they would round differently on some devices.
        (normal * deviation) + &self.mean
    }
}

/// [K, 1, 1, D]: these values for the marked members, zero for the others.
pub(super) fn rows(values: &Tensor, marked: &[bool]) -> Tensor {
    let none = values.zeros_like();
    let rows: Vec<&Tensor> = marked.iter().map(|marked| if *marked { values } else { &none }).collect();
    Tensor::stack(&rows, 0).unsqueeze(1).unsqueeze(1)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::training::evaluation::to_vec;

    #[derive(serde::Deserialize)]
    struct Fixture {
        steps: i64,
        samples: i64,
        features: i64,
        noise: Vec<Case>,
    }

    #[derive(serde::Deserialize)]
    struct Case {
        seed: u64,
        epoch: u32,
        step: u32,
        modality: u32,
        mean: Vec<f32>,
        deviation: Vec<f32>,
        values: Vec<f32>,
    }

    /// The numbers that `tests/parity/make_masks.py` computes one by one, bit by bit.
    #[test]
    fn noise_is_that_of_a_second_implementation() {
        let text = include_str!("../../tests/parity/fixtures/masks.json");
        let Fixture { steps, samples, features, noise } = serde_json::from_str(text).unwrap();
        for Case { seed, epoch, step, modality, mean, deviation, values } in noise {
            // Another member's draws stand beside it.
            let keys = [seed ^ 1, seed]
                .map(|seed| Stream::new(seed, Purpose::ModalityNoise(modality), epoch, step).mask_keys());
            let half = |half: [i32; 2]| Tensor::from_slice(&half).view([1, 2, 1]);
            let marked = [true, true];
            let fill = Fill {
                mean: rows(&Tensor::from_slice(&mean), &marked),
                steps,
                noise: Some(Noise {
                    deviation: rows(&Tensor::from_slice(&deviation), &marked),
                    quantiles: normal_quantiles(),
                    low: half(keys.map(|keys| keys.low)),
                    high: half(keys.map(|keys| keys.high)),
                }),
            };
            let found = fill.values(0, samples);
            assert_eq!(found.size(), [2, steps, samples, features]);
            assert_eq!(to_vec::<f32>(&found.get(1)), values);
            assert_ne!(to_vec::<f32>(&found.get(0)), values);
        }
    }

    #[test]
    fn the_quantiles_are_those_of_a_normal_number() {
        let table = normal_quantiles().to_kind(Kind::Double);
        let moment = |power: i64| table.pow_tensor_scalar(power).mean(None).double_value(&[]);
        assert!(moment(1).abs() < 1e-9 && moment(3).abs() < 1e-6);
        assert!(
            (moment(2) - 1.0).abs() < 1e-3 && (moment(4) - 3.0).abs() < 0.02,
            "{} {}",
            moment(2),
            moment(4)
        );
        // scipy.stats.norm.ppf(0.5 / 65536), and of 0.975.
        assert!((table.double_value(&[0]) + 4.324_919).abs() < 1e-5, "{}", table.double_value(&[0]));
        assert!((table.double_value(&[63_897]) - 1.959_94).abs() < 1e-3);
    }

    #[test]
    fn statistics_are_of_each_feature() {
        let values = [1.0, 10.0, 3.0, 10.0, 5.0, 10.0, 7.0, 10.0];
        let FeatureStatistics { mean, deviation } = FeatureStatistics::of(&values, 2);
        assert_eq!(to_vec::<f32>(&mean), [4.0, 10.0]);
        // numpy.std([1, 3, 5, 7]).
        assert_eq!(to_vec::<f32>(&deviation), [2.236_068, 0.0]);
        assert_eq!(mean.device(), Device::Cpu);
    }

    #[test]
    fn members_that_replace_nothing_get_zeros() {
        let mean = rows(&Tensor::from_slice(&[1.0_f32, 2.0]), &[true, false]);
        assert_eq!(mean.size(), [2, 1, 1, 2]);
        assert_eq!(to_vec::<f32>(&mean), [1.0, 2.0, 0.0, 0.0]);
    }
}
