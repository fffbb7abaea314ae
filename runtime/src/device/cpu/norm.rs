//! Reference: norm of one row.

use crate::graph::NormKind;

/// A norm's parameters, one element per column.
#[derive(Clone, Copy)]
pub(super) struct Norm<'a> {
    pub(super) kind: NormKind,
    pub(super) weight: &'a [f32],
    pub(super) bias: Option<&'a [f32]>,
    pub(super) eps: f32,
}

/// 1 / sqrt(mean(x²) + eps)
#[inline(always)]
fn factor(x: &[f32], eps: f32) -> f32 {
    let sum: f32 = x.iter().map(|x| x * x).sum();
    1.0 / (sum / x.len() as f32 + eps).sqrt()
}

/// out = (x - mean) * factor * weight + bias, added to what `out` holds if `accumulate`. The mean is 0 for RMS norms.
pub(super) fn norm(x: &[f32], norm: &Norm<'_>, accumulate: bool, out: &mut [f32]) {
    let n = x.len() as f32;
    let mean = match norm.kind {
        NormKind::Rms => 0.0,
        NormKind::Layer => x.iter().sum::<f32>() / n,
    };
    let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / n;
    let factor = 1.0 / (variance + norm.eps).sqrt();
    for i in 0..out.len() {
        let y = (x[i] - mean) * factor * norm.weight[i] + norm.bias.map_or(0.0, |bias| bias[i]);
        out[i] = if accumulate { out[i] + y } else { y };
    }
}

/// x = (x - mean) * factor * weight + bias in place. The mean is 0 for RMS norms.
pub(super) fn in_place(x: &mut [f32], kind: NormKind, weight: Option<&[f32]>, bias: Option<&[f32]>, eps: f32) {
    if kind == NormKind::Layer {
        let mean = x.iter().sum::<f32>() / x.len() as f32;
        x.iter_mut().for_each(|x| *x -= mean);
    }
    rms_in_place(x, weight, eps);
    if let Some(bias) = bias {
        x.iter_mut().zip(bias).for_each(|(x, b)| *x += b);
    }
}

/// x = x * factor * weight in place.
pub(super) fn rms_in_place(x: &mut [f32], weight: Option<&[f32]>, eps: f32) {
    let factor = factor(x, eps);
    match weight {
        Some(weight) => x.iter_mut().zip(weight).for_each(|(x, w)| *x *= factor * w),
        None => x.iter_mut().for_each(|x| *x *= factor),
    }
}
