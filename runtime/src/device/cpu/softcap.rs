//! Reference: soft cap of one row.

/// x = cap * tanh(x / cap)
pub(super) fn softcap(x: &mut [f32], cap: f32) {
    x.iter_mut().for_each(|x| *x = cap * (*x / cap).tanh());
}
