// A cache of bytes, 128 more than the quants of Q8_0 blocks: four elements a word.
#import kv/blocks
const PER: u32 = 2u;

fn pair_in(word: Word, k: u32) -> vec2<f32> {
    let two = word >> (16u * k);
    return vec2<f32>(f32(two & 255u), f32((two >> 8u) & 255u)) - 128.0;
}
fn scale_of(largest: f32) -> f32 {
    return abs(largest) / 127.0;
}
fn encoded(lo: vec4<f32>, hi: vec4<f32>, inverse: f32) -> Word {
    let x = lo * inverse;
    // halves are rounded away from zero
    let q = vec4<u32>(sign(x) * floor(abs(x) + 0.5) + 128.0);
    return q.x | (q.y << 8u) | (q.z << 16u) | (q.w << 24u);
}
