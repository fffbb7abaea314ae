//! A step of one row towards another, for every level.

/// What a step's factors are made of.
#[derive(Clone, Copy)]
pub(super) struct Factors<'a> {
    pub(super) weight: Option<&'a [f32]>,
    pub(super) by: Option<&'a [f32]>,
}

/// out = x + (to - x) * (weight + by)
pub(super) fn lerp(x: &[f32], to: &[f32], factors: Factors<'_>, out: &mut [f32]) {
    let factor = |i: usize| factors.weight.map_or(0.0, |w| w[i]) + factors.by.map_or(0.0, |by| by[i]);
    for (i, (out, (x, to))) in out.iter_mut().zip(x.iter().zip(to)).enumerate() {
        *out = x + (to - x) * factor(i);
    }
}
