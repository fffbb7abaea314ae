// Copies columns of x to columns of out, in runs on both sides. Columns over x, rows over y.
struct Shape {
    n: u32,
    x_stride: u32,
    out_stride: u32,
    // the first column, those of a run, and from run to run
    from_first: u32,
    from_len: u32,
    from_step: u32,
    to_first: u32,
    to_len: u32,
    to_step: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < shape.n) {
        let source = shape.from_first + id.x / shape.from_len * shape.from_step + id.x % shape.from_len;
        let column = shape.to_first + id.x / shape.to_len * shape.to_step + id.x % shape.to_len;
        out[id.y * shape.out_stride + column] = x[id.y * shape.x_stride + source];
    }
}
