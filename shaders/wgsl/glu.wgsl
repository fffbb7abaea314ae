// out[i] = act(x[i]) * x[n + i]; columns over x, rows over y.
struct Shape {
    n: u32,
    x_stride: u32,
    out_stride: u32,
    // 1 for the tanh approximation of GELU, 0 for SiLU
    gelu: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
#import shared/activation

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < shape.n) {
        let source = id.y * shape.x_stride + id.x;
        out[id.y * shape.out_stride + id.x] = activated(shape.gelu != 0u, x[source]) * x[source + shape.n];
    }
}
