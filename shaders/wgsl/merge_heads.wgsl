// Merges the spans that decode_attention left of each head, in order, into softmax(scale q·K) V. One workgroup a head.
struct Shape {
    heads: u32,
    head_dim: u32,
    window: u32,
    sinks: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
#import shared/run
#import shared/spans
@group(0) @binding(2) var<storage, read> partials: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read> arena: array<f32>;
#import shared/sinks
override WIDTH: u32 = 64u;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let dim = shape.head_dim;
    let step = shape.heads * (dim + 2u);
    let first = group.x * (dim + 2u);
    let all = spans(run.pos);
    var m = partials[first + dim];
    for (var span = 1u; span < all; span++) {
        m = max(m, partials[first + span * step + dim]);
    }
    for (var e = lane; e < dim; e += WIDTH) {
        var l = 0.0;
        var acc = 0.0;
        for (var span = 0u; span < all; span++) {
            let at = first + span * step;
            let keep = exp(partials[at + dim] - m);
            l += keep * partials[at + dim + 1u];
            acc += keep * partials[at + e];
        }
        out[group.x * dim + e] = acc / (l + sink(group.x, m));
    }
}
