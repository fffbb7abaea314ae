// out = (x - mean) / sqrt(variance + eps) * weight + bias, plus the old contents of out where asked. One workgroup a row.
struct Shape {
    n: u32,
    x_stride: u32,
    out_stride: u32,
    accumulate: u32,
    eps: f32,
}
override WIDTH: u32 = 256u;
// 1 for layer norms; the mean of RMS norms is 0
override CENTERED: u32 = 0u;
override BIAS: u32 = 0u;
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
#import shared/sum

fn mean_of(lane: u32, source: u32) -> f32 {
    if (CENTERED == 0u) {
        return 0.0;
    }
    var sum = 0.0;
    for (var i = lane; i < shape.n; i += WIDTH) {
        sum += x[source + i];
    }
    let mean = sum_of_all(lane, sum) / f32(shape.n);
    workgroupBarrier();
    return mean;
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let source = group.y * shape.x_stride;
    let to = group.y * shape.out_stride;
    let mean = mean_of(lane, source);
    var squares = 0.0;
    for (var i = lane; i < shape.n; i += WIDTH) {
        let v = x[source + i] - mean;
        squares += v * v;
    }
    let factor = inverseSqrt(sum_of_all(lane, squares) / f32(shape.n) + shape.eps);
    for (var i = lane; i < shape.n; i += WIDTH) {
        var value = (x[source + i] - mean) * factor * weight[i];
        if (BIAS != 0u) {
            value += bias[i];
        }
        if (shape.accumulate != 0u) {
            value += out[to + i];
        }
        out[to + i] = value;
    }
}
