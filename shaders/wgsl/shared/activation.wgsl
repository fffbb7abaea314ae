// Activations of feed-forward layers, numbered as in `gpu/calls.rs`.
#import shared/tanh
const SILU: u32 = 0u;
const GELU_TANH: u32 = 1u;
const GELU_ERF: u32 = 2u;
const SWIGLU_OAI: u32 = 4u;
const TANH: u32 = 5u;
const RELU_SQUARED: u32 = 6u;
const SIGMOID: u32 = 7u;

// By its series near 0, elsewhere by Abramowitz and Stegun 7.1.26, which is off by at most 2e-7.
fn erf(v: f32) -> f32 {
    let s = v * v;
    let p = -1.0 / 42.0 + s * (1.0 / 216.0 + s * (-1.0 / 1320.0 + s * (1.0 / 9360.0 + s * (-1.0 / 75600.0 + s / 685440.0))));
    let near = 1.1283791671 * v * (1.0 + s * (-1.0 / 3.0 + s * (1.0 / 10.0 + s * p)));
    let t = 1.0 / (1.0 + 0.3275911 * abs(v));
    let q = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return select(sign(v) * (1.0 - q * exp(-s)), near, s < 0.64);
}

fn activated(kind: u32, v: f32) -> f32 {
    switch kind {
        case SILU: {
            return v / (1.0 + exp(-v));
        }
        case GELU_TANH: {
            return 0.5 * v * (1.0 + accurate_tanh(0.7978845608 * v * (1.0 + 0.044715 * v * v)));
        }
        case GELU_ERF: {
            return 0.5 * v * (1.0 + erf(0.70710678 * v));
        }
        case TANH: {
            return accurate_tanh(v);
        }
        case RELU_SQUARED: {
            return max(v, 0.0) * max(v, 0.0);
        }
        case SIGMOID: {
            return 1.0 / (1.0 + exp(-v));
        }
        case SWIGLU_OAI: {
            let g = min(v, 7.0);
            return g / (1.0 + exp(-1.702 * g));
        }
        default: {
            return max(v, 0.0);
        }
    }
}

// What a gate is multiplied by.
fn linear_part(kind: u32, v: f32) -> f32 {
    return select(v, clamp(v, -7.0, 7.0) + 1.0, kind == SWIGLU_OAI);
}
