// RMS-norms parts of x in place: n columns each, side by side from `first` on. Parts over x, rows over y.
struct Shape {
    n: u32,
    first: u32,
    stride: u32,
    // from one part's weights to the next's; 0 where all parts have the same
    step: u32,
    eps: f32,
}
override WIDTH: u32 = 256u;
// 0: every weight is 1
override WEIGHTED: u32 = 1u;
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
#import shared/sum

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = group.y * shape.stride + shape.first + group.x * shape.n;
    let weights = group.x * shape.step;
    var squares = 0.0;
    for (var i = lane; i < shape.n; i += WIDTH) {
        squares += x[at + i] * x[at + i];
    }
    let factor = inverseSqrt(sum_of_all(lane, squares) / f32(shape.n) + shape.eps);
    for (var i = lane; i < shape.n; i += WIDTH) {
        var w = 1.0;
        if (WEIGHTED != 0u) {
            w = weight[weights + i];
        }
        x[at + i] *= factor * w;
    }
}
