//! Loops over memory, compiled for the vectors of the processor.
//!
//! A loop is written once in plain Rust, and compiled for AVX-512, for AVX2 and (on 64-bit Arm) for NEON. Every value is
//! computed by the same operations in the same order whatever the width of the vectors, its place in memory and its
//! neighbours are. All sums of products are fused (FMA), so that the results are equal bit by bit on these processors.

/// Whether the processor has fused multiply-add, without which these loops would be slow.
pub(crate) fn is_supported() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    return cfg!(target_arch = "aarch64");
}

/// Defines a function that runs `$plain` compiled for the widest vectors of the processor.
macro_rules! vectorized {
    ($(#[$doc:meta])* $vis:vis fn $name:ident = $plain:ident($($argument:ident: $type:ty),* $(,)?)) => {
        $(#[$doc])*
        $vis fn $name($($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                fn avx512($($argument: $type),*) {
                    $plain($($argument),*);
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($argument: $type),*) {
                    $plain($($argument),*);
                }
                let has_avx512 = std::is_x86_feature_detected!("avx512f")
                    && std::is_x86_feature_detected!("avx512vl")
                    && std::is_x86_feature_detected!("avx512dq")
                    && std::is_x86_feature_detected!("avx512bw");
                if has_avx512 {
                    // SAFETY: the processor has the features that the function is compiled for.
                    return unsafe { avx512($($argument),*) };
                }
                if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
                    // SAFETY: as above.
                    return unsafe { avx2($($argument),*) };
                }
            }
            $plain($($argument),*);
        }
    };
}

pub(crate) use vectorized;

/// e^x, for x in [-86, 86] to 1 unit in the last place; others are taken as the nearer end, NaN stays NaN.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; a polynomial of degree 7 approximates e^r (coefficients of Cephes' `expf`).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // A float of this size has no bits for fractions: adding it rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    // Not `clamp`, so that LLVM takes one instruction for each; NaN passes both comparisons.
    let x = if x < -86.0 { -86.0 } else { x };
    let x = if x > 86.0 { 86.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, the first with few bits.
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    let p = 1.987_569_1e-4_f32.mul_add(r, 1.398_199_9e-3);
    let p = p.mul_add(r, 8.333_452e-3);
    let p = p.mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 0.166_666_66);
    let p = p.mul_add(r, 0.5);
    let e = p.mul_add(r * r, r) + 1.0;
    e * f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000))
}

/// The logistic function 1 / (1 + e^-x) of two numbers with one division, which takes as long as a dozen other operations; to 4 units in the
/// last place where it is at least 1e-18, and at least 1e-19 below.
#[inline(always)]
pub(crate) fn sigmoids(x: f32, y: f32) -> [f32; 2] {
    // The product of the denominators must not overflow.
    let (x, y) = (if x < -43.0 { -43.0 } else { x }, if y < -43.0 { -43.0 } else { y });
    let (a, b) = (1.0 + exp(-x), 1.0 + exp(-y));
    let both = 1.0 / (a * b);
    [b * both, a * both]
}

/// The logistic function of the first number and [`tanh`] of the second one, with one division and as exact as [`sigmoids`].
#[inline(always)]
pub(crate) fn sigmoid_and_tanh(x: f32, y: f32) -> [f32; 2] {
    let x = if x < -43.0 { -43.0 } else { x };
    let (a, b) = (1.0 + exp(-x), tanh_denominator(y));
    let both = 1.0 / (a * b);
    [b * both, tanh_with(y, a * both)]
}

/// The hyperbolic tangent, to 2 units in the last place: a polynomial near 0 (coefficients of Cephes' `tanhf`),
/// 1 - 2 / (e^2|x| + 1) elsewhere.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    tanh_with(x, 1.0 / tanh_denominator(x))
}

/// e^2|x| + 1, for |x| up to 21, where the tangent has long been 1.
#[inline(always)]
fn tanh_denominator(x: f32) -> f32 {
    let size = x.abs();
    exp(2.0 * if size > 21.0 { 21.0 } else { size }) + 1.0
}

#[inline(always)]
fn tanh_with(x: f32, inverse: f32) -> f32 {
    let far = (-2.0_f32).mul_add(inverse, 1.0).copysign(x);
    let s = x * x;
    let p = (-5.704_988_7e-3_f32).mul_add(s, 2.063_908_8e-2);
    let p = p.mul_add(s, -5.373_971_6e-2);
    let p = p.mul_add(s, 0.133_314_42);
    let p = p.mul_add(s, -0.333_332_8);
    let near = p.mul_add(s * x, x);
    if x.abs() < 0.625 { near } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance of a value from the exact one, in units in the last place of the latter.
    fn ulps(value: f32, exact: f64) -> f64 {
        let nearest = exact as f32;
        let unit = f64::from(f32::from_bits(nearest.abs().to_bits() + 1)) - f64::from(nearest.abs());
        (f64::from(value) - exact).abs() / unit
    }

    fn largest(of: fn(f32) -> f32, exact: fn(f64) -> f64, [first, last]: [f32; 2]) -> f64 {
        const COUNT: u32 = 1_000_003;
        let at = |i: u32| first + (last - first) * (i as f32 / COUNT as f32);
        (0..=COUNT).map(at).map(|x| ulps(of(x), exact(f64::from(x)))).fold(0.0, f64::max)
    }

    #[test]
    fn functions_are_as_exact_as_documented() {
        assert!(largest(exp, f64::exp, [-86.0, 86.0]) <= 1.0);
        let exact = |x: f64| 1.0 / (1.0 + (-x).exp());
        for range in [[-10.0, 10.0], [-0.7, 0.7], [-1e-3, 1e-3]] {
            for (of, limit) in [(tanh as fn(f32) -> f32, 2.0), (|y| sigmoid_and_tanh(1.0, y)[1], 2.0)] {
                let found = largest(of, f64::tanh, range);
                assert!(found <= limit, "{range:?}: {found}");
            }
        }
        let pairs: [fn(f32) -> f32; 5] = [
            |x| sigmoids(x, -1.0)[0],
            |x| sigmoids(-40.0, x)[1],
            |x| sigmoids(x, x)[0],
            |x| sigmoid_and_tanh(x, 0.7)[0],
            |x| sigmoid_and_tanh(x, -20.0)[0],
        ];
        for of in pairs {
            let found = largest(of, exact, [-41.0, 30.0]);
            assert!(found <= 4.0, "{found}");
        }
    }

    #[test]
    fn ends_and_what_is_no_number() {
        for (x, expected) in [(f32::INFINITY, 1.0), (f32::NEG_INFINITY, -1.0), (0.0, 0.0), (1e-30, 1e-30)] {
            assert_eq!(tanh(x), expected);
        }
        let [low, high] = sigmoids(-200.0, f32::INFINITY);
        assert!((0.0..1e-18).contains(&low) && high == 1.0, "{low} {high}");
        let [low, tangent] = sigmoid_and_tanh(f32::NEG_INFINITY, f32::INFINITY);
        assert!((0.0..1e-18).contains(&low) && tangent == 1.0, "{low} {tangent}");
        for nan in [f32::NAN, f32::from_bits(0x7fc0_0155), f32::from_bits(0xffff_ffff)] {
            assert!(exp(nan).is_nan() && tanh(nan).is_nan());
            assert!(sigmoids(nan, 0.0)[0].is_nan() && sigmoids(0.0, nan)[1].is_nan());
            assert!(sigmoid_and_tanh(nan, 0.0)[0].is_nan() && sigmoid_and_tanh(0.0, nan)[1].is_nan());
        }
    }
}
