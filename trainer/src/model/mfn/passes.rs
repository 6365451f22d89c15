//! The pointwise operations of the attention and the memory, in one pass over memory each.
//!
//! Rows may be parts of wider rows: then `stride` is the distance of two rows, and the slice starts at the first value
//! of the first row. A mask may be empty, which means that nothing is dropped.

use crate::host::vector::{exp, sigmoids, tanh, vectorized};

/// Sums and maxima of a row are computed in this many lanes whatever the width of the vectors, so that their order is
/// the same on all processors.
const LANES: usize = 16;

vectorized! {
    /// Adds `bias` to rows of this width, sets negative values to zero and multiplies by the mask.
    pub(super) fn activate = activate_plain(rows: &mut [f32], stride: usize, bias: &[f32], mask: &[f32])
}

#[inline(always)]
fn activate_plain(rows: &mut [f32], stride: usize, bias: &[f32], mask: &[f32]) {
    let width = bias.len();
    // A NaN stays one.
    let relu = |x: f32| if x < 0.0 { 0.0 } else { x };
    if mask.is_empty() {
        for row in rows.chunks_mut(stride) {
            for (x, bias) in row[..width].iter_mut().zip(bias) {
                *x = relu(*x + bias);
            }
        }
    } else {
        for (row, mask) in rows.chunks_mut(stride).zip(mask.chunks_exact(width)) {
            for ((x, bias), mask) in row[..width].iter_mut().zip(bias).zip(mask) {
                *x = relu(*x + bias) * mask;
            }
        }
    }
}

vectorized! {
    /// The backward pass of [`activate`]: from its results and their gradients, in `gradients` the gradients of its
    /// inputs, which are also added to `dbias`. A kept value is positive after the dropout if it was before.
    pub(super) fn arrive = arrive_plain(
        gradients: &mut [f32],
        results: &[f32],
        stride: usize,
        mask: &[f32],
        dbias: &mut [f32],
    )
}

#[inline(always)]
fn arrive_plain(gradients: &mut [f32], results: &[f32], stride: usize, mask: &[f32], dbias: &mut [f32]) {
    let width = dbias.len();
    let rows = gradients.chunks_mut(stride).zip(results.chunks(stride));
    if mask.is_empty() {
        for (gradients, results) in rows {
            let values = gradients[..width].iter_mut().zip(&results[..width]);
            for ((gradient, result), dbias) in values.zip(dbias.iter_mut()) {
                *gradient = if *result <= 0.0 { 0.0 } else { *gradient };
                *dbias += *gradient;
            }
        }
    } else {
        for ((gradients, results), mask) in rows.zip(mask.chunks_exact(width)) {
            let values = gradients[..width].iter_mut().zip(&results[..width]).zip(mask);
            for (((gradient, result), mask), dbias) in values.zip(dbias.iter_mut()) {
                *gradient = if *result <= 0.0 { 0.0 } else { *gradient * mask };
                *dbias += *gradient;
            }
        }
    }
}

vectorized! {
    /// From scores [N, A] without `bias` [A], and states [N, A]: the softmax of each row in place of the scores, and
    /// its product with the states. An entry of the softmax is exact to 4 units in the last place and one for each
    /// unit of the largest difference of a row's scores; one below e^-86 may be as large as this.
    pub(super) fn attend = attend_plain(scores: &mut [f32], bias: &[f32], states: &[f32], attended: &mut [f32])
}

#[inline(always)]
fn attend_plain(scores: &mut [f32], bias: &[f32], states: &[f32], attended: &mut [f32]) {
    let width = bias.len();
    let rows = scores.chunks_exact_mut(width).zip(states.chunks_exact(width));
    for ((scores, states), attended) in rows.zip(attended.chunks_exact_mut(width)) {
        let mut largest = [f32::NEG_INFINITY; LANES];
        for (scores, bias) in scores.chunks_mut(LANES).zip(bias.chunks(LANES)) {
            for ((score, bias), largest) in scores.iter_mut().zip(bias).zip(&mut largest) {
                *score += bias;
                *largest = if *score > *largest { *score } else { *largest };
            }
        }
        let largest = largest.into_iter().fold(f32::NEG_INFINITY, f32::max);
        let mut sums = [0.0; LANES];
        for scores in scores.chunks_mut(LANES) {
            for (score, sum) in scores.iter_mut().zip(&mut sums) {
                *score = exp(*score - largest);
                *sum += *score;
            }
        }
        let inverse = 1.0 / sums.into_iter().sum::<f32>();
        for ((score, state), attended) in scores.iter_mut().zip(states).zip(attended) {
            *score *= inverse;
            *attended = *score * state;
        }
    }
}

vectorized! {
    /// The backward pass of [`attend`]: from the softmax, the states and the gradient of the attended states, the
    /// gradient of the scores, which is also added to `dbias`, and in `dstates` what of the gradient reaches the
    /// states directly.
    pub(super) fn attend_backward = attend_backward_plain(
        softmax: &[f32],
        states: &[f32],
        dstates: &mut [f32],
        dscores: &mut [f32],
        dbias: &mut [f32],
    )
}

