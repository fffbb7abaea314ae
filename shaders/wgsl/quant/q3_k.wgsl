// Q3_K: d scale (q - 4), one signed scale for 16 weights. Eight units share 12 scale words: d, three with the scales' bits
// (low nibbles in two, high pairs in the third), then the third bits of each unit.
#import shared/pairs
#import shared/scales
#import shared/two_scales
const ZERO: f32 = 4.0;
struct Unit { q: vec2<u32>, high: u32, d: vec2<f32> }

// Scales 2 j and 2 j + 1 of a block.
fn two_scales(low: u32, high: u32, j: u32) -> vec2<f32> {
    let k = 16u * (j & 1u);
    let nibbles = (low >> (k + 4u * (j >> 2u))) & 0x0F0Fu;
    let pairs = (high >> (k + 2u * (j >> 1u))) & 0x0303u;
    let both = nibbles | (pairs << 4u);
    return vec2<f32>(f32(both & 255u), f32(both >> 8u)) - 32.0;
}

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let block = unit / 8u;
    let j = unit & 7u;
    let d = unpack2x16float(scale_at(tile, block, 8u, 0u, 12u, r)).x;
    let low = scale_at(tile, block, 8u, 1u + ((j >> 1u) & 1u), 12u, r);
    let scale = two_scales(low, scale_at(tile, block, 8u, 3u, 12u, r), j);
    return Unit(half_quad(tile, unit, r), scale_at(tile, block, 8u, 4u + j, 12u, r), d * scale);
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    let high = (vec2<u32>(u.high) >> vec2<u32>(2u * i, 2u * i + 1u)) & vec2<u32>(0x01010101u);
    return eight_pairs(u.q, i) | (high << vec2<u32>(2u));
}
