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
    // factor on them
    scale: f32,
    // 1: experts are chosen by their probability plus a bias, else by their score
    has_bias: u32,
    // groups of experts, those that are chosen from, and how many of its best tell how good a group is
    groups: u32,
    open: u32,
    best: u32,
}
const WIDTH: u32 = 64u;
const LOWEST: f32 = -3.0e38;
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
#import shared/sum
var<workgroup> scores: array<f32, 512>;
// what experts are chosen by; those that are taken have LOWEST
var<workgroup> merits: array<f32, 512>;
var<workgroup> sums: array<f32, 512>;
var<workgroup> best: array<u32, 64>;

fn better(a: u32, b: u32) -> u32 {
    let swap = merits[b] > merits[a] || (merits[b] == merits[a] && b < a);
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

fn probability(score: f32, top: f32, sum: f32) -> f32 {
    return select(exp(score - top) / sum, 1.0 / (1.0 + exp(-score)), shape.sigmoid != 0u);
}

// The sum of the best of a group.
fn group_sum(group: u32, size: u32) -> f32 {
    var sum = 0.0;
    for (var i = group * size; i < (group + 1u) * size; i++) {
        var ahead = 0u;
        for (var j = group * size; j < (group + 1u) * size; j++) {
            ahead += u32(j != i && better(i, j) == j);
        }
        sum += select(0.0, merits[i], ahead < shape.best);
    }
    return sum;
}

// Takes the experts of all groups but the best.
fn close_groups(lane: u32) {
    let size = shape.n / shape.groups;
    for (var g = lane; g < shape.groups; g += WIDTH) {
        sums[g] = group_sum(g, size);
    }
    workgroupBarrier();
    for (var e = lane; e < shape.n; e += WIDTH) {
        let own = e / size;
        var ahead = 0u;
        for (var g = 0u; g < shape.groups; g++) {
            ahead += u32(sums[g] > sums[own] || (sums[g] == sums[own] && g < own));
        }
        merits[e] = select(LOWEST, merits[e], ahead < shape.open);
    }
    workgroupBarrier();
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let source = group.y * shape.x_stride;
    let to = group.y * shape.out_stride;
    for (var e = lane; e < shape.n; e += WIDTH) {
        // a score that is no number comes last
        let score = x[source + e];
        scores[e] = select(LOWEST * 0.5, score, score > LOWEST * 0.5);
        merits[e] = scores[e];
    }
    workgroupBarrier();
    let top = scores[best_of_all(lane)];
    var exps = 0.0;
    for (var e = lane; e < shape.n; e += WIDTH) {
        exps += exp(scores[e] - top);
    }
    let sum = sum_of_all(lane, exps);
    if (shape.has_bias != 0u) {
        for (var e = lane; e < shape.n; e += WIDTH) {
            merits[e] = max(probability(scores[e], top, sum) + bias[e], LOWEST * 0.5);
        }
        workgroupBarrier();
    }
    if (shape.groups > 1u) {
        close_groups(lane);
    }
    var taken = 0.0;
    for (var i = 0u; i < shape.used; i++) {
        let e = best_of_all(lane);
        let p = probability(scores[e], top, sum);
        taken += p;
        if (lane == 0u) {
            out[to + i] = f32(e);
            out[to + shape.used + i] = p;
            merits[e] = LOWEST;
        }
        workgroupBarrier();
    }
    if (lane == 0u) {
        let factor = shape.scale / select(1.0, taken, shape.normalized != 0u);
        for (var i = 0u; i < shape.used; i++) {
            out[to + shape.used + i] *= factor;
        }
    }
}
