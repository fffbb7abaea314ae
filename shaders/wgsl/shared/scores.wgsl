// What becomes of scores before the softmax. Needs `shape.softcap`, `shape.alibi` and `shape.heads`.
// 1 where scores are capped
override CAPPED: u32 = 0u;
// 1 where keys further away score less
override ALIBI: u32 = 0u;
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
