//! Causal depthwise convolution of some channels, for every level: plain loops over neighbouring channels.

use std::ops::Range;

use super::memory::{Parts, Rows};
use crate::graph::Conv;

/// A convolution of a batch.
pub(super) struct Convolution<'a> {
    pub(super) op: &'a Conv,
    pub(super) x: Rows<'a>,
    pub(super) channels: usize,
    pub(super) taps: usize,
    /// [channels][taps]
    pub(super) weight: &'a [f32],
    pub(super) bias: Option<&'a [f32]>,
    /// Inputs of the rows before, [taps - 1][channels].
    pub(super) state: Parts<'a, f32>,
    /// [n][channels]
    pub(super) out: Parts<'a, f32>,
}

/// Computes some channels of every row.
pub(super) type ConvKernel = fn(&Convolution<'_>, Range<usize>);

pub(super) fn conv(c: &Convolution<'_>, channels: Range<usize>) {
    with_exp(c, channels, f32::exp);
}

#[inline(always)]
pub(super) fn with_exp(c: &Convolution<'_>, channels: Range<usize>, exp: impl Fn(f32) -> f32) {
    for t in 0..c.x.n {
        // SAFETY: nobody else computes these channels.
        let out = unsafe { c.out.part(t * c.channels + channels.start, channels.len()) };
        match c.bias {
            Some(bias) => out.copy_from_slice(&bias[channels.clone()]),
            None => out.fill(0.0),
        }
        (0..c.taps).for_each(|j| c.add_tap(&channels, t, j, out));
        if c.op.silu {
            out.iter_mut().for_each(|y| *y /= 1.0 + exp(-*y));
        }
        if c.op.gated {
            let gate = &c.x.row(t)[c.op.first + c.channels + channels.start..][..channels.len()];
            out.iter_mut().zip(gate).for_each(|(y, gate)| *y *= gate);
        }
    }
    c.keep(&channels);
}

impl<'a> Convolution<'a> {
    /// A row of the state.
    #[allow(clippy::mut_from_ref)]
    fn kept(&self, channels: &Range<usize>, row: usize) -> &'a mut [f32] {
        // SAFETY: nobody else computes these channels, and no two rows are held at once.
        unsafe { self.state.part(row * self.channels + channels.start, channels.len()) }
    }

    /// Adds the products with tap `j` to the outputs of row `t`.
    #[inline(always)]
    fn add_tap(&self, channels: &Range<usize>, t: usize, j: usize, out: &mut [f32]) {
        let (back, n) = (self.taps - 1 - j, out.len());
        let weights = self.weight[channels.start * self.taps..][..n * self.taps].chunks_exact(self.taps);
        let outs = out.iter_mut().zip(weights);
        if t < back {
            let kept = self.kept(channels, t + j);
            return outs.zip(kept).for_each(|((y, w), x)| *y += w[j] * *x);
        }
        let x = &self.x.row(t - back)[self.op.first + channels.start..];
        match self.op.gated {
            false => outs.zip(x).for_each(|((y, w), x)| *y += w[j] * x),
            true => {
                let products = x.iter().zip(&x[2 * self.channels..]).map(|(b, x)| b * x);
                outs.zip(products).for_each(|((y, w), x)| *y += w[j] * x);
            }
        }
    }

    /// Leaves the inputs of the last rows to the next batch.
    fn keep(&self, channels: &Range<usize>) {
        let kept = self.taps - 1;
        for i in 0..kept {
            let to = self.kept(channels, i);
            if self.x.n + i < kept {
                // a later row of the state, which is not written yet
                let from: *const [f32] = self.kept(channels, self.x.n + i);
                // SAFETY: another row, of a memory that lives as long.
                to.copy_from_slice(unsafe { &*from });
                continue;
            }
            let x = &self.x.row(self.x.n + i - kept)[self.op.first + channels.start..];
            for (c, to) in to.iter_mut().enumerate() {
                *to = if self.op.gated { x[c] * x[2 * self.channels + c] } else { x[c] };
            }
        }
    }
}
