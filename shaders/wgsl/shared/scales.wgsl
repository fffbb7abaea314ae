// The second plane of a quantized matrix: scales, offsets and high bits.
@group(0) @binding(3) var<storage, read> scales: array<u32>;

// Word `word` of the `words` that a block of `units` units has for row `r` of the tile.
fn scale_at(tile: u32, block: u32, units: u32, word: u32, words: u32, r: u32) -> u32 {
    return scales[((tile * (shape.units / units) + block) * words + word) * TILE + r];
}

// One of the two f16 of a word.
fn half_of(word: u32, second: u32) -> f32 {
    let both = unpack2x16float(word);
    return select(both.x, both.y, second != 0u);
}
