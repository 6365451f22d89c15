//! A deterministic generator for simulations.

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Uniform in (0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) >> 11) as f64 / 9_007_199_254_740_992.0 + 5e-17
    }

    /// Standard normal (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Gamma with a whole number as its shape.
    fn gamma(&mut self, shape: u32) -> f64 {
        (0..shape).map(|_| -self.uniform().ln()).sum()
    }

    /// Beta with whole numbers as its shapes.
    pub(crate) fn beta(&mut self, a: u32, b: u32) -> f64 {
        let (a, b) = (self.gamma(a), self.gamma(b));
        a / (a + b)
    }

    /// The share of `n` samples that are right, each with probability `p`.
    pub(crate) fn share(&mut self, n: u32, p: f64) -> f64 {
        (0..n).filter(|_| self.uniform() < p).count() as f64 / f64::from(n)
    }
}
