//! The random bits of [`crate::random`], drawn by tensor operations on 32-bit integers: the same bits on every device.

use tch::Tensor;

/// [`Stream::bits`](crate::random::Stream::bits), given the indices combined with the first half of the key by exclusive
/// or, and the second half of the key.
pub(crate) fn bits(mut combined: Tensor, high: &Tensor) -> Tensor {
    mix(&mut combined);
    let _ = combined.g_add_(high);
    mix(&mut combined);
    combined
}

/// The finaliser of [`crate::random`], in place on 32-bit integers. Products wrap around, as there. A shift to the
/// right copies the sign bit; these copies are masked out.
fn mix(x: &mut Tensor) {
    let shifted = |x: &Tensor, by: i64| -> Tensor {
        x.bitwise_right_shift_tensor_scalar(by).bitwise_and_((1_i64 << (32 - by)) - 1)
    };
    for (by, factor) in [(16, Some(0x7feb_352d_u32)), (15, Some(0x846c_a68b)), (16, None)] {
        let _ = x.bitwise_xor_tensor_(&shifted(x, by));
        if let Some(factor) = factor {
            let _ = x.g_mul_scalar_(i64::from(factor.cast_signed()));
        }
    }
}
