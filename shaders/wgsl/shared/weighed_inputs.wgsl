// The inputs of mat_vec, weighed by an RMS norm where NORM asks for it; its squares are summed on the way.
#import shared/float_inputs
override NORM: u32 = 0u;
@group(0) @binding(7) var<storage, read> norm: array<vec4<f32>>;
// squares of the inputs that this invocation has loaded
var<private> squares: vec4<f32>;

// The input v at columns 4 * at, weighed by the norm.
fn weighed(at: u32, v: vec4<f32>) -> vec4<f32> {
    if (NORM == 0u) {
        return v;
    }
    squares += v * v;
    return v * norm[at];
}
