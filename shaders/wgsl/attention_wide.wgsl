// As attention, for heads whose tiles do not fit: one query head of one row per workgroup, over the positions that
// the row may see. Keys come in blocks of WIDTH, one an invocation; the softmax is kept online (running maximum m, sum l),
// and each invocation accumulates up to two pairs of output elements, WIDTH apart.
// at least head_dim / 4
override WIDTH: u32 = 64u;
#import shared/heads
#import shared/run
#import shared/cache
@group(0) @binding(2) var<storage, read> qkv: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> keys: array<Word>;
@group(0) @binding(4) var<storage, read> values: array<Word>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<storage, read> arena: array<f32>;
#import shared/scores
#import shared/visible
#import shared/sinks
// two arrays, so that two barriers a block suffice
var<workgroup> scores: array<f32, 256>;
var<workgroup> weights: array<f32, 256>;

// q·k; q's address is the same for all invocations.
fn score(query: u32, kv_head: u32, slot: u32) -> f32 {
    let key = key_at(kv_head, slot);
    var sum = 0.0;
    for (var pair = 0u; pair < shape.pairs; pair++) {
        sum += dot(qkv[query + pair], key_pair(key, pair));
    }
    return capped(vec4<f32>(shape.scale * sum)).x;
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let kv_head = group.x / (shape.heads / shape.kv_heads);
    let query = group.y * (shape.qkv_stride / 2u) + group.x * shape.pairs;
    let seen = visible(group.y);
    let first = seen.x;
    let end = seen.y;
    let own_pos = run.pos + group.y;
    let pair = min(vec2<u32>(lane, lane + WIDTH), vec2<u32>(shape.pairs - 1u));
    let steepness = slope(group.x);
    var m = LOWEST;
    var l = 0.0;
    var acc = vec4<f32>(0.0);
    for (var block = first; block < end; block += WIDTH) {
        let count = min(WIDTH, end - block);
        let start = block % shape.capacity;
        // lanes without a key repeat the last one
        let key = min(lane, count - 1u);
        let pos = block + key;
        var own = score(query, kv_head, ring(start + key)) - steepness * f32(max(own_pos, pos) - min(own_pos, pos));
        if (BUCKETS != 0u) {
            own += bias_at(group.x, own_pos, pos);
        }
        scores[lane] = own;
        workgroupBarrier();
        var top = m;
        for (var i = 0u; i < count; i++) {
            top = max(top, scores[i]);
        }
        weights[lane] = exp(own - top);
        workgroupBarrier();
        let keep = exp(m - top);
        m = top;
        l *= keep;
        acc *= keep;
        var slot = start;
        for (var i = 0u; i < count; i++) {
            let p = weights[i];
            l += p;
            let at = value_at(kv_head, slot);
            var v = vec4<f32>(value_pair(at, pair.x), 0.0, 0.0);
            if (shape.pairs > WIDTH) {
                v = vec4<f32>(v.xy, value_pair(at, pair.y));
            }
            acc += p * v;
            slot = ring(slot + 1u);
        }
    }
    let sum = l + sink(group.x, m);
    store(group, lane, acc.xy / sum);
    store(group, lane + WIDTH, acc.zw / sum);
}

fn store(group: vec3<u32>, pair: u32, v: vec2<f32>) {
    if (pair < shape.pairs) {
        let at = group.y * shape.out_stride + 2u * (group.x * shape.pairs + pair);
        out[at] = v.x;
        out[at + 1u] = v.y;
    }
}
