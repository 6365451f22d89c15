//! Dropout masks.

use tch::{Kind, Tensor};

use super::{Kernels, batch::Draws};
use crate::{
    random::{MaskKeys, Purpose, Stream},
    tensor_bits,
};

/// Number of steps whose keys are copied to the device at once: more than most epochs have.
const KEYED_STEPS: u32 = 256;

/// One place of a network where values are dropped.
#[derive(Clone, Debug)]
pub(super) struct DropoutPlace {
    /// The purpose of the draws.
    pub(super) purpose: Purpose,
    /// Dropout probability of each member, in [0, 1).
    pub(super) probabilities: Vec<f64>,
    /// Shape of the dropped values of one member.
    pub(super) shape: [i64; 2],
}

/// Draws the masks of a network.
///
/// On the host each mask is a loop over memory. On a device the masks of one step are drawn together by tensor
/// operations on 32-bit integers, which give the same bits. The host sends only the keys of the draws, for hundreds
/// of steps at once, because each transfer waits for the device.
#[derive(Debug)]
pub(super) struct Dropout {
    kernels: Kernels,
    keyed: Option<Keyed>,
}

/// The keys on the device, and what the masks are computed from.
#[derive(Debug)]
struct Keyed {
    seeds: Vec<u64>,
    epochs: Vec<u32>,
    shapes: Vec<[i64; 2]>,
    first_step: u32,
    /// The halves of the keys: [steps, K, places] of 32-bit integers each.
    low: Tensor,
    high: Tensor,
    /// For each place, [K, 1]: the threshold from which values are kept, as a signed number, and the factor of kept
    /// values.
    thresholds: Vec<Tensor>,
    kept: Vec<Tensor>,
    /// For the values of all places side by side: the place, and the index within the place.
    place: Tensor,
    index: Tensor,
}

impl Dropout {
    pub(super) fn new(kernels: Kernels) -> Self {
        Self { kernels, keyed: None }
    }

    /// For each place a tensor [K, shape...] of 0 or 1 / (1 - p), of the kind of `like` and on its device; None if no
    /// member uses dropout there.
    pub(super) fn masks(
        &mut self,
        places: &[DropoutPlace],
        draws: &Draws<'_>,
        like: &Tensor,
    ) -> Vec<Option<Tensor>> {
        let host = |place: &DropoutPlace| draws.mask(place.purpose, &place.probabilities, &place.shape, like);
        match self.kernels {
            Kernels::InMemory | Kernels::InPlace => places.iter().map(host).collect(),
            Kernels::Fused => self.device_masks(places, draws, like),
        }
    }

    fn device_masks(
        &mut self,
        places: &[DropoutPlace],
        draws: &Draws<'_>,
        like: &Tensor,
    ) -> Vec<Option<Tensor>> {
        let drops = |place: &DropoutPlace| place.probabilities.iter().any(|&p| p != 0.0);
        let dropping: Vec<&DropoutPlace> = places.iter().filter(|place| drops(place)).collect();
        if dropping.is_empty() {
            return places.iter().map(|_| None).collect();
        }
        let keyed = match self.keyed.take().filter(|keyed| keyed.covers(&dropping, draws)) {
            Some(keyed) => keyed,
            None => Keyed::new(&dropping, draws, like),
        };
        let mut masks = keyed.masks(&dropping, draws.step, like).into_iter();
        self.keyed = Some(keyed);
        places.iter().map(|place| if drops(place) { masks.next() } else { None }).collect()
    }
}

impl Keyed {
    fn new(places: &[&DropoutPlace], draws: &Draws<'_>, like: &Tensor) -> Self {
        let Draws { seeds, epochs, step: first_step } = *draws;
        let device = like.device();
        let size = [i64::from(KEYED_STEPS), seeds.len() as i64, places.len() as i64];
        let mut keys = Vec::with_capacity(2 * size.iter().product::<i64>() as usize);
        for step in first_step..first_step.saturating_add(KEYED_STEPS) {
            for (&seed, &epoch) in seeds.iter().zip(epochs) {
                keys.extend(
                    places.iter().map(|place| Stream::new(seed, place.purpose, epoch, step).mask_keys()),
                );
            }
        }
        let half = |of: fn(&MaskKeys) -> i32| {
            let half: Vec<i32> = keys.iter().map(of).collect();
            Tensor::from_slice(&half).view([-1, size[1], size[2]]).to_device(device)
        };
        let (low, high) = (half(|keys| keys.low), half(|keys| keys.high));
        let column = |of: fn(f64) -> (i32, f32)| {
            let column = |place: &&DropoutPlace| place.probabilities.iter().map(|&p| of(p)).unzip();
            places.iter().map(column).collect::<Vec<(Vec<i32>, Vec<f32>)>>()
        };
        let (thresholds, kept) = column(Stream::mask_values)
            .into_iter()
            .map(|(thresholds, kept)| {
                let kept = Tensor::from_slice(&kept).to_kind(like.kind());
                (
                    Tensor::from_slice(&thresholds).unsqueeze(1).to_device(device),
                    kept.unsqueeze(1).to_device(device),
                )
            })
            .unzip();
        let counts: Vec<i64> = places.iter().map(|place| place.shape.iter().product()).collect();
        let options = (Kind::Int, device);
        let index: Vec<Tensor> = counts.iter().map(|&count| Tensor::arange(count, options)).collect();
        let numbers: Vec<Tensor> =
            (0..).zip(&counts).map(|(number, &count)| Tensor::full([count], number, options)).collect();
        Self {
            seeds: seeds.to_vec(),
            epochs: epochs.to_vec(),
            shapes: places.iter().map(|place| place.shape).collect(),
            first_step,
            low,
            high,
            thresholds,
            kept,
            place: Tensor::cat(&numbers, 0),
            index: Tensor::cat(&index, 0),
        }
    }

