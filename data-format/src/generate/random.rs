//! Random numbers that are the same on every machine.
//!
//! They use only integer arithmetic, and +, -, * and square root on f64, which IEEE 754 defines to the last bit.
//! Logarithms and cosines differ between the libraries of platforms, and so would a Box-Muller transform.

/// An independent stream of numbers, chosen by a key.
pub(crate) struct Stream {
    state: u64,
}

impl Stream {
    /// The stream of one purpose: equal parts give equal streams, other parts give unrelated ones.
    pub(crate) fn new(parts: &[u64]) -> Self {
        let state = parts.iter().fold(0, |state: u64, &part| mix(state.wrapping_add(GOLDEN) ^ mix(part)));
        Self { state }
    }

    /// 64 uniform bits: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Uniform in [0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform in 0..bound, which is small and positive.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // The bias is below bound / 2^53.
        (self.uniform() * bound as f64) as usize
    }

    /// Close to standard normal: the sum of twelve uniforms minus six (mean 0, variance 1, within +-6).
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mixer_is_splitmix64() {
        // The published first outputs for the seed 1234567.
        let mut stream = Stream { state: 1_234_567 };
        assert_eq!(stream.next(), 6_457_827_717_110_365_317);
        assert_eq!(stream.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn normal_has_mean_0_and_variance_1() {
        let mut stream = Stream::new(&[7, 1]);
        let draws: Vec<f64> = (0..50_000).map(|_| stream.normal()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((variance - 1.0).abs() < 0.03, "{variance}");
    }

    #[test]
    fn other_keys_give_other_streams() {
        let first = |parts: &[u64]| Stream::new(parts).next();
        assert_eq!(first(&[1, 2]), first(&[1, 2]));
        assert_ne!(first(&[1, 2]), first(&[2, 1]));
        assert_ne!(first(&[1]), first(&[1, 0]));
    }
}
