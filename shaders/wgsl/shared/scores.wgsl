// What becomes of scores before the softmax. Needs `shape.softcap`, `shape.alibi`, `shape.heads`, `shape.relative` and `arena`.
// 1 where scores are capped
override CAPPED: u32 = 0u;
// 1 where keys further away score less
override ALIBI: u32 = 0u;
// how many buckets biases by distance have; 0 where there are none
override BUCKETS: u32 = 0u;
// 1 where half of the buckets are those of later keys
override BOTH_WAYS: u32 = 0u;
#import shared/tanh

fn capped(s: vec4<f32>) -> vec4<f32> {
    if (CAPPED == 0u) {
        return s;
    }
    let v = s / shape.softcap;
    return shape.softcap * vec4<f32>(accurate_tanh(v.x), accurate_tanh(v.y), accurate_tanh(v.z), accurate_tanh(v.w));
}

// As `AttentionPlan::slope`.
fn slope(head: u32) -> f32 {
    if (ALIBI == 0u) {
        return 0.0;
    }
    let n = 1u << firstLeadingBit(shape.heads);
    let steps = select(f32(head) + 0.5 - f32(n), f32(head) + 1.0, head < n);
    return exp2(-shape.alibi * steps / f32(n));
}

// As `AttentionPlan::bucket`.
fn bucket(query: u32, key: u32) -> u32 {
    let n = max(select(BUCKETS, BUCKETS / 2u, BOTH_WAYS != 0u), 4u);
    let later = select(0u, n, BOTH_WAYS != 0u && key > query);
    let distance = max(query, key) - min(query, key);
    let exact = n / 2u;
    if (distance < exact) {
        return later + distance;
    }
    let steps = f32(n - exact) / log2(128.0 / f32(exact));
    return later + min(exact + u32(log2(f32(distance) / f32(exact)) * steps + 0.001), n - 1u);
}

// A head's bias for the distance of query and key.
fn bias_at(head: u32, query: u32, key: u32) -> f32 {
    return arena[shape.relative + bucket(query, key) * shape.heads + head];
}

// Those of a key for four queries.
fn biases(heads: vec4<u32>, query: vec4<u32>, key: u32) -> vec4<f32> {
    var sum = vec4<f32>(0.0);
    for (var i = 0u; i < 4u; i++) {
        sum[i] = bias_at(heads[i], query[i], key);
    }
    return sum;
}