    /// Whether these are the keys of a step. The places with dropout and their probabilities change only with the
    /// members.
    fn covers(&self, places: &[&DropoutPlace], draws: &Draws<'_>) -> bool {
        let steps = self.first_step..self.first_step.saturating_add(KEYED_STEPS);
        steps.contains(&draws.step)
            && (self.seeds.as_slice(), self.epochs.as_slice()) == (draws.seeds, draws.epochs)
            && self.shapes.iter().eq(places.iter().map(|place| &place.shape))
    }

    /// The masks of a step, [K, shape...] each.
    fn masks(&self, places: &[&DropoutPlace], step: u32, like: &Tensor) -> Vec<Tensor> {
        let keys =
            |halves: &Tensor| halves.get(i64::from(step - self.first_step)).index_select(1, &self.place);
        let mut bits = tensor_bits::bits(keys(&self.low).bitwise_xor_tensor_(&self.index), &keys(&self.high));
        // Turning over the highest bit makes the order of signed numbers equal to the order of unsigned numbers.
        let _ = bits.bitwise_xor_(i64::from(i32::MIN));
        let mut first = 0;
        let mask = |(number, place): (usize, &&DropoutPlace)| {
            let [rows, width] = place.shape;
            let keep = bits.narrow(1, first, rows * width).ge_tensor(&self.thresholds[number]);
            first += rows * width;
            let mask = keep.to_kind(like.kind()) * &self.kept[number];
            mask.view([-1, rows, width])
        };
        places.iter().enumerate().map(mask).collect()
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// Equal bit by bit, over steps within and beyond the kept keys, and after a member has left.
    #[test]
    fn masks_drawn_on_a_device_are_those_drawn_on_the_host() {
        let places = |members: usize| {
            let place = |purpose, probabilities: &[f64], shape| DropoutPlace {
                purpose,
                probabilities: probabilities[..members].to_vec(),
                shape,
            };
            [
                place(Purpose::LayerDropout(0), &[0.5, 0.0, 0.999_999_999_9], [37, 8]),
                place(Purpose::LayerDropout(1), &[0.0; 3], [37, 8]),
                place(Purpose::HeadDropout, &[0.15, 0.9, 0.3], [5, 11]),
            ]
        };
        for kind in [Kind::Float, Kind::Double] {
            let like = Tensor::zeros([1], (kind, Device::Cpu));
            let (mut host, mut device) = (Dropout::new(Kernels::InPlace), Dropout::new(Kernels::Fused));
            let seeds = [7, u64::MAX, 123];
            for (members, epochs, step) in [
                (3, [1, 1, 9], 0),
                (3, [1, 1, 9], 1),
                (3, [1, 1, 9], 255),
                (3, [1, 1, 9], 300),
                (3, [2, 2, 10], 0),
                (2, [2, 2, 10], 1),
            ] {
                let draws = Draws { seeds: &seeds[..members], epochs: &epochs[..members], step };
                let places = places(members);
                let [expected, found] = [&mut host, &mut device].map(|d| d.masks(&places, &draws, &like));
                assert!(expected[1].is_none() && found[1].is_none());
                for number in [0, 2] {
                    let (expected, found) =
                        (expected[number].as_ref().unwrap(), found[number].as_ref().unwrap());
                    assert_eq!((found.size(), found.kind()), (expected.size(), kind));
                    assert!(found.equal(expected), "place {number}, step {step}, {kind:?}");
                    let dropped = found.eq(0.0).to_kind(Kind::Double).mean(None).double_value(&[]);
                    assert!((0.1..0.9).contains(&dropped), "{dropped}");
                }
            }
        }
    }
}
