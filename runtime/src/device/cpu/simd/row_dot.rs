//! One row of a batch (decoding): each row of the matrix is read once, as it lies in the file, and multiplied lane by lane
//! along its length. What limits this is the speed of memory.

use std::ops::Range;

use super::Simd8;
use super::acts::{Acts, ActsStep, SCALED, SIDE, STEP, place};
use crate::device::cpu::mat_mul::MatMul;
use crate::quant::layout::{MAX_GROUPS, Packed, u32_at};

/// Matrix rows whose results are written together.
const ROWS: usize = 16;

/// The first row of the batch times some rows of the matrix.
#[inline(always)]
pub(super) fn mat_mul<S: Simd8, P: Packed>(s: S, m: &MatMul<'_>, rows: Range<usize>) {
    for first in rows.clone().step_by(ROWS) {
        let count = ROWS.min(rows.end - first);
        let mut y = [0.0; ROWS];
        for i in 0..count {
            y[i] = row::<S, P>(s, m.row(first + i), m.acts, m.from);
        }
        m.put(0, first, &y[..count]);
    }
}

/// The sums that make up one result.
struct Sums<S: Simd8> {
    /// scale * q * a, of even and odd sub-blocks (two chains of additions hide each other's latency).
    products: [S::F; 2],
    /// What min and bias add.
    offsets: S::F,
    /// What they add in the last blocks.
    rest: f32,
}

#[inline(always)]
fn row<S: Simd8, P: Packed>(s: S, row: &[u8], acts: &Acts, t: usize) -> f32 {
    let mut sums = Sums { products: [s.zero(); 2], offsets: s.zero(), rest: 0.0 };
    let steps = row.chunks_exact(P::BYTES * (32 * STEP / P::LEN));
    let (rest, whole) = (steps.remainder(), steps.len());
    for (bytes, acts) in steps.zip(acts.steps::<P>(t)) {
        s.prefetch_after(bytes);
        add_step::<S, P, STEP>(s, bytes, acts, &mut sums);
    }
    if P::LEN < 32 * STEP && !rest.is_empty() {
        add_rest::<S, P>(s, rest, acts.steps::<P>(t).nth(whole).expect("rows are padded"), &mut sums);
    }
    s.sum(s.add(s.add(sums.products[0], sums.products[1]), sums.offsets)) + sums.rest
}

/// Adds `N` sub-blocks, all of a step or its first half.
#[inline(always)]
fn add_step<S: Simd8, P: Packed, const N: usize>(s: S, bytes: &[u8], acts: ActsStep<'_>, sums: &mut Sums<S>) {
    let (scale, min) = step_scales::<S, P>(s, bytes);
    if has_offsets::<S, P>(s) {
        for i in 0..(32 * N / P::GROUP).div_ceil(8) {
            sums.offsets = s.fma(min[i], s.load(&acts.sums[8 * i..]), sums.offsets);
        }
    }
    for at in (0..N).step_by(SIDE) {
        let [a, b, c, d] = s.spread(s.mul(scale[at / SIDE], s.load(&acts.scale[2 * at..])));
        // written out: compilers may leave a loop as one
        let [even, odd] = sums.products;
        let even = add_sub_block::<S, P>(s, bytes, acts, at, a, even);
        let odd = add_sub_block::<S, P>(s, bytes, acts, at + 1, b, odd);
        let even = add_sub_block::<S, P>(s, bytes, acts, at + 2, c, even);
        let odd = add_sub_block::<S, P>(s, bytes, acts, at + 3, d, odd);
        sums.products = [even, odd];
    }
}

/// sum + the products of sub-block `at` of a step, by their factors.
#[inline(always)]
fn add_sub_block<S: Simd8, P: Packed>(
    s: S,
    bytes: &[u8],
    acts: ActsStep<'_>,
    at: usize,
    factors: S::F,
    sum: S::F,
) -> S::F {
    let block = &bytes[P::BYTES * (32 * at / P::LEN)..][..P::BYTES];
    s.fma(dot::<S, P>(s, block, at % (P::LEN / 32), &acts.q[at]), factors, sum)
}

