// What rope_store and attention do, for one row in one go. A workgroup makes up to four query heads of one key/value head,
// for one span of the cached keys (heads over x, spans over y): each key and value is loaded once for the four. Whatever
// belongs to the row itself is never read from the cache: every workgroup turns the row's own key, the last span attends to
// it, and one workgroup stores it. Several spans leave (acc, m, l) in `partials` for merge_heads.
struct Shape {
    heads: u32,
    kv_heads: u32,
    // head_dim / 2
    pairs: u32,
    capacity: u32,
    slots: u32,
    window: u32,
    rotated: u32,
    neighbours: u32,
    coarse: u32,
    fine: u32,
    // where the norms of query and key heads start
    q_norm: u32,
    k_norm: u32,
    eps: f32,
    scale: f32,
}
// at most 128
override WIDTH: u32 = 64u;
@group(0) @binding(0) var<uniform> shape: Shape;
#import shared/run
#import shared/cache
#import shared/rope
#import shared/spans
#import shared/own_row
@group(0) @binding(3) var<storage, read_write> keys: array<Pair>;
@group(0) @binding(4) var<storage, read_write> values: array<Pair>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;
@group(0) @binding(8) var<storage, read_write> partials: array<f32>;
const LOWEST: f32 = -3.0e38;
const BLOCK: u32 = 256u;
// by element of a head, as `query`
var<workgroup> acc: array<vec4<f32>, 256>;
// by key of a block: scores, then weights
var<workgroup> scores: array<vec4<f32>, 256>;
var<workgroup> tops: array<vec4<f32>, 128>;

fn ring(slot: u32) -> u32 {
    return select(slot, slot - shape.capacity, slot >= shape.capacity);
}

// The sum of one vec4 per invocation, in a fixed order.
fn sum_of_all(lane: u32, value: vec4<f32>) -> vec4<f32> {
    tops[lane] = value;
    workgroupBarrier();
    for (var half = WIDTH / 2u; half > 0u; half /= 2u) {
        if (lane < half) {
            tops[lane] += tops[lane + half];
        }
        workgroupBarrier();
    }
    let sum = tops[0];
    workgroupBarrier();
    return sum;
}

fn own_score(lane: u32) -> vec4<f32> {
    var sum = vec4<f32>(0.0);
    for (var e = lane; e < 2u * shape.pairs; e += WIDTH) {
        sum += query[e] * own_key[e];
    }
    return shape.scale * sum_of_all(lane, sum);
}

fn score(kv_head: u32, slot: u32) -> vec4<f32> {
    let at = key_at(kv_head, slot, 0u);
    var sum = vec4<f32>(0.0);
    for (var p = 0u; p < shape.pairs; p++) {
        let key = unpacked(keys[at + 8u * p]);
        sum += query[2u * p] * key.x + query[2u * p + 1u] * key.y;
    }
    return shape.scale * sum;
}

// acc = keep * acc + the block's values by their weights.
fn add_values(lane: u32, kv_head: u32, start: u32, count: u32, keep: vec4<f32>) {
    for (var p = lane; p < shape.pairs; p += WIDTH) {
        var even = acc[2u * p] * keep;
        var odd = acc[2u * p + 1u] * keep;
        var slot = start;
        for (var i = 0u; i < count; i++) {
            let value = unpacked(values[value_at(kv_head, slot, p)]);
            even += scores[i] * value.x;
            odd += scores[i] * value.y;
            slot = ring(slot + 1u);
        }
        acc[2u * p] = even;
        acc[2u * p + 1u] = odd;
    }
}

// The largest of one vec4 per invocation.
fn top_of_all(lane: u32, value: vec4<f32>) -> vec4<f32> {
    tops[lane] = value;
    workgroupBarrier();
    var top = value;
    for (var i = 0u; i < WIDTH; i++) {
        top = max(top, tops[i]);
    }
    return top;
}

// Stores the heads, or what merge_heads needs of a span of them.
fn store(lane: u32, head: u32, heads: u32, m: vec4<f32>, l: vec4<f32>, all: u32, span: u32) {
    let dim = 2u * shape.pairs;
    for (var h = 0u; h < heads; h++) {
        let at = (span * shape.heads + head + h) * (dim + 2u);
        for (var e = 2u * lane; e < dim; e += 2u * WIDTH) {
            if (all == 1u) {
                out[(head + h) * dim + e] = acc[e][h] / l[h];
                out[(head + h) * dim + e + 1u] = acc[e + 1u][h] / l[h];
            } else {
                partials[at + e] = acc[e][h];
                partials[at + e + 1u] = acc[e + 1u][h];
            }
        }
        if (all > 1u && lane == 0u) {
            partials[at + dim] = m[h];
            partials[at + dim + 1u] = l[h];
        }
    }
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let per_kv = shape.heads / shape.kv_heads;
    let chunks = (per_kv + 3u) / 4u;
    let kv_head = group.x / chunks;
    let chunk = group.x % chunks;
    let head = kv_head * per_kv + 4u * chunk;
    let count_heads = min(4u, per_kv - 4u * chunk);
    let all = spans(run.pos);
    let last = group.y == all - 1u;
    load(lane, vec4<u32>(head) + min(vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(count_heads - 1u)), kv_head);
    if (NORM_Q + NORM_K > 0u) {
        norm(lane);
    }
    workgroupBarrier();
    rotate(lane);
    workgroupBarrier();
    pack(lane, kv_head, last && chunk == 0u);
    workgroupBarrier();
    // the softmax is kept online: running maximum, and each invocation's part of the sum
    var m = select(vec4<f32>(LOWEST), own_score(lane), last);
    var l = select(vec4<f32>(0.0), vec4<f32>(1.0), last && lane == 0u);
    for (var e = 2u * lane; e < 2u * shape.pairs; e += 2u * WIDTH) {
        acc[e] = select(vec4<f32>(0.0), vec4<f32>(own_value[e]), last);
        acc[e + 1u] = select(vec4<f32>(0.0), vec4<f32>(own_value[e + 1u]), last);
    }
    let begin = first_seen(run.pos) + group.y * SPAN;
    let end = min(begin + SPAN, run.pos);
    for (var block = begin; block < end; block += BLOCK) {
        let count = min(BLOCK, end - block);
        let start = block % shape.capacity;
        var own = m;
        for (var i = lane; i < count; i += WIDTH) {
            scores[i] = score(kv_head, ring(start + i));
            own = max(own, scores[i]);
        }
        let top = top_of_all(lane, own);
        let keep = exp(m - top);
        m = top;
        l *= keep;
        for (var i = lane; i < count; i += WIDTH) {
            scores[i] = exp(scores[i] - top);
            l += scores[i];
        }
        workgroupBarrier();
        add_values(lane, kv_head, start, count, keep);
        workgroupBarrier();
    }
    store(lane, head, count_heads, m, sum_of_all(lane, l), all, group.y);
}
