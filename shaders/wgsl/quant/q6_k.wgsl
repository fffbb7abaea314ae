// Q6_K: d scale (q - 32), one signed scale for 16 weights. One word quadruple of low nibbles a unit; eight units share 21
// scale words: d, four of scale bytes, then two of high bit pairs for each unit.
#import shared/planes
#import shared/scales
#import shared/nibbles
#import shared/eight
#import shared/two_scales
const ZERO: f32 = 32.0;
struct Unit { q: vec4<u32>, high: vec2<u32>, d: vec2<f32> }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let block = unit / 8u;
    let j = unit & 7u;
    let d = unpack2x16float(scale_at(tile, block, 8u, 0u, 21u, r)).x;
    let bytes = bitcast<i32>(scale_at(tile, block, 8u, 1u + (j >> 1u), 21u, r) << (16u * (1u - (j & 1u))));
    let first = scale_at(tile, block, 8u, 5u + 2u * j, 21u, r);
    let second = scale_at(tile, block, 8u, 6u + 2u * j, 21u, r);
    let pair = vec2<f32>(f32((bytes << 8u) >> 24u), f32(bytes >> 24u));
    return Unit(quants_at(tile, unit, 0u, 1u, r), vec2<u32>(first, second), d * pair);
}

// The high two bits of quadruple k of a word's four: for weight b, bits 8 b + 2 k and the next.
fn bit_pairs(word: u32, k: u32) -> u32 {
    return ((word >> (2u * k)) & 0x03030303u) << 4u;
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    let high = u.high[i >> 1u];
    let k = 2u * (i & 1u);
    return nibble_bytes(u.q[i]) | vec2<u32>(bit_pairs(high, k), bit_pairs(high, k + 1u));
}
