// out[i] = act(x[i]) * x[n + i] where there is a gate, else act(x[i]); of each of several parts, side by side. Columns over x, rows
// over y.
struct Shape {
    // of a part
    n: u32,
    parts: u32,
    x_stride: u32,
    out_stride: u32,
    // see shared/activation
    activation: u32,
    gated: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
#import shared/activation

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < shape.n * shape.parts) {
        let part = id.x / shape.n * shape.n;
        let source = id.y * shape.x_stride + id.x + select(0u, part, shape.gated != 0u);
        var value = activated(shape.activation, x[source]);
        if (shape.gated != 0u) {
            value *= linear_part(shape.activation, x[source + shape.n]);
        }
        out[id.y * shape.out_stride + id.x] = value;
    }
}
