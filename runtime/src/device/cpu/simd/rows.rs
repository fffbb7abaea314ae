//! Norm, activation and scale of one row: plain loops.

use super::{Simd, enter, math};
use crate::device::cpu::norm::Norm;
use crate::graph::{Activation, Cap, NormKind};

/// Partial sums of a row: as many as the widest vector has lanes.
const SUMS: usize = 16;

pub(super) fn norm<S: Simd>(x: &[f32], norm: &Norm<'_>, accumulate: bool, out: &mut [f32]) {
    enter::<S, _>(
        #[inline(always)]
        |_| {
            let (n, weight) = (x.len() as f32, norm.weight);
            let mean = match norm.kind {
                NormKind::Rms => 0.0,
                NormKind::Layer => sum(x, |x| x) / n,
            };
            let factor = 1.0 / (sum(x, |x| (x - mean) * (x - mean)) / n + norm.eps).sqrt();
            let y = |(x, w): (&f32, &f32)| (x - mean) * factor * w;
            let terms = x.iter().zip(weight).map(y);
            match (norm.bias, accumulate) {
                (None, false) => out.iter_mut().zip(terms).for_each(|(out, y)| *out = y),
                (None, true) => out.iter_mut().zip(terms).for_each(|(out, y)| *out += y),
                (Some(bias), false) => out.iter_mut().zip(terms.zip(bias)).for_each(|(out, (y, b))| *out = y + b),
                (Some(bias), true) => out.iter_mut().zip(terms.zip(bias)).for_each(|(out, (y, b))| *out += y + b),
            }
        },
    )
}

#[inline(always)]
fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0.0; SUMS];
    let (chunks, rest) = x.as_chunks::<SUMS>();
    for chunk in chunks {
        for i in 0..SUMS {
            sums[i] += f(chunk[i]);
        }
    }
    rest.iter().zip(&mut sums).for_each(|(x, sum)| *sum += f(*x));
    sums.iter().sum()
}

pub(super) fn activate<S: Simd>(x: &[f32], activation: Activation, gated: bool, out: &mut [f32]) {
    enter::<S, _>(
        #[inline(always)]
        |_| match activation {
            Activation::Silu => units(x, gated, out, |x| x * math::sigmoid(x), |u| u),
            Activation::GeluTanh => units(x, gated, out, |x| x * math::sigmoid(gelu_inner(x)), |u| u),
            Activation::GeluErf => units(x, gated, out, |x| 0.5 * x * (1.0 + math::erf(x * FRAC_1_SQRT_2)), |u| u),
            Activation::Relu => units(x, gated, out, |x| if x > 0.0 { x } else { 0.0 }, |u| u),
            Activation::ReluSquared => units(x, gated, out, |x| if x > 0.0 { x * x } else { 0.0 }, |u| u),
            Activation::Sigmoid => units(x, gated, out, math::sigmoid, |u| u),
            Activation::Tanh => units(x, gated, out, math::tanh, |u| u),
            Activation::SwigluOai => {
                let act =
                    |x: f32| if x < 7.0 { x * math::sigmoid(1.702 * x) } else { 7.0 * math::sigmoid(1.702 * 7.0) };
                units(x, gated, out, act, |u| u.clamp(-7.0, 7.0) + 1.0);
            }
        },
    )
}

const FRAC_1_SQRT_2: f32 = std::f32::consts::FRAC_1_SQRT_2;

#[inline(always)]
fn units(x: &[f32], gated: bool, out: &mut [f32], act: impl Fn(f32) -> f32, linear: impl Fn(f32) -> f32) {
    let (gate, up) = x.split_at(out.len());
    if gated {
        out.iter_mut().zip(gate.iter().zip(up)).for_each(|(out, (g, u))| *out = act(*g) * linear(*u));
    } else {
        out.iter_mut().zip(gate).for_each(|(out, x)| *out = act(*x));
    }
}

/// (1 + tanh y) / 2 = sigmoid(2 y), with y = sqrt(2 / pi) (x + 0.044715 x³)
#[inline(always)]
fn gelu_inner(x: f32) -> f32 {
    2.0 * 0.797_884_6 * x * (1.0 + 0.044715 * x * x)
}

pub(super) fn scale<S: Simd>(x: &mut [f32], factor: f32, cap: Option<Cap>) {
    enter::<S, _>(
        #[inline(always)]
        |_| match cap {
            Some(Cap::Soft(cap)) => x.iter_mut().for_each(|x| *x = cap * math::tanh(*x * factor / cap)),
            Some(Cap::Hard(cap)) => x.iter_mut().for_each(|x| *x = (*x * factor).clamp(-cap, cap)),
            None => x.iter_mut().for_each(|x| *x *= factor),
        },
    )
}
