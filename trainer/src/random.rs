//! Random numbers without state.
//!
//! Every draw of a training run is a function of (seed, purpose, epoch, step, index) and of nothing else. It does not
//! depend on earlier draws, on the cohort of the member, on the device, or on interruptions of the run. A [`Stream`]
//! is the function of the first four; its methods take the index.
//!
//! The four words are absorbed into a 64-bit key by splitmix64's finaliser (Steele, Lea, Flood 2014). A draw is two
//! rounds of the 32-bit finaliser `lowbias32` (Wellons 2018) over the index; one half of the key enters before each
//! round. This is not cryptography. It is fast, because it consists only of 32-bit multiplications, shifts and xors
//! that the compiler turns into vector instructions.

/// The purpose of a draw. Different purposes have unrelated streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The initial value of the parameter tensor with this number.
    Init(u32),
    /// The order of the training samples.
    Shuffle,
    /// The modalities that a batch drops.
    Modality,
    /// Dropout of the output of the recurrent layer with this number.
    LayerDropout(u32),
    /// Dropout within the head.
    HeadDropout,
    /// Dropout within the perceptron with this number of a Memory Fusion Network: NN1, NN2, gamma1, gamma2.
    PerceptronDropout(u32),
    /// The features or time steps that a partial drop of the modality with this number takes.
    ModalityPart(u32),
    /// The noise that replaces dropped values of the modality with this number.
    ModalityNoise(u32),
}

impl Purpose {
    fn code(self) -> u64 {
        let (kind, number) = match self {
            Self::Init(number) => (1, number),
            Self::Shuffle => (2, 0),
            Self::Modality => (3, 0),
            Self::LayerDropout(number) => (4, number),
            Self::HeadDropout => (5, 0),
            Self::PerceptronDropout(number) => (6, number),
            Self::ModalityPart(number) => (7, number),
            Self::ModalityNoise(number) => (8, number),
        };
        (kind << 32) | u64::from(number)
    }
}

/// The numbers of one (seed, purpose, epoch, step).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    low: u32,
    high: u32,
}

/// A stream's key as signed 32-bit integers, which is what tensors hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaskKeys {
    /// Used before the first round.
    pub(crate) low: i32,
    /// Used before the second round.
    pub(crate) high: i32,
}

