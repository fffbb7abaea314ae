//! Reference: gated activation of one row.

use crate::graph::Activation;

/// sqrt(2 / pi)
const SQRT_2_OVER_PI: f32 = 0.797_884_6;

/// out[n] = act(x[0..n]) * x[n..2n]
pub(super) fn glu(x: &[f32], activation: Activation, out: &mut [f32]) {
    let (gate, up) = x.split_at(out.len());
    for i in 0..out.len() {
        out[i] = act(activation, gate[i]) * up[i];
    }
}

fn act(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::GeluTanh => 0.5 * x * (1.0 + (SQRT_2_OVER_PI * x * (1.0 + 0.044715 * x * x)).tanh()),
    }
}
