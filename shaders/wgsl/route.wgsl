// out = [the experts with the best scores, as numbers | their probabilities]; of equal ones the first. One workgroup a row.
struct Shape {
    // experts: all, those used
    n: u32,
    used: u32,
    x_stride: u32,
    out_stride: u32,
    // 1: probabilities are sigmoids, else a softmax
    sigmoid: u32,
    // 1: they are divided by the sum of those used
    normalized: u32,
}
const WIDTH: u32 = 64u;
const LOWEST: f32 = -3.0e38;
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
#import shared/sum
// scores of all experts; those that are taken become LOWEST
var<workgroup> scores: array<f32, 512>;
var<workgroup> best: array<u32, 64>;

fn better(a: u32, b: u32) -> u32 {
    let swap = scores[b] > scores[a] || (scores[b] == scores[a] && b < a);
    return select(a, b, swap);
}

// The best of all experts.
fn best_of_all(lane: u32) -> u32 {
    var own = min(lane, shape.n - 1u);
    for (var e = lane; e < shape.n; e += WIDTH) {
        own = better(own, e);
    }
    best[lane] = own;
    workgroupBarrier();
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            best[lane] = better(best[lane], best[lane + half]);
        }
        workgroupBarrier();
    }
    let found = best[0];
    workgroupBarrier();
    return found;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let source = group.y * shape.x_stride;
    let to = group.y * shape.out_stride;
    for (var e = lane; e < shape.n; e += WIDTH) {
        // a score that is no number comes last
        let score = x[source + e];
        scores[e] = select(LOWEST * 0.5, score, score > LOWEST * 0.5);
    }
    workgroupBarrier();
    let top = scores[best_of_all(lane)];
    var exps = 0.0;
    for (var e = lane; e < shape.n; e += WIDTH) {
        exps += exp(scores[e] - top);
    }
    let sum = sum_of_all(lane, exps);
    var taken = 0.0;
    for (var i = 0u; i < shape.used; i++) {
        let e = best_of_all(lane);
        let score = scores[e];
        workgroupBarrier();
        let p = select(exp(score - top) / sum, 1.0 / (1.0 + exp(-score)), shape.sigmoid != 0u);
        taken += p;
        if (lane == 0u) {
            out[to + i] = f32(e);
            out[to + shape.used + i] = p;
            scores[e] = LOWEST;
        }
        workgroupBarrier();
    }
    if (shape.normalized != 0u && lane == 0u) {
        for (var i = 0u; i < shape.used; i++) {
            out[to + shape.used + i] /= taken;
        }
    }
}
