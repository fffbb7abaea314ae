// out = x + (to - x) * (weight + by). Columns over x, rows over y.
struct Shape {
    n: u32,
    x_stride: u32,
    to_stride: u32,
    by_stride: u32,
    out_stride: u32,
    // where the first column's weight is in the arena
    weight: u32,
    // first column of by
    column: u32,
}
// 0: there is no such summand
override WEIGHT: u32 = 0u;
override BY: u32 = 0u;
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> to: array<f32>;
@group(0) @binding(4) var<storage, read> by: array<f32>;
@group(0) @binding(5) var<storage, read> arena: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < shape.n) {
        var factor = 0.0;
        if (WEIGHT != 0u) {
            factor += arena[shape.weight + id.x];
        }
        if (BY != 0u) {
            factor += by[id.y * shape.by_stride + shape.column + id.x];
        }
        let start = x[id.y * shape.x_stride + id.x];
        let end = to[id.y * shape.to_stride + id.x];
        out[id.y * shape.out_stride + id.x] = start + (end - start) * factor;
    }
}
