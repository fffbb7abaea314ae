//! Attention of a few query heads at once that share keys and values. Positions are taken in chunks with a running maximum
//! (Milakov and Gimelshein 2018), so memory does not grow with the context. Keys lie 16 positions side by side: a lane is a
//! position for scores, and a dimension for the weighted sum of values.

use std::ops::Range;

use half::f16;

use super::{Simd, enter, math};
use crate::device::KV_GROUP;
use crate::device::cpu::attention::Attention;
use crate::device::cpu::cache::{Cache, Element, KEYS, Ring, with_ring};
use crate::device::cpu::kernels::Scratch;

/// Positions per chunk, a multiple of `KEYS`.
const CHUNK: usize = 64;
/// Query heads per tile.
pub(in crate::device::cpu) const QUERIES: usize = 4;

pub(super) fn attention<S: Simd>(a: &Attention<'_>, kv_head: usize, rows: Range<usize>, scratch: &mut Scratch) {
    with_ring!(a.cache, Cache, ring => heads::<S, _>(a, ring, kv_head, rows, &mut scratch.heads))
}

/// All (row, head) pairs, some at a time.
fn heads<S: Simd, E: Element>(a: &Attention<'_>, ring: &Ring<E>, kv_head: usize, rows: Range<usize>, sums: &mut [f32]) {
    let group = a.group(kv_head);
    let all = rows.len() * group.len();
    let query = |i: usize| (rows.start + i / group.len(), group.start + i % group.len());
    for i in (0..all).step_by(QUERIES) {
        match all - i {
            1 => tile::<S, E, 1>(a, ring, kv_head, std::array::from_fn(|n| query(i + n)), sums),
            2 => tile::<S, E, 2>(a, ring, kv_head, std::array::from_fn(|n| query(i + n)), sums),
            3 => tile::<S, E, 3>(a, ring, kv_head, std::array::from_fn(|n| query(i + n)), sums),
            _ => tile::<S, E, 4>(a, ring, kv_head, std::array::from_fn(|n| query(i + n)), sums),
        }
    }
}

/// One (row, head).
type Query = (usize, usize);

fn tile<S: Simd, E: Element, const N: usize>(
    a: &Attention<'_>,
    ring: &Ring<E>,
    kv_head: usize,
    queries: [Query; N],
    sums: &mut [f32],
) {
    enter::<S, _>(
        #[inline(always)]
        |s| {
            let width = ring.shape.value_width;
            let sums = &mut sums[..N * width];
            sums.fill(0.0);
            let seen = queries.map(|(t, _)| a.visible(t));
            let all = seen[0].start..seen[N - 1].end; // rows are in order, so ranges are
            let q = queries.map(|(t, head)| a.q(t, head));
            let (mut max, mut total) = ([f32::NEG_INFINITY; N], [0.0; N]);
            let mut first = all.start / KEYS * KEYS;
            while first < all.end {
                let mut p = scores::<S, E, N>(s, ring, kv_head, first..all.end, q, a.plan.scale);
                for n in 0..N {
                    bend(a, &mut p[n], first, queries[n]);
                    let factor = softmax(&mut p[n], first, &seen[n], &mut max[n], &mut total[n]);
                    sums[n * width..][..width].iter_mut().for_each(|x| *x *= factor);
                }
                let positions = first.max(all.start)..all.end.min(first + CHUNK);
                if ring.shape.keys_only {
                    add_keys::<S, E, N>(s, ring, kv_head, positions, first, &p, sums);
                } else {
                    add_values::<S, E, N>(s, ring, kv_head, positions, first, &p, sums);
                }
                first += CHUNK;
            }
            for (n, (t, head)) in queries.into_iter().enumerate() {
                let sink = a.sink(head).map_or(0.0, |sink| math::exp(sink - max[n]));
                let inverse = 1.0 / (total[n] + sink);
                a.out(t, head).iter_mut().zip(&sums[n * width..]).for_each(|(out, x)| *out = x * inverse);
            }
        },
    )
}

/// Caps scores and changes them by the keys' distances, where the layer does so. The first score belongs to position `first`.
#[inline(always)]
fn bend(a: &Attention<'_>, p: &mut [f32; CHUNK], first: usize, (t, head): Query) {
    if let Some(cap) = a.plan.softcap {
        p.iter_mut().for_each(|p| *p = cap * math::tanh(*p / cap));
    }
    if a.plan.alibi.is_some() || a.relative.is_some() {
        let nearness = a.nearness(head);
        p.iter_mut().enumerate().for_each(|(i, p)| *p += nearness(a.pos + t, first + i));
    }
}

