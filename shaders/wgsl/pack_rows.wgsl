// out = x in a narrow format, a unit of 32 columns an invocation; rows over y.
#import shared/enable
struct Shape {
    // of a row that are made, and from one row to the next
    units: u32,
    stride: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<Packed>;
#ifdef FORMAT_MATRIX
#import shared/plain_rows
#else
#import shared/packed
#endif

fn four(at: u32) -> mat4x4<f32> {
    return mat4x4<f32>(x[at], x[at + 1u], x[at + 2u], x[at + 3u]);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < shape.units) {
        let at = id.y * shape.stride + id.x;
        out[at] = packed_unit(four(8u * at), four(8u * at + 4u));
    }
}
