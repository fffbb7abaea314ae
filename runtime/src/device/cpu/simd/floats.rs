//! Matrices with f32 activations: types made of plain numbers always, the others where exactness is asked for. Rows are
//! decoded into the scratch and multiplied as in `row_dot` (few rows of a batch) or `panel` (many).

use std::ops::Range;

use super::{Simd, enter};
use crate::device::cpu::kernels::Scratch;
use crate::device::cpu::mat_mul::MatMul;
use crate::quant::layout::Number;

/// Batches of fewer rows are not worth a panel.
const MIN_ROWS: usize = 4;

pub(super) fn mat_mul<S: Simd>(m: &MatMul<'_>, rows: Range<usize>, scratch: &mut Scratch) {
    if m.n >= MIN_ROWS { many::<S>(m, rows, scratch) } else { few::<S>(m, rows, scratch) }
}

/// The same for plain numbers: few rows need no scratch.
pub(super) fn numbers<S: Simd, N: Number>(m: &MatMul<'_>, rows: Range<usize>, scratch: &mut Scratch) {
    if m.n >= MIN_ROWS {
        return many::<S>(m, rows, scratch);
    }
    enter::<S, _>(
        #[inline(always)]
        |s| {
            for r in rows {
                for t in 0..m.n {
                    m.put(t, r, &[dot_numbers::<S, N>(s, m.row(r), &m.x[t * m.cols..][..m.cols])]);
                }
            }
        },
    )
}

/// w . x of encoded numbers w.
#[inline(always)]
fn dot_numbers<S: Simd, N: Number>(s: S, w: &[u8], x: &[f32]) -> f32 {
    let (chunks, rest) = x.as_chunks::<16>();
    let (whole, last) = w.split_at(16 * N::BYTES * chunks.len());
    let tail: f32 = last.chunks_exact(N::BYTES).zip(rest).map(|(w, x)| N::get(s, w) * x).sum();
    let mut sums = [s.zero(); 2];
    for (w, x) in whole.chunks_exact(16 * N::BYTES).zip(chunks) {
        s.prefetch_after(w);
        let w = N::sixteen(s, w);
        for i in (0..16).step_by(S::LANES) {
            sums[i / 8] = s.fma(s.load(&w[i..]), s.load(&x[i..]), sums[i / 8]);
        }
    }
    tail + s.sum(s.add(sums[0], sums[1]))
}

fn few<S: Simd>(m: &MatMul<'_>, rows: Range<usize>, scratch: &mut Scratch) {
    enter::<S, _>(
        #[inline(always)]
        |s| {
            let w = &mut scratch.row[..m.cols];
            for r in rows {
                s.prefetch_after(m.row(r));
                (m.decode)(m.row(r), w);
                for t in 0..m.n {
                    m.put(t, r, &[dot(s, w, &m.x[t * m.cols..][..m.cols])]);
                }
            }
        },
    )
}

/// w . x in four chains of additions per lane.
#[inline(always)]
fn dot<S: Simd>(s: S, w: &[f32], x: &[f32]) -> f32 {
    let step = 4 * S::LANES;
    let (ws, xs) = (w.chunks_exact(step), x.chunks_exact(step));
    let tail: f32 = ws.remainder().iter().zip(xs.remainder()).map(|(w, x)| w * x).sum();
    let mut sums = [s.zero(); 4];
    for (w, x) in ws.zip(xs) {
        for i in 0..4 {
            sums[i] = s.fma(s.load(&w[i * S::LANES..]), s.load(&x[i * S::LANES..]), sums[i]);
        }
    }
    tail + s.sum(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
}

fn many<S: Simd>(m: &MatMul<'_>, rows: Range<usize>, scratch: &mut Scratch) {
    for first in rows.clone().step_by(S::LANES) {
        let count = S::LANES.min(rows.end - first);
        enter::<S, _>(
            #[inline(always)]
            |_| pack::<S>(m, first, count, scratch),
        );
        let mut t = 0;
        while t < m.n {
            t += match m.n - t {
                8.. => tile::<S, 8>(m, t, first, count, scratch),
                4.. => tile::<S, 4>(m, t, first, count, scratch),
                _ => tile::<S, 1>(m, t, first, count, scratch),
            };
        }
    }
}

/// Decodes `count` matrix rows into the panel [cols][LANES]. Missing rows repeat the last one.
#[inline(always)]
fn pack<S: Simd>(m: &MatMul<'_>, first: usize, count: usize, scratch: &mut Scratch) {
    let panel: &mut [f32] = bytemuck::cast_slice_mut(&mut scratch.panel);
    let w = &mut scratch.row[..m.cols];
    for lane in 0..S::LANES {
        (m.decode)(m.row(first + lane.min(count - 1)), w);
        for (out, &w) in panel.chunks_exact_mut(S::LANES).zip(&*w) {
            out[lane] = w;
        }
    }
}

/// The panel times the rows `t .. t + N` of the batch. Returns N.
fn tile<S: Simd, const N: usize>(m: &MatMul<'_>, t: usize, first: usize, count: usize, scratch: &Scratch) -> usize {
    enter::<S, _>(
        #[inline(always)]
        |s| {
            let panel: &[f32] = bytemuck::cast_slice(&scratch.panel);
            let x: [&[f32]; N] = std::array::from_fn(|n| &m.x[(t + n) * m.cols..][..m.cols]);
            let mut sums = [s.zero(); N];
            for (i, w) in panel.chunks_exact(S::LANES).take(m.cols).enumerate() {
                let w = s.load(w);
                for n in 0..N {
                    sums[n] = s.fma(w, s.splat(x[n][i]), sums[n]);
                }
            }
            for n in 0..N {
                let mut y = [0.0; 16];
                s.store(sums[n], &mut y);
                m.put(t + n, first, &y[..count]);
            }
        },
    );
    N
}