/// scale * q·k for a chunk of positions (those beyond the range's end are rubbish, and unread).
#[inline(always)]
fn scores<S: Simd, E: Element, const N: usize>(
    s: S,
    ring: &Ring<E>,
    kv_head: usize,
    positions: Range<usize>,
    q: [&[f32]; N],
    scale: f32,
) -> [[f32; CHUNK]; N] {
    let mut out = [[0.0; CHUNK]; N];
    let blocks = positions.len().min(CHUNK).div_ceil(KEYS);
    for block in 0..blocks {
        let (keys, scales) = ring.key_block(kv_head, positions.start + block * KEYS);
        for part in (0..KEYS).step_by(S::LANES) {
            let mut sums = [s.zero(); N];
            if E::SCALED {
                let groups = keys.chunks(E::UNITS * KEYS).zip(scales.chunks_exact(KEYS)).enumerate();
                for (g, (keys, scales)) in groups {
                    let group = dots::<S, E, N>(s, keys, part, &q, g * KV_GROUP);
                    let scale = s.load_half(&scales[part..]);
                    for n in 0..N {
                        sums[n] = s.fma(group[n], scale, sums[n]);
                    }
                }
            } else {
                sums = dots::<S, E, N>(s, keys, part, &q, 0);
            }
            for n in 0..N {
                s.store(s.mul(sums[n], s.splat(scale)), &mut out[n][block * KEYS + part..]);
            }
        }
    }
    out
}

/// q·k over keys under one scale, [units][KEYS], whose first dimension is `first`, for the positions from `part` on. Units
/// may hold dimensions that no query has.
#[inline(always)]
fn dots<S: Simd, E: Element, const N: usize>(
    s: S,
    keys: &[E::Unit],
    part: usize,
    q: &[&[f32]; N],
    first: usize,
) -> [S::F; N] {
    let mut sums = [s.zero(); N];
    for (j, keys) in keys.chunks_exact(KEYS).enumerate() {
        for h in 0..E::PER {
            let d = first + j + h * E::UNITS;
            if E::PER > 1 && d >= q[0].len() {
                break;
            }
            let k = E::load(s, &keys[part..], h);
            for n in 0..N {
                sums[n] = s.fma(k, s.splat(q[n][d]), sums[n]);
            }
        }
    }
    sums
}

/// Turns a chunk of scores into weights relative to the new maximum, 0 for positions not seen. Returns what earlier
/// weights are to be multiplied by.
#[inline(always)]
fn softmax(p: &mut [f32; CHUNK], first: usize, seen: &Range<usize>, max: &mut f32, total: &mut f32) -> f32 {
    let from = seen.start.saturating_sub(first).min(CHUNK);
    let to = seen.end.saturating_sub(first).min(CHUNK).max(from);
    for (i, p) in p.iter_mut().enumerate() {
        *p = if i >= from && i < to { *p } else { f32::NEG_INFINITY };
    }
    let new = largest(p).max(*max);
    if new == f32::NEG_INFINITY {
        p.fill(0.0); // none is seen yet
        return 1.0;
    }
    let factor = math::exp(*max - new);
    let mut sums = [0.0; KEYS];
    for (c, p) in p.as_chunks_mut::<KEYS>().0.iter_mut().enumerate() {
        for i in 0..KEYS {
            let at = c * KEYS + i;
            p[i] = if at >= from && at < to { math::exp(p[i] - new) } else { 0.0 };
            sums[i] += p[i];
        }
    }
    *total = *total * factor + sums.iter().sum::<f32>();
    *max = new;
    factor
}

