// The second plane of a quantized matrix: scales, offsets and high bits; at level `texel` a texture of a word a texel.
#ifdef LEVEL_TEXEL PLANES_TEXTURE
// texels of a row: 16 KiB (runtime/src/device/gpu/plane.rs)
const WORDS_WIDTH: u32 = 4096u;
@group(0) @binding(3) var scales: texture_storage_2d<r32uint, read>;

fn scale_word(at: u32) -> u32 {
    return textureLoad(scales, vec2<u32>(at % WORDS_WIDTH, at / WORDS_WIDTH)).x;
}

fn scale_words() -> u32 {
    return textureDimensions(scales).y * WORDS_WIDTH;
}
#else
@group(0) @binding(3) var<storage, read> scales: array<u32>;

fn scale_word(at: u32) -> u32 {
    return scales[at];
}

fn scale_words() -> u32 {
    return arrayLength(&scales);
}
#endif

// Word `word` of the `words` that a block of `units` units has for row `r` of the tile.
fn scale_at(tile: u32, block: u32, units: u32, word: u32, words: u32, r: u32) -> u32 {
    return scale_word(((tile * (shape.units / units) + block) * words + word) * TILE + r);
}

// One of the two f16 of a word.
fn half_of(word: u32, second: u32) -> f32 {
    let both = unpack2x16float(word);
    return select(both.x, both.y, second != 0u);
}
