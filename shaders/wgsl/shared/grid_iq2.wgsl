// Levels 8, 25 and 43 in vectors of eight, with signs. Needs VECTORS.
#import shared/grid
const ZERO: f32 = 64.0;

fn levels(v: u32) -> u32 {
    let c = spread_pairs(v);
    return 0x08080808u + 17u * c + ((c >> 1u) & 0x01010101u);
}

fn bytes_signed(index: u32, signs: u32) -> vec2<u32> {
    let v = vector_at(index);
    return vec2<u32>(with_signs(levels(v), signs), with_signs(levels(v >> 8u), signs >> 4u));
}

// Scales of two half units: d / 8 times 2 s + 1, s the nibbles of byte `unit` of eight.
fn nibble_scales(d: u32, word: u32, unit: u32) -> vec2<f32> {
    let byte = word >> (8u * (unit & 3u));
    let s = vec2<f32>(f32(byte & 15u), f32((byte >> 4u) & 15u));
    return half_of(d, 0u) * (0.25 * s + 0.125);
}
