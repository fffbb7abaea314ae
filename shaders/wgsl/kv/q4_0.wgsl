// A cache of nibbles, the quants of Q4_0 blocks: eight elements a word.
#import kv/blocks
const PER: u32 = 4u;

fn pair_in(word: Word, k: u32) -> vec2<f32> {
    let two = word >> (8u * k);
    return vec2<f32>(f32(two & 15u), f32((two >> 4u) & 15u)) - 8.0;
}
fn scale_of(largest: f32) -> f32 {
    return largest / -8.0;
}
fn four_nibbles(x: vec4<f32>) -> u32 {
    let q = min(vec4<u32>(x + 8.5), vec4<u32>(15u));
    return q.x | (q.y << 4u) | (q.z << 8u) | (q.w << 12u);
}
fn encoded(lo: vec4<f32>, hi: vec4<f32>, inverse: f32) -> Word {
    return four_nibbles(lo * inverse) | (four_nibbles(hi * inverse) << 16u);
}
