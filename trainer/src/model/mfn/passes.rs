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
    /// its product with the states. The softmax is exact to 16 units in the last place where the scores of a row differ
    /// by at most 8.
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

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;

    /// Widths around the number of lanes.
    const WIDTHS: [usize; 5] = [1, 15, 16, 37, 384];
    const ROWS: usize = 5;

    fn numbers(seed: f32, len: usize) -> Vec<f32> {
        (0..len).map(|i| ((i as f32 + seed) * 1.7).sin() * 2.0).collect()
    }

    fn tensor(values: &[f32], width: usize) -> Tensor {
        Tensor::from_slice(values).view([-1, width as i64]).to_kind(Kind::Double)
    }

    fn assert_close(found: &[f32], expected: &Tensor) {
        let found = Tensor::from_slice(found).to_kind(Kind::Double);
        let difference = (found - expected.reshape([-1])).abs().max().double_value(&[]);
        assert!(difference < 2e-6, "{difference}");
    }

    fn assert_bits<const N: usize>(found: [&[f32]; N], expected: [&[f32]; N]) {
        for (found, expected) in found.into_iter().zip(expected) {
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(found), bits(expected));
        }
    }

    #[test]
    fn the_softmax_is_as_exact_as_documented() {
        for width in WIDTHS {
            let (scores, bias, states) =
                (numbers(0.0, ROWS * width), numbers(0.5, width), numbers(0.7, ROWS * width));
            let (mut found, mut attended) = (scores.clone(), vec![0.0; ROWS * width]);
            attend(&mut found, &bias, &states, &mut attended);
            // The sums in single precision are what both start from.
            let sums: Vec<f32> = scores.iter().zip(bias.iter().cycle()).map(|(x, b)| x + b).collect();
            let expected = tensor(&sums, width).softmax(-1, None::<Kind>);
            let exact = Vec::<f64>::try_from(expected.reshape([-1])).unwrap();
            for (found, exact) in found.iter().zip(exact) {
                assert!((f64::from(*found) / exact - 1.0).abs() < 16.0 * f64::from(f32::EPSILON) / 2.0);
            }
            assert_close(&attended, &(expected * tensor(&states, width)));
        }
    }

    #[test]
    fn the_backward_passes_are_autograds() {
        for width in WIDTHS {
            let new = |seed| numbers(seed, ROWS * width);
            let leaf = |values: &[f32]| tensor(values, width).set_requires_grad(true);
            // The attention.
            let (mut softmax, bias, states) = (new(0.0), vec![0.0; width], new(0.7));
            let (scores, state_leaf) = (leaf(&softmax), leaf(&states));
            let mut dstates = new(0.9);
            (scores.softmax(-1, None::<Kind>) * &state_leaf * tensor(&dstates, width))
                .sum(Kind::Double)
                .backward();
            let (mut dscores, mut dbias) = (new(0.0), bias.clone());
            attend(&mut softmax, &bias, &states, &mut dscores);
            attend_backward(&softmax, &states, &mut dstates, &mut dscores, &mut dbias);
            assert_close(&dstates, &state_leaf.grad());
            assert_close(&dscores, &scores.grad());
            assert_close(&dbias, &scores.grad().sum_dim_intlist(0_i64, false, None::<Kind>));
            // The memory.
            let [mut keep, mut take, mut candidate, before] = [0.1, 0.2, 0.3, 0.4].map(new);
            let leaves = [&keep, &take, &candidate, &before].map(|values| leaf(values));
            let [k, t, c, b] = &leaves;
            let after = k.sigmoid() * b + t.sigmoid() * c.tanh();
            let mut dmemory = new(0.5);
            (&after * tensor(&dmemory, width)).sum(Kind::Double).backward();
            let mut memory = new(0.0);
            update(&mut keep, &mut take, &mut candidate, [&bias; 3], &before, &mut memory);
            assert_close(&memory, &after.detach());
            let mut gradients = [(); 3].map(|()| vec![0.0; ROWS * width]);
            let mut dbiases = [(); 3].map(|()| bias.clone());
            update_backward(
                [&keep, &take, &candidate],
                &before,
                &mut dmemory,
                gradients.each_mut().map(|x| &mut x[..]),
                dbiases.each_mut().map(|x| &mut x[..]),
            );
            for ((gradient, dbias), leaf) in gradients.iter().zip(&dbiases).zip(&leaves) {
                assert_close(gradient, &leaf.grad());
                assert_close(dbias, &leaf.grad().sum_dim_intlist(0_i64, false, None::<Kind>));
            }
            assert_close(&dmemory, &b.grad());
        }
    }

    /// Parts of wider rows, with and without a mask; what is beside them stays.
    #[test]
    fn activations_and_their_gradients() {
        let (width, stride, first) = (5, 9, 2);
        for dropped in [false, true] {
            let mut rows = numbers(0.0, ROWS * stride);
            let part = |values: &[f32]| tensor(values, stride).narrow(1, first as i64, width as i64);
            let bias = numbers(0.3, width);
            let mask: Vec<f32> = (0..ROWS * width).map(|i| if i % 3 == 0 { 0.0 } else { 1.5 }).collect();
            let mask = if dropped { mask } else { Vec::new() };
            let factor = if dropped { tensor(&mask, width) } else { tensor(&[1.0; 25], width) };
            let (before, leaf) = (rows.clone(), part(&rows).copy().set_requires_grad(true));
            let result = (&leaf + Tensor::from_slice(&bias)).relu() * factor;
            activate(&mut rows[first..], stride, &bias, &mask);
            let found: Vec<f32> =
                rows.chunks(stride).flat_map(|row| &row[first..][..width]).copied().collect();
            assert_close(&found, &result.detach());
            let mut gradients = numbers(0.6, ROWS * stride);
            (&result * part(&gradients)).sum(Kind::Double).backward();
            let mut dbias = vec![0.0; width];
            arrive(&mut gradients[first..], &rows[first..], stride, &mask, &mut dbias);
            assert_close(&dbias, &leaf.grad().sum_dim_intlist(0_i64, false, None::<Kind>));
            let found: Vec<f32> =
                gradients.chunks(stride).flat_map(|row| &row[first..][..width]).copied().collect();
            assert_close(&found, &leaf.grad());
            for (now, before) in rows.chunks(stride).zip(before.chunks(stride)) {
                assert_eq!(
                    (&now[..first], &now[first + width..]),
                    (&before[..first], &before[first + width..])
                );
            }
        }
    }

    /// The bits are those of the same loops without wide vectors.
    #[test]
    fn bits_do_not_depend_on_the_width_of_vectors() {
        let width = 37;
        let new = |seed| numbers(seed, ROWS * width);
        let (bias, states) = (numbers(0.5, width), new(0.7));
        let [mut a, mut b] = [(); 2].map(|()| (new(0.0), new(1.0), new(2.0), bias.clone()));
        attend(&mut a.0, &bias, &states, &mut a.1);
        attend_plain(&mut b.0, &bias, &states, &mut b.1);
        assert_bits([&a.0, &a.1], [&b.0, &b.1]);
        attend_backward(&a.0, &states, &mut a.1, &mut a.2, &mut a.3);
        attend_backward_plain(&b.0, &states, &mut b.1, &mut b.2, &mut b.3);
        assert_bits([&a.1, &a.2, &a.3], [&b.1, &b.2, &b.3]);
        let [mut a, mut b] = [(); 2].map(|()| (new(0.1), new(0.2), new(0.3), new(0.4)));
        update(&mut a.0, &mut a.1, &mut a.2, [&bias; 3], &states, &mut a.3);
        update_plain(&mut b.0, &mut b.1, &mut b.2, [&bias; 3], &states, &mut b.3);
        assert_bits([&a.0, &a.1, &a.2, &a.3], [&b.0, &b.1, &b.2, &b.3]);
    }

    #[test]
    fn a_nan_stays_one() {
        let nan = f32::NAN;
        let mut row = [nan, -1.0, f32::INFINITY, 2.0];
        activate(&mut row, 2, &[0.0, 0.0], &[]);
        assert!(row[0].is_nan() && row[1..] == [0.0, f32::INFINITY, 2.0]);
        for bad in [nan, f32::INFINITY] {
            let (mut scores, mut attended) = ([0.0, bad, 1.0], [0.0; 3]);
            attend(&mut scores, &[0.0; 3], &[1.0; 3], &mut attended);
            assert!(scores[1].is_nan() && attended[1].is_nan());
        }
        let (mut gates, mut memory) = ([[nan], [0.0], [0.0]], [0.0]);
        let [keep, take, candidate] = &mut gates;
        update(keep, take, candidate, [&[0.0]; 3], &[1.0], &mut memory);
        assert!(memory[0].is_nan());
        let mut gradient = [nan];
        arrive(&mut gradient, &[1.0], 1, &[], &mut [0.0]);
        assert!(gradient[0].is_nan());
    }
}