#[inline(always)]
fn attend_backward_plain(
    softmax: &[f32],
    states: &[f32],
    dstates: &mut [f32],
    dscores: &mut [f32],
    dbias: &mut [f32],
) {
    let width = dbias.len();
    let values = softmax.chunks_exact(width).zip(states.chunks_exact(width));
    let gradients = dstates.chunks_exact_mut(width).zip(dscores.chunks_exact_mut(width));
    for ((softmax, states), (dstates, dscores)) in values.zip(gradients) {
        let mut sums = [0.0; LANES];
        let lanes = softmax.chunks(LANES).zip(states.chunks(LANES));
        let lanes = lanes.zip(dstates.chunks_mut(LANES).zip(dscores.chunks_mut(LANES)));
        for ((softmax, states), (dstates, dscores)) in lanes {
            let values = softmax.iter().zip(states).zip(dstates.iter_mut().zip(dscores));
            for (((softmax, state), (dstate, dscore)), sum) in values.zip(&mut sums) {
                // What arrives at the softmax, times the softmax.
                *dstate *= softmax;
                *dscore = *dstate * state;
                *sum += *dscore;
            }
        }
        let sum: f32 = sums.into_iter().sum();
        for ((dscore, softmax), dbias) in dscores.iter_mut().zip(softmax).zip(dbias.iter_mut()) {
            *dscore = (-sum).mul_add(*softmax, *dscore);
            *dbias += *dscore;
        }
    }
}

vectorized! {
    /// One step of the memory, [B, M] everywhere: from the preactivations of `keep`, `take` and `candidate` without
    /// their biases and the memory before, their activations and the memory.
    pub(super) fn update = update_plain(
        keep: &mut [f32],
        take: &mut [f32],
        candidate: &mut [f32],
        biases: [&[f32]; 3],
        before: &[f32],
        memory: &mut [f32],
    )
}

#[inline(always)]
fn update_plain(
    keep: &mut [f32],
    take: &mut [f32],
    candidate: &mut [f32],
    biases: [&[f32]; 3],
    before: &[f32],
    memory: &mut [f32],
) {
    let m = biases[0].len();
    let biases = biases.map(|bias| &bias[..m]);
    let gates = keep.chunks_exact_mut(m).zip(take.chunks_exact_mut(m));
    let rows = candidate.chunks_exact_mut(m).zip(before.chunks_exact(m)).zip(memory.chunks_exact_mut(m));
    for ((keep, take), ((candidate, before), memory)) in gates.zip(rows) {
        for j in 0..m {
            [keep[j], take[j]] = sigmoids(keep[j] + biases[0][j], take[j] + biases[1][j]);
            candidate[j] = tanh(candidate[j] + biases[2][j]);
            memory[j] = keep[j].mul_add(before[j], take[j] * candidate[j]);
        }
    }
}

vectorized! {
    /// The backward pass of [`update`]: from its results and the gradient of the memory, the gradients of the
    /// preactivations (in the order keep, take, candidate), which are also added to `dbiases`, and in `dmemory` the
    /// part of the gradient of the memory before that does not pass the gates.
    pub(super) fn update_backward = update_backward_plain(
        values: [&[f32]; 3],
        before: &[f32],
        dmemory: &mut [f32],
        gradients: [&mut [f32]; 3],
        dbiases: [&mut [f32]; 3],
    )
}

#[inline(always)]
fn update_backward_plain(
    values: [&[f32]; 3],
    before: &[f32],
    dmemory: &mut [f32],
    gradients: [&mut [f32]; 3],
    dbiases: [&mut [f32]; 3],
) {
    let m = dbiases[0].len();
    let dbiases = dbiases.map(|dbias| &mut dbias[..m]);
    let [keep, take, candidate] = values.map(|values| values.chunks_exact(m));
    let [dkeep, dtake, dcandidate] = gradients.map(|gradients| gradients.chunks_exact_mut(m));
    let rows = keep.zip(take).zip(candidate).zip(before.chunks_exact(m));
    let gradients = dkeep.zip(dtake).zip(dcandidate).zip(dmemory.chunks_exact_mut(m));
    for ((((keep, take), candidate), before), (((dkeep, dtake), dcandidate), dmemory)) in rows.zip(gradients)
    {
        for j in 0..m {
            let (d, k, t, c) = (dmemory[j], keep[j], take[j], candidate[j]);
            dkeep[j] = d * before[j] * (k * (1.0 - k));
            dtake[j] = d * c * (t * (1.0 - t));
            dcandidate[j] = d * t * (1.0 - c * c);
            dmemory[j] = d * k;
            dbiases[0][j] += dkeep[j];
            dbiases[1][j] += dtake[j];
            dbiases[2][j] += dcandidate[j];
        }
    }
}

/// Copies rows of `width` values between rows of these distances.
pub(super) fn copy(to: &mut [f32], to_stride: usize, from: &[f32], from_stride: usize, width: usize) {
    for (to, from) in to.chunks_mut(to_stride).zip(from.chunks(from_stride)) {
        to[..width].copy_from_slice(&from[..width]);
    }
}

vectorized! {
    /// Adds rows, which are parts of rows of this distance, to rows of `width` values that follow each other.
    pub(super) fn add = add_plain(to: &mut [f32], width: usize, from: &[f32], stride: usize)
}

#[inline(always)]
fn add_plain(to: &mut [f32], width: usize, from: &[f32], stride: usize) {
    for (to, from) in to.chunks_exact_mut(width).zip(from.chunks(stride)) {
        for (to, from) in to.iter_mut().zip(&from[..width]) {
            *to += from;
        }
    }
}
