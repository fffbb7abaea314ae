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
    softcap: f32,
    alibi: f32,
    sinks: u32,
    relative: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
#import shared/run
#import shared/cache
#import shared/rope
#import shared/spans
#import shared/attend
#import shared/own_row
#import shared/sinks
@group(0) @binding(3) var<storage, read_write> keys: array<Word>;
@group(0) @binding(4) var<storage, read_write> values: array<Word>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;
@group(0) @binding(8) var<storage, read_write> partials: array<f32>;

// Stores the heads, or what merge_heads needs of a span of them.
fn store(lane: u32, head: u32, heads: u32, m: vec4<f32>, l: vec4<f32>, all: u32, span: u32) {
    let dim = 2u * shape.pairs;
    for (var h = 0u; h < heads; h++) {
        let at = (span * shape.heads + head + h) * (dim + 2u);
        for (var e = 2u * lane; e < dim; e += 2u * WIDTH) {
            if (all == 1u) {
                let sum = l[h] + sink(head + h, m[h]);
                out[(head + h) * dim + e] = acc[e][h] / sum;
                out[(head + h) * dim + e + 1u] = acc[e + 1u][h] / sum;
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
    let heads = vec4<u32>(head) + min(vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(count_heads - 1u));
    for_heads(heads);
    load(lane, heads, kv_head);
    if (NORM_Q + NORM_K > 0u) {
        norm(lane);
    }
    workgroupBarrier();
    rotate(lane);
    workgroupBarrier();
    if (last && chunk == 0u) {
        store_key(lane, KEY, kv_head, run.pos % shape.capacity);
        if (KEYS_ONLY == 0u) {
            store_value(lane, VALUE, kv_head, run.pos % shape.capacity);
        }
    }
    var own = capped(own_score(lane));
    if (BUCKETS != 0u) {
        own += biases(own_heads, vec4<u32>(run.pos), run.pos);
    }
    let m = select(vec4<f32>(LOWEST), own, last);
    let l = select(vec4<f32>(0.0), vec4<f32>(1.0), last && lane == 0u);
    begin_sums(lane, last);
    workgroupBarrier();
    let begin = first_seen(run.pos) + group.y * SPAN;
    let end = min(begin + SPAN, run.pos);
    let seen = Seen(vec4<u32>(begin), vec4<u32>(end), vec4<u32>(run.pos));
    let softmax = attend(lane, kv_head, begin, end, seen, Softmax(m, l));
    store(lane, head, count_heads, softmax.m, sum_of_all(lane, softmax.l), all, group.y);
}
