//! Selective scan of some channels, for every level: plain loops over a channel's states.

use std::ops::Range;

use super::memory::{Parts, Rows};
use crate::graph::Scan;

/// A scan of a batch.
pub(super) struct Selective<'a> {
    pub(super) op: &'a Scan,
    pub(super) x: Rows<'a>,
    pub(super) bc: Rows<'a>,
    pub(super) dt: Rows<'a>,
    pub(super) dt_bias: Option<&'a [f32]>,
    pub(super) a: &'a [f32],
    pub(super) d: &'a [f32],
    pub(super) head_dim: usize,
    /// [heads * head_dim][n_state]
    pub(super) state: Parts<'a, f32>,
    /// [n][heads * head_dim]
    pub(super) out: Parts<'a, f32>,
}

/// Computes some channels of every row.
pub(super) type ScanKernel = fn(&Selective<'_>, Range<usize>);

/// Partial sums: as many as the widest vector has lanes.
const SUMS: usize = 16;

pub(super) fn scan(s: &Selective<'_>, channels: Range<usize>) {
    with_exp(s, channels, f32::exp);
}

#[inline(always)]
pub(super) fn with_exp(s: &Selective<'_>, channels: Range<usize>, exp: impl Fn(f32) -> f32 + Copy) {
    let (n, heads) = (s.op.n_state, s.op.heads);
    for t in 0..s.x.n {
        // SAFETY: nobody else computes these channels.
        let out = unsafe { s.out.part(t * heads * s.head_dim + channels.start, channels.len()) };
        for (channel, out) in channels.clone().zip(out) {
            let head = channel / s.head_dim;
            let step = softplus(s.dt.row(t)[s.op.first_dt + head] + s.dt_bias.map_or(0.0, |bias| bias[head]));
            let (x, group) = (s.x.row(t)[channel], head / (heads / s.op.groups));
            let b = &s.bc.row(t)[s.op.b + group * n..][..n];
            let c = &s.bc.row(t)[s.op.b + (s.op.groups + group) * n..][..n];
            // SAFETY: see above.
            let state = unsafe { s.state.part(channel * n, n) };
            if s.a.len() == heads {
                advance(state, b, c, step * x, exp(step * s.a[head]), |decay, _| decay, out);
            } else {
                let rates = &s.a[head * n..][..n];
                advance(state, b, c, step * x, rates, |rates, i| exp(step * rates[i]), out);
            }
            *out += s.d[head] * x;
        }
    }
}

/// state = decay * state + b * x; out = c . state
#[inline(always)]
fn advance<D: Copy>(
    state: &mut [f32],
    b: &[f32],
    c: &[f32],
    x: f32,
    decays: D,
    decay: impl Fn(D, usize) -> f32,
    out: &mut f32,
) {
    let mut sums = [0.0; SUMS];
    for (chunk, state) in state.chunks_mut(SUMS).enumerate() {
        let (first, len) = (chunk * SUMS, state.len());
        let (b, c) = (&b[first..][..len], &c[first..][..len]);
        for i in 0..len {
            state[i] = decay(decays, first + i) * state[i] + x * b[i];
            sums[i] += c[i] * state[i];
        }
    }
    *out = total(sums);
}

/// The sum of all partial sums, by halves.
#[inline(always)]
pub(super) fn total(mut sums: [f32; SUMS]) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            sums[i] += sums[i + half];
        }
    }
    sums[0]
}

/// ln(1 + e^x)
pub(super) fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}
