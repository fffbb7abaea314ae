//! Reference: RMS norm of one row (Zhang and Sennrich 2019).

/// 1 / sqrt(mean(x²) + eps)
#[inline(always)]
pub(super) fn factor(x: &[f32], eps: f32) -> f32 {
    let sum: f32 = x.iter().map(|x| x * x).sum();
    1.0 / (sum / x.len() as f32 + eps).sqrt()
}

/// out = x * factor * weight, added to what `out` holds if `accumulate`.
pub(super) fn rms_norm(x: &[f32], weight: &[f32], eps: f32, accumulate: bool, out: &mut [f32]) {
    let factor = factor(x, eps);
    for i in 0..out.len() {
        let y = x[i] * factor * weight[i];
        out[i] = if accumulate { out[i] + y } else { y };
    }
}