/// Scales of a step's halves of sub-blocks, as they lie in `Acts`, and mins of its groups; zeros beyond the end.
#[inline(always)]
fn step_scales<S: Simd8, P: Packed>(s: S, bytes: &[u8]) -> ([S::F; 2], [S::F; 2]) {
    if P::HEAD {
        let mut first = [0; STEP];
        first.iter_mut().zip(bytes.chunks_exact(P::BYTES)).for_each(|(first, block)| *first = u32_at(block, 0));
        let (scale, min) = s.heads(first, P::MIN);
        return (scale, [if P::MIN { min } else { s.mul(min, s.splat(-s.excess(P::BIAS))) }, s.zero()]);
    }
    let (mut scale, mut min) = ([0.0; 2 * STEP], [0.0; 2 * STEP]);
    for (b, block) in bytes.chunks_exact(P::BYTES).enumerate() {
        let (own_scale, own_min) = scales::<S, P>(s, block);
        for g in 0..P::LEN / P::GROUP {
            min[b * (P::LEN / P::GROUP) + g] = own_min[g];
        }
        for h in 0..P::LEN / SCALED {
            let half = b * (P::LEN / SCALED) + h;
            scale[place(half / 2, half % 2)] = own_scale[h * SCALED / P::GROUP];
        }
    }
    ([s.load(&scale), s.load(&scale[8..])], [s.load(&min), s.load(&min[8..])])
}

/// Adds the blocks that do not fill a step.
#[inline(always)]
fn add_rest<S: Simd8, P: Packed>(s: S, mut bytes: &[u8], acts: ActsStep<'_>, sums: &mut Sums<S>) {
    let (half, mut at) = (P::BYTES * (16 * STEP / P::LEN), 0);
    if bytes.len() >= half {
        add_step::<S, P, { STEP / 2 }>(s, &bytes[..half], acts, sums);
        (bytes, at) = (&bytes[half..], STEP / 2);
    }
    for block in bytes.chunks_exact(P::BYTES) {
        let (scale, min) = scales::<S, P>(s, block);
        if has_offsets::<S, P>(s) {
            (0..P::LEN / P::GROUP).for_each(|g| sums.rest += min[g] * acts.sums[at * 32 / P::GROUP + g]);
        }
        for j in 0..P::LEN / 32 {
            let factor = |half| scale[(2 * j + half) * SCALED / P::GROUP] * acts.scale[place(at + j, half)];
            let dot = dot::<S, P>(s, block, j, &acts.q[at + j]);
            sums.products[j % 2] = s.fma(dot, s.halves(factor(0), factor(1)), sums.products[j % 2]);
        }
        at += P::LEN / 32;
    }
}

/// The products of sub-block `j` of a block with activations, each lane's summed.
#[inline(always)]
fn dot<S: Simd8, P: Packed>(s: S, block: &[u8], j: usize, q: &[i32; 8]) -> S::F {
    let w = s.load_bytes(&P::quants(s, block, j));
    s.to_f(s.dot4(s.splat_i(0), w, s.load_i(q), P::BIAS == 128))
}

/// Scales of a block's groups, and their mins with the bias that `dot4` leaves.
#[inline(always)]
fn scales<S: Simd8, P: Packed>(s: S, block: &[u8]) -> ([f32; MAX_GROUPS], [f32; MAX_GROUPS]) {
    let (mut scale, mut min) = ([0.0; MAX_GROUPS], [0.0; MAX_GROUPS]);
    P::scales(s, block, &mut scale, &mut min);
    let excess = s.excess(P::BIAS);
    if excess != 0.0 {
        for g in 0..P::LEN / P::GROUP {
            min[g] -= excess * scale[g];
        }
    }
    (scale, min)
}

/// Whether `scales` gives any min.
#[inline(always)]
fn has_offsets<S: Simd8, P: Packed>(s: S) -> bool {
    P::MIN || s.excess(P::BIAS) != 0.0
}
