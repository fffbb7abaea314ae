//! Reference: factor and cap of one row.

use crate::graph::Cap;

/// x = factor * x, then capped.
pub(super) fn scale(x: &mut [f32], factor: f32, cap: Option<Cap>) {
    for x in x {
        *x *= factor;
        match cap {
            None => {}
            Some(Cap::Soft(cap)) => *x = cap * (*x / cap).tanh(),
            Some(Cap::Hard(cap)) => *x = x.clamp(-cap, cap),
        }
    }
}
