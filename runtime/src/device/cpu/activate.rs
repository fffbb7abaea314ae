//! Reference: activation of one row.

use crate::graph::Activation;

/// sqrt(2 / pi)
const SQRT_2_OVER_PI: f32 = 0.797_884_6;

/// out[n] = act(x[0..n]) * x[n..2n] if `gated`, else act(x[0..n])
pub(super) fn activate(x: &[f32], activation: Activation, gated: bool, out: &mut [f32]) {
    for i in 0..out.len() {
        out[i] = match (activation, gated) {
            (Activation::SwigluOai, true) => swiglu_oai(x[i], x[out.len() + i]),
            (_, true) => act(activation, x[i]) * x[out.len() + i],
            (_, false) => act(activation, x[i]),
        };
    }
}

fn swiglu_oai(gate: f32, up: f32) -> f32 {
    act(Activation::SwigluOai, gate) * (up.clamp(-7.0, 7.0) + 1.0)
}

fn act(activation: Activation, x: f32) -> f32 {
    match activation {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::GeluTanh => 0.5 * x * (1.0 + (SQRT_2_OVER_PI * x * (1.0 + 0.044715 * x * x)).tanh()),
        Activation::GeluErf => 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)),
        Activation::Relu => x.max(0.0),
        Activation::ReluSquared => x.max(0.0) * x.max(0.0),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::Tanh => x.tanh(),
        Activation::SwigluOai => x.min(7.0) / (1.0 + (-1.702 * x.min(7.0)).exp()),
    }
}

/// The error function: 2/√π e^-x² Σ 2ⁿ x^(2n+1) / (1·3·5⋯(2n+1)) (Abramowitz and Stegun 7.1.6), whose terms have one sign.
fn erf(x: f32) -> f32 {
    let x = f64::from(x).clamp(-6.0, 6.0);
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > 1e-12 * sum.abs() {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    (std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum) as f32
}
