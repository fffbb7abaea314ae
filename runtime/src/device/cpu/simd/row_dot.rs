//! One row of a batch (decoding): each row of the matrix is read once, as it lies in the file, and multiplied lane by lane
//! along its length. What limits this is the speed of memory.

use std::ops::Range;

use super::Simd8;
use super::acts::Acts;
use crate::device::cpu::mat_mul::MatMul;
use crate::quant::layout::{MAX_GROUPS, Packed};

/// Matrix rows whose results are written together.
const ROWS: usize = 16;
/// Sub-blocks of 32 weights whose scales are taken together.
const STEP: usize = 8;

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
}

#[inline(always)]
fn row<S: Simd8, P: Packed>(s: S, row: &[u8], acts: &Acts, from: usize) -> f32 {
    let from = from * acts.stride;
    let mut sums = Sums { products: [s.zero(); 2], offsets: s.zero() };
    let step_bytes = P::BYTES * (32 * STEP / P::LEN);
    let steps = row.chunks_exact(step_bytes);
    let (rest, whole) = (steps.remainder(), steps.len());
    for (step, bytes) in steps.enumerate() {
        s.prefetch_after(bytes);
        add_step::<S, P>(s, bytes, STEP, acts, from + step * STEP, &mut sums);
    }
    if !rest.is_empty() {
        add_step::<S, P>(s, rest, rest.len() / P::BYTES * (P::LEN / 32), acts, from + whole * STEP, &mut sums);
    }
    s.sum(s.add(s.add(sums.products[0], sums.products[1]), sums.offsets))
}

/// Adds `count` sub-blocks, which `bytes` holds, with the activations from block `at` on (these are padded to whole steps).
#[inline(always)]
fn add_step<S: Simd8, P: Packed>(s: S, bytes: &[u8], count: usize, acts: &Acts, at: usize, sums: &mut Sums<S>) {
    let (scale, min) = scales::<S, P>(s, bytes);
    let mut step = Step { bytes, q: &acts.q[at..][..STEP], scale };
    if P::GROUP == 32 {
        step.scale = std::array::from_fn(|h| scale[h / 2]);
    }
    for (scale, act_scale) in step.scale.chunks_exact_mut(8).zip(acts.scale[2 * at..][..2 * STEP].chunks_exact(8)) {
        s.store(s.mul(s.load(scale), s.load(act_scale)), scale);
    }
    if P::MIN || s.excess(P::BIAS) != 0.0 {
        let act_sums = if P::GROUP == 32 { &acts.sum32[at..] } else { &acts.sum16[2 * at..] };
        for g in (0..STEP * 32 / P::GROUP).step_by(8) {
            sums.offsets = s.fma(s.load(&min[g..]), s.load(&act_sums[g..]), sums.offsets);
        }
    }
    for j in (0..count / 2 * 2).step_by(2) {
        sums.products[0] = step.add::<S, P>(s, j, sums.products[0]);
        sums.products[1] = step.add::<S, P>(s, j + 1, sums.products[1]);
    }
    if count % 2 == 1 {
        sums.products[0] = step.add::<S, P>(s, count - 1, sums.products[0]);
    }
}

/// Up to STEP sub-blocks of weights and of activations.
struct Step<'a> {
    bytes: &'a [u8],
    q: &'a [[i32; 8]],
    /// Of weights times activations, for each half of a sub-block.
    scale: [f32; 2 * STEP],
}

impl Step<'_> {
    /// sum + the products of sub-block `j`.
    #[inline(always)]
    fn add<S: Simd8, P: Packed>(&self, s: S, j: usize, sum: S::F) -> S::F {
        let factor = s.halves(self.scale[2 * j], self.scale[2 * j + 1]);
        let block = &self.bytes[P::BYTES * (32 * j / P::LEN)..][..P::BYTES];
        let w = s.load_bytes(&P::quants(s, block, j % (P::LEN / 32)));
        let dot = s.dot4(s.splat_i(0), w, s.load_i(&self.q[j]), P::BIAS == 128);
        s.fma(s.to_f(dot), factor, sum)
    }
}

/// Scales of a step's groups, and their mins with the bias that `dot4` leaves; zeros beyond the end.
#[inline(always)]
fn scales<S: Simd8, P: Packed>(s: S, bytes: &[u8]) -> ([f32; MAX_GROUPS], [f32; MAX_GROUPS]) {
    let (mut scale, mut min) = ([0.0; MAX_GROUPS], [0.0; MAX_GROUPS]);
    let groups = P::LEN / P::GROUP;
    for (b, block) in bytes.chunks_exact(P::BYTES).enumerate() {
        let (mut own_scale, mut own_min) = ([0.0; MAX_GROUPS], [0.0; MAX_GROUPS]);
        P::scales(s, block, &mut own_scale, &mut own_min);
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
