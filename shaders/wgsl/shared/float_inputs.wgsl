// The inputs of a product, four columns at a time.
#import shared/four
@group(0) @binding(4) var<storage, read> x: array<FourFloats>;

// What inputs are multiplied by to go with the weights (see shared/bytes).
const INPUT_SCALE = vec4<f32>(1.0) / POWERS;

// The vec4 at columns 4 * at of the row that starts at `base`; columns beyond k are zero, whatever the memory holds.
fn inside(base: u32, at: u32) -> vec4<f32> {
    let columns = vec4<u32>(4u * at) + vec4<u32>(0u, 1u, 2u, 3u);
    return select(vec4<f32>(0.0), four_floats(x[base + at]), columns < vec4<u32>(shape.k));
}
