//! Finds NaN and infinite values at the speed of memory.

/// Values per block: small enough to stay in the first-level cache for the second look at a bad block.
const BLOCK: usize = 4096;

/// The number of values that are NaN or infinite, and the index of the first.
pub(crate) fn non_finite(values: &[f32]) -> Option<(usize, usize)> {
    let mut count = 0;
    let mut first = None;
    for (block, values) in values.chunks(BLOCK).enumerate() {
        let bad = count_non_finite(values);
        if bad > 0 && first.is_none() {
            first = values.iter().position(|v| !v.is_finite()).map(|at| block * BLOCK + at);
        }
        count += bad;
    }
    first.map(|first| (count, first))
}

/// Integer arithmetic without branches, which the compiler turns into vector instructions.
fn count_non_finite(values: &[f32]) -> usize {
    const EXPONENT: u32 = 0x7f80_0000;
    values.iter().map(|v| u32::from(v.to_bits() & EXPONENT == EXPONENT)).sum::<u32>() as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_the_plain_loop(
            len in 0usize..3 * BLOCK,
            planted in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -0.0])), 0..6),
        ) {
            let mut values = vec![1.5f32; len];
            for (at, value) in planted.into_iter().filter(|_| len > 0) {
                values[at.index(len)] = value;
            }
            let count = values.iter().filter(|v| !v.is_finite()).count();
            let first = values.iter().position(|v| !v.is_finite());
            prop_assert_eq!(non_finite(&values), first.map(|first| (count, first)));
        }
    }
}
