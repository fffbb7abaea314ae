// One head of one row of [q heads | k heads | v heads] per workgroup: RMS-norms q and k heads where the layer has such norms,
// rotates them in place, and stores k and v in the cache. Heads over x, rows over y.
struct Shape {
    heads: u32,
    kv_heads: u32,
    // head_dim / 2
    pairs: u32,
    stride: u32,
    capacity: u32,
    slots: u32,
    // rotated pairs; 1 if a pair is (2j, 2j + 1), else (j, j + rotated)
    rotated: u32,
    neighbours: u32,
    // where this rope's angles of 256 a and of b start
    coarse: u32,
    fine: u32,
    eps: f32,
    // 1 where rows are those of whole texts
    texts: u32,
}
override WIDTH: u32 = 64u;
// 1 where query heads, key heads are normed
override NORM_Q: u32 = 1u;
override NORM_K: u32 = 1u;
@group(0) @binding(0) var<uniform> shape: Shape;
#import shared/run
#import shared/texts
#import shared/cache
const HEAD: u32 = 576u;
#import shared/store
#import shared/sum
#import shared/rope
@group(0) @binding(2) var<storage, read_write> qkv: array<f32>;
@group(0) @binding(3) var<storage, read> q_norm: array<f32>;
@group(0) @binding(4) var<storage, read> k_norm: array<f32>;
@group(0) @binding(6) var<storage, read_write> keys: array<Word>;
@group(0) @binding(7) var<storage, read_write> values: array<Word>;

// Rotates the head; an invocation touches both elements of its pairs.
fn rotate(lane: u32, pos: u32) {
    for (var j = lane; j < shape.rotated; j += WIDTH) {
        let t = turn(pos, j);
        let at = partners(j);
        let v = vec2<f32>(head[at.x], head[at.y]);
        head[at.x] = v.x * t.x - v.y * t.y;
        head[at.y] = v.y * t.x + v.x * t.y;
    }
}

fn norm_weight(is_query: bool, e: u32) -> f32 {
    if (is_query) {
        return q_norm[e];
    }
    return k_norm[e];
}

// RMS-norms the head, if it is one that is normed. Each invocation touches only its own elements.
fn norm(lane: u32, is_query: bool, normed: bool) {
    var squares = 0.0;
    for (var e = lane; e < 2u * shape.pairs; e += WIDTH) {
        squares += head[e] * head[e];
    }
    let factor = inverseSqrt(sum_of_all(lane, squares) / f32(2u * shape.pairs) + shape.eps);
    if (normed) {
        for (var e = lane; e < 2u * shape.pairs; e += WIDTH) {
            head[e] *= factor * norm_weight(is_query, e);
        }
    }
}

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let slot = (run.pos + group.y) % shape.capacity;
    let source = group.y * shape.stride + group.x * 2u * shape.pairs;
    let is_query = group.x < shape.heads;
    let is_value = group.x >= shape.heads + shape.kv_heads;
    for (var e = lane; e < 2u * shape.pairs; e += WIDTH) {
        head[e] = qkv[source + e];
    }
    if (NORM_Q + NORM_K > 0u) {
        norm(lane, is_query, select(NORM_K, NORM_Q, is_query) != 0u && !is_value);
    }
    workgroupBarrier();
    if (is_value) {
        store_value(lane, 0u, group.x - shape.heads - shape.kv_heads, slot);
        return;
    }
    rotate(lane, position(group.y));
    workgroupBarrier();
    for (var e = lane; e < 2u * shape.pairs; e += WIDTH) {
        qkv[source + e] = head[e];
    }
    if (!is_query) {
        store_key(lane, 0u, group.x - shape.heads, slot);
    }
}
