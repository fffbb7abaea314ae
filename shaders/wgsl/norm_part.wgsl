// Norms parts of x in place: n columns each, side by side from `first` on. Parts over x, rows over y.
struct Shape {
    n: u32,
    first: u32,
    stride: u32,
    // from one part's weights to the next's, and biases; 0 where all parts have the same
    step: u32,
    bias_step: u32,
    eps: f32,
}
override WIDTH: u32 = 256u;
// 1 for layer norms; the mean of RMS norms is 0
override CENTERED: u32 = 0u;
// 0: every weight is 1
override WEIGHTED: u32 = 1u;
override BIAS: u32 = 0u;
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
#import shared/sum

fn mean_of(lane: u32, at: u32) -> f32 {
    if (CENTERED == 0u) {
        return 0.0;
    }
    var sum = 0.0;
    for (var i = lane; i < shape.n; i += WIDTH) {
        sum += x[at + i];
    }
    let mean = sum_of_all(lane, sum) / f32(shape.n);
    workgroupBarrier();
    return mean;
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = group.y * shape.stride + shape.first + group.x * shape.n;
    let weights = group.x * shape.step;
    let biases = group.x * shape.bias_step;
    let mean = mean_of(lane, at);
    var squares = 0.0;
    for (var i = lane; i < shape.n; i += WIDTH) {
        let v = x[at + i] - mean;
        squares += v * v;
    }
    let factor = inverseSqrt(sum_of_all(lane, squares) / f32(shape.n) + shape.eps);
    for (var i = lane; i < shape.n; i += WIDTH) {
        var value = (x[at + i] - mean) * factor;
        if (WEIGHTED != 0u) {
            value *= weight[weights + i];
        }
        if (BIAS != 0u) {
            value += bias[biases + i];
        }
        x[at + i] = value;
    }
}
