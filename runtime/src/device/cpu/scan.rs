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
    with(s, channels, f32::exp, softplus);
}

/// `exp` and `softplus` as vectors have them, or as the standard library.
#[inline(always)]
pub(super) fn with(
    s: &Selective<'_>,
    channels: Range<usize>,
    exp: impl Fn(f32) -> f32 + Copy,
    softplus: impl Fn(f32) -> f32,
) {
    for t in 0..s.x.n {
        for first in channels.clone().step_by(SUMS) {
            let some = first..channels.end.min(first + SUMS);
            let mut steps = [0.0; SUMS];
            steps.iter_mut().zip(some.clone()).for_each(|(step, channel)| *step = s.raw_step(t, channel));
            steps.iter_mut().for_each(|step| *step = softplus(*step));
            for (channel, step) in some.zip(steps) {
                s.advance(t, channel, step, exp);
            }
        }
    }
}

impl Selective<'_> {
    /// A channel's step in a row, before its softplus.
    #[inline(always)]
    fn raw_step(&self, t: usize, channel: usize) -> f32 {
        let head = channel / self.head_dim;
        self.dt.row(t)[self.op.first_dt + head] + self.dt_bias.map_or(0.0, |bias| bias[head])
    }

    /// Makes a channel's output of a row.
    #[inline(always)]
    fn advance(&self, t: usize, channel: usize, step: f32, exp: impl Fn(f32) -> f32) {
        let (n, heads) = (self.op.n_state, self.op.heads);
        let (head, bc, x) = (channel / self.head_dim, self.bc.row(t), self.x.row(t)[channel]);
        let group = head / (heads / self.op.groups);
        let b = &bc[self.op.b + group * n..][..n];
        let c = &bc[self.op.b + (self.op.groups + group) * n..][..n];
        // SAFETY: nobody else computes these channels.
        let state = unsafe { self.state.part(channel * n, n) };
        let y = if self.a.len() == heads {
            // one for all states: what stands in their rates' place is not read
            let decay = exp(step * self.a[head]);
            update(state, b, c, step * x, c, |_| decay)
        } else {
            update(state, b, c, step * x, &self.a[head * n..][..n], |rate| exp(step * rate))
        };
        // SAFETY: see above.
        unsafe { self.out.set(t * heads * self.head_dim + channel, y + self.d[head] * x) };
    }
}

/// state = decay(rates) * state + b * x; returns c . state.
#[inline(always)]
fn update(state: &mut [f32], b: &[f32], c: &[f32], x: f32, rates: &[f32], decay: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0; SUMS];
    let (states, state_rest) = state.as_chunks_mut::<SUMS>();
    let ((bs, b_rest), (cs, c_rest)) = (b.as_chunks::<SUMS>(), c.as_chunks::<SUMS>());
    let (rates, rates_rest) = rates.as_chunks::<SUMS>();
    for (((state, b), c), rates) in states.iter_mut().zip(bs).zip(cs).zip(rates) {
        for i in 0..SUMS {
            state[i] = decay(rates[i]) * state[i] + x * b[i];
            sums[i] += c[i] * state[i];
        }
    }
    for (i, state) in state_rest.iter_mut().enumerate() {
        *state = decay(rates_rest[i]) * *state + x * b_rest[i];
        sums[i] += c_rest[i] * *state;
    }
    total(sums)
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
