// x = x * sigmoid(g), or x * g * sigmoid(g), in place, with g in runs of columns of `gates`. Columns over x, rows over y.
struct Shape {
    n: u32,
    stride: u32,
    gates_stride: u32,
    // gates: the first column, those of a run, and from run to run
    first: u32,
    len: u32,
    step: u32,
    // 1: sigmoid, else SiLU
    sigmoid: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> gates: array<f32>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < shape.n) {
        let column = shape.first + id.x / shape.len * shape.step + id.x % shape.len;
        let g = gates[id.y * shape.gates_stride + column];
        x[id.y * shape.stride + id.x] *= select(g, 1.0, shape.sigmoid != 0u) / (1.0 + exp(-g));
    }
}