/// The finaliser of splitmix64: a bijection in which every input bit reaches every output bit.
fn mix64(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The 32-bit finaliser.
#[inline(always)]
fn mix32(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

impl Stream {
    /// The stream for these coordinates. Without an epoch or step (at initialisation) they are 0.
    #[must_use]
    pub fn new(seed: u64, purpose: Purpose, epoch: u32, step: u32) -> Self {
        let position = (u64::from(epoch) << 32) | u64::from(step);
        let key = mix64(mix64(mix64(seed) ^ purpose.code()) ^ position);
        #[expect(clippy::cast_possible_truncation, reason = "the key is cut into its halves")]
        Self { low: key as u32, high: (key >> 32) as u32 }
    }

    /// 32 random bits.
    #[inline(always)]
    #[must_use]
    pub fn bits(self, index: u32) -> u32 {
        mix32(mix32(index ^ self.low).wrapping_add(self.high))
    }

    /// A number in [0, 1) with 53 random bits.
    #[must_use]
    pub fn uniform(self, index: u32) -> f64 {
        let index = index.wrapping_mul(2);
        let bits = (u64::from(self.bits(index)) << 32) | u64::from(self.bits(index.wrapping_add(1)));
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Fills `out` with numbers uniform in [-bound, bound), by position.
    pub fn fill_uniform(self, bound: f64, out: &mut [f32]) {
        for (index, value) in out.iter_mut().enumerate() {
            *value = ((2.0 * self.uniform(index as u32) - 1.0) * bound) as f32;
        }
    }

    /// The threshold of a dropout mask, below which bits are dropped, and the value of kept positions.
    fn threshold_and_kept(p: f64) -> (u32, f32) {
        ((p * 4_294_967_296.0).round().min(f64::from(u32::MAX)) as u32, (1.0 / (1.0 - p)) as f32)
    }

    /// The two halves of the key, for drawing bits by tensor operations.
    pub(crate) fn mask_keys(self) -> MaskKeys {
        MaskKeys { low: self.low.cast_signed(), high: self.high.cast_signed() }
    }

    /// Constants to make a mask from bits whose highest bit is turned over: the signed threshold and the value of
    /// kept positions.
    pub(crate) fn mask_values(p: f64) -> (i32, f32) {
        let (threshold, kept) = Self::threshold_and_kept(p);
        ((threshold ^ (1 << 31)).cast_signed(), kept)
    }

    /// Fills `out` with a dropout mask, by position: 0 with probability `p`, otherwise 1 / (1 - p). `p` is in [0, 1)
    /// and is rounded to a multiple of 2^-32.
    pub fn fill_mask(self, p: f64, out: &mut [f32]) {
        let (threshold, kept) = Self::threshold_and_kept(p);
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has the feature that the function is compiled for.
            unsafe { self.fill_mask_avx2(threshold, kept, out) };
            return;
        }
        self.fill_mask_plain(threshold, kept, out);
    }

    /// The plain loop, compiled for wider vectors than the oldest x86-64 has.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn fill_mask_avx2(self, threshold: u32, kept: f32, out: &mut [f32]) {
        self.fill_mask_plain(threshold, kept, out);
    }

    #[inline(always)]
    fn fill_mask_plain(self, threshold: u32, kept: f32, out: &mut [f32]) {
        for (index, value) in out.iter_mut().enumerate() {
            *value = if self.bits(index as u32) >= threshold { kept } else { 0.0 };
        }
    }

    /// A random order of `0..count` (Fisher and Yates).
    #[must_use]
    pub fn permutation(self, count: usize) -> Vec<i64> {
        let mut order: Vec<i64> = (0..count as i64).collect();
        for last in (1..count).rev() {
            // Scales 53 random bits instead of taking a remainder: the bias is below count / 2^53.
            let other = (self.uniform(last as u32) * (last + 1) as f64) as usize;
            order.swap(last, other.min(last));
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(seed: u64, purpose: Purpose, epoch: u32, step: u32) -> Stream {
        Stream::new(seed, purpose, epoch, step)
    }

    /// Published results depend on these values, so they must never change. They come from a second implementation,
    /// in Python.
    #[test]
    fn draws_are_pinned() {
        let s = stream(0, Purpose::Init(0), 0, 0);
        let t = stream(42, Purpose::LayerDropout(1), 7, 300);
        assert_eq!([s.bits(0), s.bits(1), s.bits(u32::MAX)], GOLDEN_S);
        assert_eq!([t.bits(0), t.bits(1), t.bits(115_199)], GOLDEN_T);
        assert_eq!(stream(1, Purpose::Shuffle, 0, 0).permutation(8), GOLDEN_ORDER);
        assert_eq!(stream(4, Purpose::Modality, 3, 2).uniform(0).to_bits(), GOLDEN_UNIFORM);
    }
    const GOLDEN_S: [u32; 3] = [0x287e_5b90, 0x38d7_2b9b, 0x3365_5081];
    const GOLDEN_T: [u32; 3] = [0x835d_577e, 0x7ada_b2f5, 0x5e64_b77a];
    const GOLDEN_ORDER: [i64; 8] = [7, 0, 1, 4, 2, 3, 5, 6];
    const GOLDEN_UNIFORM: u64 = 0x3fec_493c_60b1_f3f8;

    /// Chi-squared test over 256 bins and over each of the 32 bits.
    #[test]
    fn draws_are_uniform() {
        const N: u32 = 1 << 18;
        for seed in 0..8 {
            let s = stream(seed, Purpose::LayerDropout(0), 1, seed as u32);
            let mut bins = [0_u32; 256];
            let mut ones = [0_u32; 32];
            for index in 0..N {
                let bits = s.bits(index);
                bins[(bits >> 24) as usize] += 1;
                for (bit, count) in ones.iter_mut().enumerate() {
                    *count += (bits >> bit) & 1;
                }
            }
            let expected = f64::from(N) / 256.0;
            let chi: f64 = bins.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
            // 255 degrees of freedom: standard deviation 22.6; five of them to each side.
            assert!((142.0..368.0).contains(&chi), "seed {seed}: chi squared {chi}");
            for (bit, &count) in ones.iter().enumerate() {
                let z = (f64::from(count) - f64::from(N) / 2.0) / (f64::from(N) / 4.0).sqrt();
                assert!(z.abs() < 5.0, "seed {seed}, bit {bit}: {z} standard deviations");
            }
        }
    }

    /// Neighbouring coordinates are independent: the correlation of their uniform numbers is below five standard
    /// errors.
    #[test]
    fn coordinates_are_independent() {
        const N: u32 = 1 << 16;
        let base = stream(5, Purpose::LayerDropout(0), 2, 9);
        let others = [
            stream(6, Purpose::LayerDropout(0), 2, 9),
            stream(5, Purpose::LayerDropout(1), 2, 9),
            stream(5, Purpose::HeadDropout, 2, 9),
            stream(5, Purpose::PerceptronDropout(0), 2, 9),
            stream(5, Purpose::Init(0), 2, 9),
            stream(5, Purpose::LayerDropout(0), 3, 9),
            stream(5, Purpose::LayerDropout(0), 2, 10),
            stream(9, Purpose::LayerDropout(0), 5, 2),
        ];
        let center = |bits: u32| f64::from(bits) / 4_294_967_296.0 - 0.5;
        for (number, other) in others.iter().enumerate() {
            for lag in [0, 1, 7] {
                let sum: f64 = (0..N).map(|i| center(base.bits(i)) * center(other.bits(i + lag))).sum();
                let z = sum / (f64::from(N) / 144.0).sqrt();
                assert!(z.abs() < 5.0, "stream {number}, lag {lag}: {z}");
            }
        }
        // The same within one stream.
        for lag in [1, 2, 16] {
            let sum: f64 = (0..N).map(|i| center(base.bits(i)) * center(base.bits(i + lag))).sum();
            assert!((sum / (f64::from(N) / 144.0).sqrt()).abs() < 5.0, "lag {lag}");
        }
    }

    #[test]
    fn masks_keep_the_right_share_and_the_mean() {
        for p in [0.0, 0.15, 0.5, 0.9] {
            let mut mask = vec![0.0; 100_003];
            stream(3, Purpose::HeadDropout, 1, 1).fill_mask(p, &mut mask);
            let dropped = mask.iter().filter(|&&m| m == 0.0).count() as f64 / mask.len() as f64;
            assert!((dropped - p).abs() < 0.006, "p {p}: dropped {dropped}");
            let kept = (1.0 / (1.0 - p)) as f32;
            assert!(mask.iter().all(|&m| m == 0.0 || m == kept));
        }
    }

    /// The vector version and the plain one give the same mask.
    #[test]
    fn masks_do_not_depend_on_the_processor() {
        let s = stream(11, Purpose::LayerDropout(0), 4, 4);
        let (mut fast, mut plain) = (vec![0.0; 1001], vec![0.0; 1001]);
        s.fill_mask(0.5, &mut fast);
        s.fill_mask_plain(1 << 31, 2.0, &mut plain);
        assert_eq!(fast, plain);
    }

    #[test]
    fn permutations_hold_everything_once_and_put_it_anywhere() {
        let mut first = [0_u32; 10];
        for seed in 0..2000 {
            let order = stream(seed, Purpose::Shuffle, 0, 0).permutation(10);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<i64>>());
            first[order[0] as usize] += 1;
        }
        assert!(first.iter().all(|&n| (130..=270).contains(&n)), "{first:?}");
        assert!(stream(0, Purpose::Shuffle, 0, 0).permutation(0).is_empty());
    }
}