#[inline(always)]
fn largest(x: &[f32; CHUNK]) -> f32 {
    let mut max = [f32::NEG_INFINITY; KEYS];
    for chunk in x.as_chunks::<KEYS>().0 {
        for i in 0..KEYS {
            max[i] = if chunk[i] > max[i] { chunk[i] } else { max[i] };
        }
    }
    max.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

/// `add_values` where values are the keys: a lane is a position here too.
#[inline(always)]
fn add_keys<S: Simd, E: Element, const N: usize>(
    s: S,
    ring: &Ring<E>,
    kv_head: usize,
    positions: Range<usize>,
    first: usize,
    p: &[[f32; CHUNK]; N],
    sums: &mut [f32],
) {
    let width = ring.shape.value_width;
    for start in (first..positions.end).step_by(KEYS) {
        let (keys, scales) = ring.key_block(kv_head, start);
        // the others' weights are 0, but what lies there may be no number
        let lanes = positions.start.max(start) - start..KEYS.min(positions.end - start);
        for (unit, keys) in keys.chunks_exact(KEYS).enumerate() {
            for h in 0..E::PER {
                let d = E::dimension(unit, h);
                if d >= width {
                    break; // padding
                }
                let mut acc = [s.zero(); N];
                for part in (0..KEYS).step_by(S::LANES) {
                    let mut k = E::load(s, &keys[part..], h);
                    if E::SCALED {
                        k = s.mul(k, s.load_half(&scales[d / KV_GROUP * KEYS + part..]));
                    }
                    if lanes.len() < KEYS {
                        k = only(s, k, lanes.start.saturating_sub(part)..lanes.end.saturating_sub(part));
                    }
                    for n in 0..N {
                        acc[n] = s.fma(k, s.load(&p[n][start - first + part..]), acc[n]);
                    }
                }
                (0..N).for_each(|n| sums[n * width + d] += s.sum(acc[n]));
            }
        }
    }
}

/// x, with zeros in all other lanes.
#[inline(always)]
fn only<S: Simd>(s: S, x: S::F, lanes: Range<usize>) -> S::F {
    let mut all = [0.0; KEYS];
    s.store(x, &mut all);
    for (i, x) in all.iter_mut().enumerate() {
        *x = if i >= lanes.start && i < lanes.end { *x } else { 0.0 };
    }
    s.load(&all)
}

/// sums[n] += p[n] V over some positions; p begins at position `first`.
#[inline(always)]
fn add_values<S: Simd, E: Element, const N: usize>(
    s: S,
    ring: &Ring<E>,
    kv_head: usize,
    positions: Range<usize>,
    first: usize,
    p: &[[f32; CHUNK]; N],
    sums: &mut [f32],
) {
    let width = ring.shape.value_width;
    let mut d = 0;
    while d < width {
        if S::LANES == 16 && width - d >= 64 {
            add_values_tile::<S, E, N, 4>(s, ring, kv_head, positions.clone(), first, p, d, sums);
            d += 4 * S::LANES;
        } else if S::LANES == 16 {
            add_values_tile::<S, E, N, 1>(s, ring, kv_head, positions.clone(), first, p, d, sums);
            d += S::LANES;
        } else {
            add_values_tile::<S, E, N, 2>(s, ring, kv_head, positions.clone(), first, p, d, sums);
            d += 2 * S::LANES;
        }
    }
}

/// `add_values` for G vectors of dimensions from `d` on.
#[inline(always)]
fn add_values_tile<S: Simd, E: Element, const N: usize, const G: usize>(
    s: S,
    ring: &Ring<E>,
    kv_head: usize,
    positions: Range<usize>,
    first: usize,
    p: &[[f32; CHUNK]; N],
    d: usize,
    sums: &mut [f32],
) {
    let (shape, width) = (ring.shape, ring.shape.value_width);
    let at = |n: usize, g: usize| n * width + d + g * S::LANES;
    let mut acc: [[S::F; G]; N] = std::array::from_fn(|n| std::array::from_fn(|g| s.load(&sums[at(n, g)..])));
    let (values, scales) = ring.head_values(kv_head);
    let mut slot = positions.start % shape.capacity;
    for pos in positions {
        let row = &values[slot * shape.value_units..][..shape.value_units];
        let scales = &scales[slot * shape.groups..][..shape.groups];
        let mut v = [s.zero(); G];
        for g in 0..G {
            v[g] = value::<S, E>(s, row, scales, d + g * S::LANES);
        }
        for n in 0..N {
            let weight = s.splat(p[n][pos - first]);
            (0..G).for_each(|g| acc[n][g] = s.fma(v[g], weight, acc[n][g]));
        }
        slot = if slot + 1 == shape.capacity { 0 } else { slot + 1 };
    }
    for n in 0..N {
        (0..G).for_each(|g| s.store(acc[n][g], &mut sums[at(n, g)..]));
    }
}

/// The dimensions of a value from `d` on. A function of its own, without closures: those are not always inlined, and then are
/// no vector code.
#[inline(always)]
fn value<S: Simd, E: Element>(s: S, row: &[E::Unit], scales: &[f16], d: usize) -> S::F {
    let (unit, h) = E::place(d);
    let v = E::load(s, &row[unit..], h);
    if E::SCALED { s.mul(v, s.splat(s.half(scales[d / KV_GROUP].to_bits()))) } else { v }
}
