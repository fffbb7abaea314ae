// A cache without scales. See shared/cache.
const SCALED: bool = false;
const PER: u32 = 1u;
const GROUP: u32 = 256u;

fn pair_in(word: Word, k: u32) -> vec2<f32> {
    return unpacked(word);
}
fn scale_of(largest: f32) -> f32 {
    return 1.0;
}
fn encoded(lo: vec4<f32>, hi: vec4<f32>, inverse: f32) -> Word {
    return packed(lo.xy);
}
