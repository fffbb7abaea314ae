// The row that decode_attention makes: its query heads, key and value, normed, turned and stored. Needs shared/attend,
// whose `query` they become.
// 1 where query heads, key heads are normed
override NORM_Q: u32 = 1u;
override NORM_K: u32 = 1u;
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
@group(0) @binding(6) var<storage, read> norms: array<f32>;
// by element of a head
var<workgroup> own_key: array<f32, 256>;
var<workgroup> own_value: array<f32, 256>;

fn load(lane: u32, heads: vec4<u32>, kv_head: u32) {
    let dim = 2u * shape.pairs;
    for (var e = lane; e < dim; e += WIDTH) {
        let q = heads * dim + e;
        query[e] = vec4<f32>(qkv[q.x], qkv[q.y], qkv[q.z], qkv[q.w]);
        own_key[e] = qkv[(shape.heads + kv_head) * dim + e];
        own_value[e] = qkv[(shape.heads + shape.kv_heads + kv_head) * dim + e];
    }
}

// RMS-norms query and key. Each invocation touches only its own elements.
fn norm(lane: u32) {
    let dim = 2u * shape.pairs;
    var q = vec4<f32>(0.0);
    var k = 0.0;
    for (var e = lane; e < dim; e += WIDTH) {
        q += query[e] * query[e];
        k += own_key[e] * own_key[e];
    }
    let q_factor = inverseSqrt(sum_of_all(lane, q) / f32(dim) + shape.eps);
    let k_factor = inverseSqrt(sum_of_all(lane, vec4<f32>(k)).x / f32(dim) + shape.eps);
    for (var e = lane; e < dim; e += WIDTH) {
        if (NORM_Q != 0u) {
            query[e] *= q_factor * norms[shape.q_norm + e];
        }
        if (NORM_K != 0u) {
            own_key[e] *= k_factor * norms[shape.k_norm + e];
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
        let k = vec2<f32>(own_key[at.x], own_key[at.y]);
        own_key[at.x] = k.x * t.x - k.y * t.y;
        own_key[at.y] = k.y * t.x + k.x * t.y;
    }
}

// Rounds the own key and value to what the cache holds, and stores them if `keep`.
fn pack(lane: u32, kv_head: u32, keep: bool) {
    let slot = run.pos % shape.capacity;
    for (var p = lane; p < shape.pairs; p += WIDTH) {
        let key = packed(vec2<f32>(own_key[2u * p], own_key[2u * p + 1u]));
        let value = packed(vec2<f32>(own_value[2u * p], own_value[2u * p + 1u]));
        own_key[2u * p] = unpacked(key).x;
        own_key[2u * p + 1u] = unpacked(key).y;
        own_value[2u * p] = unpacked(value).x;
        own_value[2u * p + 1u] = unpacked(value).y;
        if (keep) {
            keys[key_at(kv_head, slot, p)] = key;
            values[value_at(kv_head, slot, p)] = value;
        }
    }
}
