//! Many rows of a batch (prefill): as many matrix rows as a vector has lanes are unpacked side by side into a panel, which
//! then serves every row of the batch; a lane never needs a neighbour, so nothing is added across lanes.

use std::ops::Range;

use super::acts::{Acts, SCALED, place};
use super::{Simd, enter, row_dot};
use crate::device::cpu::kernels::Scratch;
use crate::device::cpu::mat_mul::MatMul;
use crate::quant::layout::{MAX_GROUPS, Packed};

/// The kernel for types made of integers, with activations of 8 bits.
pub(super) fn mat_mul<S: Simd, P: Packed>(m: &MatMul<'_>, rows: Range<usize>, scratch: &mut Scratch) {
    if m.n > 1 {
        return many::<S, P>(m, rows, scratch);
    }
    enter::<S, _>(
        #[inline(always)]
        |s| row_dot::mat_mul::<S::Row, P>(s.row(), m, rows),
    )
}

fn many<S: Simd, P: Packed>(m: &MatMul<'_>, rows: Range<usize>, scratch: &mut Scratch) {
    for first in rows.clone().step_by(S::LANES) {
        let count = S::LANES.min(rows.end - first);
        enter::<S, _>(
            #[inline(always)]
            |s| pack::<S, P>(s, m, first, count, scratch),
        );
        match (P::GROUP, P::BIAS == 128) {
            (32, false) => tiles::<S, 32, false>(m, first, count, scratch),
            (32, true) => tiles::<S, 32, true>(m, first, count, scratch),
            (_, false) => tiles::<S, 16, false>(m, first, count, scratch),
            (_, true) => tiles::<S, 16, true>(m, first, count, scratch),
        }
    }
}

/// Unpacks `count` matrix rows into the scratch, one per lane: words of 4 quants [cols / 4][LANES], scales and mins
/// [cols / GROUP][LANES]. Missing rows repeat the last one.
#[inline(always)]
fn pack<S: Simd, P: Packed>(s: S, m: &MatMul<'_>, first: usize, count: usize, scratch: &mut Scratch) {
    let words: &mut [i32] = bytemuck::cast_slice_mut(&mut scratch.panel);
    let excess = s.excess(P::BIAS);
    let groups = P::LEN / P::GROUP;
    for lane in 0..S::LANES {
        for (b, block) in m.row(first + lane.min(count - 1)).chunks_exact(P::BYTES).enumerate() {
            let (mut scale, mut min) = ([0.0; MAX_GROUPS], [0.0; MAX_GROUPS]);
            P::scales(s, block, &mut scale, &mut min);
            for g in 0..groups {
                let at = (b * groups + g) * S::LANES + lane;
                scratch.scale[at] = scale[g];
                scratch.min[at] = min[g] - excess * scale[g];
            }
            for i in 0..P::LEN / 32 {
                let q: [i32; 8] = bytemuck::cast(P::quants(s, block, i));
                let out = &mut words[(b * P::LEN / 32 + i) * 8 * S::LANES..][..8 * S::LANES];
                (0..8).for_each(|k| out[k * S::LANES + lane] = q[k]);
            }
        }
    }
}

/// The panel times all rows of the batch.
fn tiles<S: Simd, const GROUP: usize, const WIDE: bool>(m: &MatMul<'_>, first: usize, count: usize, scratch: &Scratch) {
    let mut t = 0;
    while t < m.n {
        t += match m.n - t {
            8.. if S::TILE == 8 => tile::<S, GROUP, WIDE, 8>(m, t, first, count, scratch),
            4.. => tile::<S, GROUP, WIDE, 4>(m, t, first, count, scratch),
            _ => tile::<S, GROUP, WIDE, 1>(m, t, first, count, scratch),
        };
    }
}

/// The panel times the rows `t .. t + N` of the batch. Returns N.
fn tile<S: Simd, const GROUP: usize, const WIDE: bool, const N: usize>(
    m: &MatMul<'_>,
    t: usize,
    first: usize,
    count: usize,
    scratch: &Scratch,
) -> usize {
    enter::<S, _>(
        #[inline(always)]
        |s| {
            let sums = products::<S, GROUP, WIDE, N>(s, m.cols / 32, m.acts, m.from + t, scratch);
            for n in 0..N {
                let mut y = [0.0; 16];
                s.store(sums[n], &mut y);
                m.put(t + n, first, &y[..count]);
            }
        },
    );
    N
}

#[inline(always)]
fn products<S: Simd, const GROUP: usize, const WIDE: bool, const N: usize>(
    s: S,
    blocks: usize,
    acts: &Acts,
    t: usize,
    scratch: &Scratch,
) -> [S::F; N] {
    let words: &[i32] = bytemuck::cast_slice(&scratch.panel);
    let groups = 32 / GROUP;
    let all_sums = if GROUP == 32 { &acts.sum32 } else { &acts.sum16 };
    let q: [&[[i32; 8]]; N] = std::array::from_fn(|n| &acts.q[(t + n) * acts.stride..][..blocks]);
    let act_scale: [&[f32]; N] = std::array::from_fn(|n| &acts.scale[2 * (t + n) * acts.stride..][..2 * acts.stride]);
    let act_sum: [&[f32]; N] = std::array::from_fn(|n| &all_sums[(t + n) * acts.stride * groups..][..blocks * groups]);
    let mut sums = [s.zero(); N];
    for b in 0..blocks {
        let words = &words[b * 8 * S::LANES..][..8 * S::LANES];
        for g in 0..groups {
            let mut scaled = [s.zero(); N];
            for h in g * GROUP / SCALED..(g + 1) * GROUP / SCALED {
                let mut dots = [s.splat_i(0); N];
                for k in h * SCALED / 4..(h + 1) * SCALED / 4 {
                    let w = s.load_i(&words[k * S::LANES..]);
                    for n in 0..N {
                        dots[n] = s.dot4(dots[n], w, s.splat_i(q[n][b][k]), WIDE);
                    }
                }
                for n in 0..N {
                    scaled[n] = s.fma(s.to_f(dots[n]), s.splat(act_scale[n][place(b, h)]), scaled[n]);
                }
            }
            let group = b * groups + g;
            let scale = s.load(&scratch.scale[group * S::LANES..]);
            let min = s.load(&scratch.min[group * S::LANES..]);
            for n in 0..N {
                sums[n] = s.fma(scaled[n], scale, sums[n]);
                sums[n] = s.fma(min, s.splat(act_sum[n][group]), sums[n]);
            }
        }
    }
    sums
}
