//! Norm, gated activation and soft cap of one row: plain loops.

use super::{Simd, enter, math};
use crate::graph::Activation;

/// Partial sums of a row: as many as the widest vector has lanes.
const SUMS: usize = 16;

pub(super) fn rms_norm<S: Simd>(x: &[f32], weight: &[f32], eps: f32, accumulate: bool, out: &mut [f32]) {
    enter::<S, _>(
        #[inline(always)]
        |_| {
            let factor = 1.0 / (square_sum(x) / x.len() as f32 + eps).sqrt();
            let terms = x.iter().zip(weight).map(|(x, w)| x * factor * w);
            if accumulate {
                out.iter_mut().zip(terms).for_each(|(out, y)| *out += y);
            } else {
                out.iter_mut().zip(terms).for_each(|(out, y)| *out = y);
            }
        },
    )
}

#[inline(always)]
fn square_sum(x: &[f32]) -> f32 {
    let mut sums = [0.0; SUMS];
    let (chunks, rest) = x.as_chunks::<SUMS>();
    for chunk in chunks {
        for i in 0..SUMS {
            sums[i] += chunk[i] * chunk[i];
        }
    }
    rest.iter().zip(&mut sums).for_each(|(x, sum)| *sum += x * x);
    sums.iter().sum()
}

pub(super) fn glu<S: Simd>(x: &[f32], activation: Activation, out: &mut [f32]) {
    enter::<S, _>(
        #[inline(always)]
        |_| {
            let (gate, up) = x.split_at(out.len());
            let rows = out.iter_mut().zip(gate.iter().zip(up));
            match activation {
                Activation::Silu => rows.for_each(|(out, (g, u))| *out = g * math::sigmoid(*g) * u),
                Activation::GeluTanh => rows.for_each(|(out, (g, u))| *out = g * math::sigmoid(gelu_inner(*g)) * u),
            }
        },
    )
}

/// (1 + tanh y) / 2 = sigmoid(2 y), with y = sqrt(2 / pi) (x + 0.044715 x³)
#[inline(always)]
fn gelu_inner(x: f32) -> f32 {
    2.0 * 0.797_884_6 * x * (1.0 + 0.044715 * x * x)
}

pub(super) fn softcap<S: Simd>(x: &mut [f32], cap: f32) {
    enter::<S, _>(
        #[inline(always)]
        |_| x.iter_mut().for_each(|x| *x = cap * math::tanh(*x / cap)),
    )
}
