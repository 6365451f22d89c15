//! The pointwise operations of one time step, in one pass over memory each.

use crate::host::vector::{sigmoid_and_tanh, sigmoids, tanh, vectorized};

vectorized! {
    /// From the preactivations of the gates [B, 4H] without `bias` [4H], and the cell states before [B, H]: the
    /// activated gates, the cell states, their tanh and the outputs.
    pub(super) fn forward = forward_plain(
        gates: &mut [f32],
        bias: &[f32],
        before: &[f32],
        cell: &mut [f32],
        cell_tanh: &mut [f32],
        hidden: &mut [f32],
    )
}

#[inline(always)]
fn forward_plain(
    gates: &mut [f32],
    bias: &[f32],
    before: &[f32],
    cell: &mut [f32],
    cell_tanh: &mut [f32],
    hidden: &mut [f32],
) {
    let h = bias.len() / 4;
    let [bias_i, bias_f, bias_g, bias_o] = quarters(bias);
    let rows = gates.chunks_exact_mut(4 * h).zip(before.chunks_exact(h));
    let results = cell.chunks_exact_mut(h).zip(cell_tanh.chunks_exact_mut(h)).zip(hidden.chunks_exact_mut(h));
    for ((gates, before), ((cell, cell_tanh), hidden)) in rows.zip(results) {
        let [i, f, g, o] = quarters_mut(gates);
        for j in 0..h {
            [i[j], f[j]] = sigmoids(i[j] + bias_i[j], f[j] + bias_f[j]);
            [o[j], g[j]] = sigmoid_and_tanh(o[j] + bias_o[j], g[j] + bias_g[j]);
            cell[j] = f[j].mul_add(before[j], i[j] * g[j]);
            cell_tanh[j] = tanh(cell[j]);
            hidden[j] = o[j] * cell_tanh[j];
        }
    }
}

vectorized! {
    /// From the values of the forward pass, the gradient of the outputs `dhidden` [B, H] and the one that arrives at
    /// the cell states, `carried` [B, H]: the gradients of the gates' preactivations `dgates` [B, 4H], which are also
    /// added to `dbias` [4H], and in `carried` the gradient of the cell states before.
    pub(super) fn backward = backward_plain(
        gates: &[f32],
        before: &[f32],
        cell_tanh: &[f32],
        dhidden: &[f32],
        carried: &mut [f32],
        dgates: &mut [f32],
        dbias: &mut [f32],
    )
}

#[inline(always)]
fn backward_plain(
    gates: &[f32],
    before: &[f32],
    cell_tanh: &[f32],
    dhidden: &[f32],
    carried: &mut [f32],
    dgates: &mut [f32],
    dbias: &mut [f32],
) {
    let h = dbias.len() / 4;
    let [bias_i, bias_f, bias_g, bias_o] = quarters_mut(dbias);
    let rows = gates.chunks_exact(4 * h).zip(before.chunks_exact(h)).zip(cell_tanh.chunks_exact(h));
    let gradients = dhidden.chunks_exact(h).zip(carried.chunks_exact_mut(h));
    for (((gates, before), cell_tanh), ((dhidden, carried), dgates)) in
        rows.zip(gradients.zip(dgates.chunks_exact_mut(4 * h)))
    {
        let [i, f, g, o] = quarters(gates);
        let [di, df, dg, dout] = quarters_mut(dgates);
        for j in 0..h {
            let (dh, ct) = (dhidden[j], cell_tanh[j]);
            let dcell = (dh * o[j]).mul_add(1.0 - ct * ct, carried[j]);
            di[j] = dcell * g[j] * (i[j] * (1.0 - i[j]));
            df[j] = dcell * before[j] * (f[j] * (1.0 - f[j]));
            dg[j] = dcell * i[j] * (1.0 - g[j] * g[j]);
            dout[j] = dh * ct * (o[j] * (1.0 - o[j]));
            carried[j] = dcell * f[j];
            bias_i[j] += di[j];
            bias_f[j] += df[j];
            bias_g[j] += dg[j];
            bias_o[j] += dout[j];
        }
    }
}

vectorized! {
    /// Adds values at the same places.
    pub(super) fn add = add_plain(sums: &mut [f32], values: &[f32])
}

#[inline(always)]
fn add_plain(sums: &mut [f32], values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

/// The gates i, f, g, o of a row, each of a length that the compiler sees to be the same.
#[inline(always)]
fn quarters(row: &[f32]) -> [&[f32]; 4] {
    let h = row.len() / 4;
    let (left, right) = row.split_at(2 * h);
    [&left[..h], &left[h..][..h], &right[..h], &right[h..][..h]]
}

#[inline(always)]
fn quarters_mut(row: &mut [f32]) -> [&mut [f32]; 4] {
    let h = row.len() / 4;
    let (left, right) = row.split_at_mut(2 * h);
    let (i, f) = left.split_at_mut(h);
    let (g, o) = right.split_at_mut(h);
    [i, f, &mut g[..h], &mut o[..h]]
}
