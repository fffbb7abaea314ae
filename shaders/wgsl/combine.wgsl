// out = Σ weight_i x_i over the parts of x, plus the old contents of out where asked; columns over x, rows over y.
struct Shape {
    n: u32,
    parts: u32,
    x_stride: u32,
    weights_stride: u32,
    out_stride: u32,
    // column of the first weight
    first: u32,
    // 1: there is a weight for each column instead of each part
    by_column: u32,
    // 1: weights are the sigmoids of what is there
    sigmoid: u32,
    accumulate: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= shape.n) {
        return;
    }
    let at = id.y * shape.out_stride + id.x;
    var sum = select(0.0, out[at], shape.accumulate != 0u);
    for (var i = 0u; i < shape.parts; i++) {
        let place = select(i, id.x, shape.by_column != 0u);
        var weight = weights[id.y * shape.weights_stride + shape.first + place];
        if (shape.sigmoid != 0u) {
            weight = 1.0 / (1.0 + exp(-weight));
        }
        sum += weight * x[id.y * shape.x_stride + i * shape.n + id.x];
    }
    out[at] = sum;
}
