// The row that decode_attention makes: its query heads, key and value, normed, turned and stored. Needs shared/attend,
// whose `query` they become.
// 1 where query heads, key heads are normed
override NORM_Q: u32 = 1u;
override NORM_K: u32 = 1u;
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
@group(0) @binding(6) var<storage, read> arena: array<f32>;
const HEAD: u32 = 512u;
#import shared/store
// where the own key and value start in `head`
const KEY: u32 = 0u;
const VALUE: u32 = 256u;

fn load(lane: u32, heads: vec4<u32>, kv_head: u32) {
    let dim = 2u * shape.pairs;
    for (var e = lane; e < dim; e += WIDTH) {
        let q = heads * dim + e;
        query[e] = vec4<f32>(qkv[q.x], qkv[q.y], qkv[q.z], qkv[q.w]);
        head[KEY + e] = qkv[(shape.heads + kv_head) * dim + e];
        if (KEYS_ONLY == 0u) {
            head[VALUE + e] = qkv[(shape.heads + shape.kv_heads + kv_head) * dim + e];
        }
    }
}

// RMS-norms query and key. Each invocation touches only its own elements.
fn norm(lane: u32) {
    let dim = 2u * shape.pairs;
    var q = vec4<f32>(0.0);
    var k = 0.0;
    for (var e = lane; e < dim; e += WIDTH) {
        q += query[e] * query[e];
        k += head[KEY + e] * head[KEY + e];
    }
    let q_factor = inverseSqrt(sum_of_all(lane, q) / f32(dim) + shape.eps);
    let k_factor = inverseSqrt(sum_of_all(lane, vec4<f32>(k)).x / f32(dim) + shape.eps);
    for (var e = lane; e < dim; e += WIDTH) {
        if (NORM_Q != 0u) {
            query[e] *= q_factor * arena[shape.q_norm + e];
        }
        if (NORM_K != 0u) {
            head[KEY + e] *= k_factor * arena[shape.k_norm + e];
        }
    }
}

fn rotate(lane: u32) {
    for (var j = lane; j < shape.rotated; j += WIDTH) {
        let t = turn(run.pos, j);
        let at = partners(j);
        let q = mat2x4<f32>(query[at.x], query[at.y]);
        query[at.x] = q[0] * t.x - q[1] * t.y;
        query[at.y] = q[1] * t.x + q[0] * t.y;
        let k = vec2<f32>(head[KEY + at.x], head[KEY + at.y]);
        head[KEY + at.x] = k.x * t.x - k.y * t.y;
        head[KEY + at.y] = k.y * t.x + k.x * t.y;
    }
}

fn own_score(lane: u32) -> vec4<f32> {
    var sum = vec4<f32>(0.0);
    for (var p = lane; p < PAIRS; p += WIDTH) {
        sum += mat2x4<f32>(query[2u * p], query[2u * p + 1u]) * cached_pair(KEY, p);
    }
    return shape.scale * sum_of_all(lane, sum);
}

// Begins the sums with the own value, or with nothing.
fn begin_sums(lane: u32, own: bool) {
    let base = select(KEY, VALUE, KEYS_ONLY == 0u);
    for (var p = lane; p < PAIRS; p += WIDTH) {
        let value = select(vec2<f32>(0.0), cached_pair(base, p), own);
        acc[2u * p] = vec4<f32>(value.x);
        acc[2u * p + 1u] = vec4<f32>(value.y);
    }
}
