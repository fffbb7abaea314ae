// x = factor * by * x in place, then capped: softly, cap * tanh(x / cap), or to -cap..cap; columns over x, rows over y.
struct Shape {
    n: u32,
    stride: u32,
    factor: f32,
    cap: f32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;
@group(0) @binding(3) var<storage, read> by: array<f32>;
// 0: there is no such factor
override BY: u32 = 0u;
// 0: no cap, 1: a soft one, 2: a hard one
override CAP: u32 = 0u;
#import shared/tanh

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < shape.n) {
        let at = id.y * shape.stride + id.x;
        var value = shape.factor * x[at];
        if (BY != 0u) {
            value *= by[0];
        }
        if (CAP == 1u) {
            value = shape.cap * accurate_tanh(value / shape.cap);
        }
        if (CAP == 2u) {
            value = clamp(value, -shape.cap, shape.cap);
        }
        x[at] = value;
    }
}
