// The inputs of mat_vec, weighed by an RMS norm where NORM asks for it; its squares are summed on the way.
#import shared/float_inputs
override NORM: u32 = 0u;
@group(0) @binding(7) var<storage, read> norm: array<FourFloats>;
// squares of the inputs that this invocation has loaded
var<private> squares: vec4<f32>;

// The input at columns 4 * at, weighed by the norm.
fn weighed(at: u32) -> vec4<f32> {
    let v = four_floats(x[at]);
    if (NORM == 0u) {
        return v;
    }
    squares += v * v;
    return v * four_floats(norm[at]);
}
