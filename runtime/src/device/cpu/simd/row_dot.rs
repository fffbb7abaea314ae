//! Few rows of a batch (decoding): each row of the matrix is read once, as it lies in the file, and multiplied lane by lane
//! along its length.

use std::ops::Range;

use super::Simd8;
use super::acts::Acts;
use crate::device::cpu::mat_mul::MatMul;
use crate::quant::layout::{MAX_GROUPS, Packed};

/// Matrix rows whose results are written together.
const ROWS: usize = 16;
/// Sub-blocks of 32 weights whose scales are taken together.
const STEP: usize = 8;

/// The rows `t .. t + N` of the batch times some rows of the matrix.
#[inline(always)]
pub(super) fn mat_mul<S: Simd8, P: Packed, const N: usize>(s: S, m: &MatMul<'_>, t: usize, rows: Range<usize>) {
    let mut first = rows.start;
    while first < rows.end {
        let count = ROWS.min(rows.end - first);
        let mut y = [[0.0; ROWS]; N];
        for i in 0..count {
            let dots = row::<S, P, N>(s, m.row(first + i), m.acts, t);
            (0..N).for_each(|n| y[n][i] = dots[n]);
        }
        (0..N).for_each(|n| m.put(t + n, first, &y[n][..count]));
        first += count;
    }
}

/// Sums of one matrix row's products with N rows of the batch.
struct Sums<S: Simd8, const N: usize> {
    /// scale * q * a, of even and odd sub-blocks (two chains of additions hide each other's latency).
    products: [[S::F; 2]; N],
    /// What min and bias add.
    offsets: [S::F; N],
}

#[inline(always)]
fn row<S: Simd8, P: Packed, const N: usize>(s: S, row: &[u8], acts: &Acts, t: usize) -> [f32; N] {
    let mut sums = Sums { products: [[s.zero(); 2]; N], offsets: [s.zero(); N] };
    let step = P::BYTES * (32 * STEP / P::LEN);
    let steps = row.chunks_exact(step);
    let rest = steps.remainder();
    let mut at: [usize; N] = std::array::from_fn(|n| (t + n) * acts.stride);
    for bytes in steps {
        add_step::<S, P, N>(s, bytes, STEP, acts, at, &mut sums);
        at.iter_mut().for_each(|at| *at += STEP);
    }
    if !rest.is_empty() {
        add_step::<S, P, N>(s, rest, rest.len() / P::BYTES * (P::LEN / 32), acts, at, &mut sums);
    }
    std::array::from_fn(|n| {
        let products = s.add(sums.products[n][0], sums.products[n][1]);
        s.sum(s.add(products, sums.offsets[n]))
    })
}

/// Adds `count` sub-blocks; `at[n]` is where their activations begin.
#[inline(always)]
fn add_step<S: Simd8, P: Packed, const N: usize>(
    s: S,
    bytes: &[u8],
    count: usize,
    acts: &Acts,
    at: [usize; N],
    sums: &mut Sums<S, N>,
) {
    let (scale, min) = scales::<S, P>(s, bytes);
    let per_block = 32 / P::GROUP;
    let mut scaled = [[0.0; STEP]; N];
    for n in 0..N {
        let act_scale = &acts.scale[at[n]..][..STEP];
        if per_block == 1 {
            s.store(s.mul(s.load(&scale[..STEP]), s.load(act_scale)), &mut scaled[n]);
        } else {
            scaled[n].copy_from_slice(act_scale);
        }
        if P::MIN || s.excess(P::BIAS) != 0.0 {
            let act_sums = if per_block == 1 { &acts.sum32[at[n]..] } else { &acts.sum16[2 * at[n]..] };
            for g in (0..STEP * per_block).step_by(8) {
                sums.offsets[n] = s.fma(s.load(&min[g..]), s.load(&act_sums[g..]), sums.offsets[n]);
            }
        }
    }
    for j in 0..count {
        let block = &bytes[P::BYTES * (32 * j / P::LEN)..][..P::BYTES];
        let q = s.load_bytes(&P::quants(block, j % (P::LEN / 32)));
        for n in 0..N {
            let a = s.load_i(&acts.q[at[n] + j]);
            let dot = s.to_f(s.dot4(s.splat_i(0), q, a, P::BIAS == 128));
            let factor = if per_block == 1 {
                s.splat(scaled[n][j])
            } else {
                s.mul(s.halves(scale[2 * j], scale[2 * j + 1]), s.splat(scaled[n][j]))
            };
            sums.products[n][j % 2] = s.fma(dot, factor, sums.products[n][j % 2]);
        }
    }
}

/// Scales of a step's groups, and their mins with the bias that `dot4` leaves; zeros beyond the end.
#[inline(always)]
fn scales<S: Simd8, P: Packed>(s: S, bytes: &[u8]) -> ([f32; MAX_GROUPS], [f32; MAX_GROUPS]) {
    let (mut scale, mut min) = ([0.0; MAX_GROUPS], [0.0; MAX_GROUPS]);
    let groups = P::LEN / P::GROUP;
    for (b, block) in bytes.chunks_exact(P::BYTES).enumerate() {
        let (mut own_scale, mut own_min) = ([0.0; MAX_GROUPS], [0.0; MAX_GROUPS]);
        P::scales(
            block,
            #[inline(always)]
            |bits| s.half(bits),
            &mut own_scale,
            &mut own_min,
        );
        for g in 0..groups {
            scale[b * groups + g] = own_scale[g];
            min[b * groups + g] = own_min[g];
        }
    }
    let excess = s.excess(P::BIAS);
    if excess != 0.0 {
        for g in 0..MAX_GROUPS {
            min[g] -= excess * scale[g];
        }
    }
    (scale, min)
}
