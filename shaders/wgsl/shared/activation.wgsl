// Activations of gated units.
#import shared/tanh

// SiLU, or the tanh approximation of GELU.
fn activated(gelu: bool, v: f32) -> f32 {
    if (gelu) {
        return 0.5 * v * (1.0 + accurate_tanh(0.7978845608 * v * (1.0 + 0.044715 * v * v)));
    }
    return v / (1.0 + exp(-v));
}
