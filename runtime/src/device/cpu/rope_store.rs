//! Reference: rotary embedding of one head, and its angles. Plain enough for the compiler to vectorize; every level uses it.

use crate::graph::{RopePlan, RopeStyle};

/// cos and sin (times the magnitude) of each pair's angle at position `pos`. Angles are taken in f64: at position 10^5 an
/// f32 product is off by 0.01 rad.
pub(super) fn angles(rope: &RopePlan, factors: Option<&[f32]>, pos: usize, cos: &mut [f32], sin: &mut [f32]) {
    for (j, &freq) in rope.inv_freq.iter().enumerate() {
        let angle = pos as f64 * f64::from(freq) / factors.map_or(1.0, |f| f64::from(f[j]));
        cos[j] = angle.cos() as f32 * rope.magnitude;
        sin[j] = angle.sin() as f32 * rope.magnitude;
    }
}

/// Rotates the first 2 * cos.len() dimensions of a head.
pub(super) fn rotate(style: RopeStyle, cos: &[f32], sin: &[f32], head: &mut [f32]) {
    let pairs = cos.len();
    match style {
        RopeStyle::Norm => {
            for (j, pair) in head[..2 * pairs].chunks_exact_mut(2).enumerate() {
                (pair[0], pair[1]) = turn(pair[0], pair[1], cos[j], sin[j]);
            }
        }
        RopeStyle::Neox => {
            let (a, b) = head[..2 * pairs].split_at_mut(pairs);
            for j in 0..pairs {
                (a[j], b[j]) = turn(a[j], b[j], cos[j], sin[j]);
            }
        }
    }
}

#[inline(always)]
fn turn(a: f32, b: f32, cos: f32, sin: f32) -> (f32, f32) {
    (a * cos - b * sin, a * sin + b * cos)
}
