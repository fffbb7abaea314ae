//! Folds every kind of rotary scaling into one frequency per pair.

use super::keys::Keys;
use super::spec::{Rope, RopeStyle};
use crate::error::{Error, Result};

/// Where a file does not say otherwise.
pub(super) const BASE: f32 = 10000.0;
/// YaRN's constants (defaults of the format).
const BETA_FAST: f32 = 32.0;
const BETA_SLOW: f32 = 1.0;

/// Plain frequencies base^(-2j/n_rot), times `scale` (linear interpolation).
pub(super) fn plain(style: RopeStyle, n_rot: usize, base: f32, scale: f32) -> Rope {
    let freq = |j: usize| (f64::from(base).powf(-2.0 * j as f64 / n_rot as f64) * f64::from(scale)) as f32;
    Rope { style, inv_freq: (0..n_rot / 2).map(freq).collect(), magnitude: 1.0, factors: None, long: None }
}

/// Turns nothing.
pub(super) fn none() -> Rope {
    Rope { style: RopeStyle::Norm, inv_freq: Vec::new(), magnitude: 1.0, factors: None, long: None }
}

/// The rotary embedding of the keys `rope.*` and the tensor `rope_freqs.weight`.
pub(super) fn from_keys(keys: &Keys<'_>, style: RopeStyle, n_rot: usize, n_ctx_train: usize) -> Result<Rope> {
    let base = keys.positive_or("rope.freq_base", BASE)?;
    let kind = keys.str("rope.scaling.type")?.unwrap_or("linear");
    let factor = scaling_factor(keys)?;
    let mut rope = match kind {
        "none" => plain(style, n_rot, base, 1.0),
        // LongRoPE's factors lie in tensors, for short contexts and for long ones
        "longrope" => plain(style, n_rot, base, 1.0),
        "linear" => plain(style, n_rot, base, 1.0 / factor),
        "yarn" => yarn(keys, plain(style, n_rot, base, 1.0), base, factor, n_ctx_train)?,
        other => return Err(Error::Unsupported(format!("rope scaling type '{other}'"))),
    };
    rope.factors = keys.optional("rope_freqs.weight", &[n_rot / 2])?;
    if keys.header.tensor("rope_factors_long.weight").is_some() {
        let factors = |name: &str| keys.tensor(name, &[n_rot / 2]);
        let limit = keys.width_or("rope.scaling.original_context_length", n_ctx_train)?;
        rope.factors = Some(factors("rope_factors_short.weight")?);
        rope.long = Some((limit, factors("rope_factors_long.weight")?));
    }
    rope.magnitude *= keys.positive_or("rope.scaling.attn_factor", 1.0)?;
    if !rope.inv_freq.iter().chain([&rope.magnitude]).all(|v| v.is_finite()) {
        return Err(keys.bad("rope", "its base and scaling give frequencies that are not finite"));
    }
    Ok(rope)
}

fn scaling_factor(keys: &Keys<'_>) -> Result<f32> {
    let old = keys.f32("rope.scale_linear")?;
    let factor = keys.f32("rope.scaling.factor")?.or(old).unwrap_or(0.0);
    if factor < 0.0 {
        return Err(keys.bad("rope.scaling.factor", format!("{factor} is negative")));
    }
    Ok(if factor == 0.0 { 1.0 } else { factor })
}

/// YaRN (Peng et al. 2023): low frequencies are interpolated, high ones kept, with a ramp between; cos and sin grow by
/// 0.1 ln(factor) + 1.
fn yarn(keys: &Keys<'_>, mut rope: Rope, base: f32, factor: f32, n_ctx_train: usize) -> Result<Rope> {
    let n_rot = rope.inv_freq.len() * 2;
    let ctx = keys.width_or("rope.scaling.original_context_length", n_ctx_train)? as f32;
    let beta_fast = keys.positive_or("rope.scaling.yarn_beta_fast", BETA_FAST)?;
    let beta_slow = keys.positive_or("rope.scaling.yarn_beta_slow", BETA_SLOW)?;
    // the pair whose wavelength makes `beta` turns within the original context
    let turns = |beta: f32| n_rot as f32 * (ctx / (beta * std::f32::consts::TAU)).ln() / (2.0 * base.ln());
    let low = turns(beta_fast).floor().max(0.0);
    let high = turns(beta_slow).ceil().min(n_rot as f32 - 1.0);
    for (j, freq) in rope.inv_freq.iter_mut().enumerate() {
        let keep = 1.0 - ((j as f32 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
        *freq = *freq / factor * (1.0 - keep) + *freq * keep;
    }
    rope.magnitude = 0.1 * factor.ln() + 1.0;
    Ok(rope)
}
