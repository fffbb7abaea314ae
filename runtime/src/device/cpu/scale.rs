//! Reference: factor and soft cap of one row.

/// x = factor * x, then cap * tanh(x / cap) where there is a cap.
pub(super) fn scale(x: &mut [f32], factor: f32, cap: Option<f32>) {
    for x in x {
        *x *= factor;
        if let Some(cap) = cap {
            *x = cap * (*x / cap).tanh();
        }
    }
}
