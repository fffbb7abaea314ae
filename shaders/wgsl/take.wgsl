// Copies columns of x, in runs, to neighbouring columns of out. Columns over x, rows over y.
struct Shape {
    n: u32,
    x_stride: u32,
    out_stride: u32,
    // in x: the first column, those of a run, and from run to run
    first: u32,
    len: u32,
    step: u32,
    // the first column in out
    to: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < shape.n) {
        let column = shape.first + id.x / shape.len * shape.step + id.x % shape.len;
        out[id.y * shape.out_stride + shape.to + id.x] = x[id.y * shape.x_stride + column];
    }
}
