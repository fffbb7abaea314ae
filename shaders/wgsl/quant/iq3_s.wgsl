// IQ3_S: d (2 s + 1) level, levels 1 to 15 in steps of 2. Two words a unit, eight indices; eight units share 12 scale words: d,
// the nibbles s, a ninth bit of each index, signs.
const VECTORS: u32 = 512u;
#import shared/grid
#import shared/one_scale
const ZERO: f32 = 64.0;
struct Unit { index: vec2<u32>, high: u32, signs: u32, d: f32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let block = unit / 8u;
    let j = unit & 7u;
    let d = half_of(scale_at(tile, block, 8u, 0u, 12u, r), 0u);
    let s = (scale_at(tile, block, 8u, 1u, 12u, r) >> (4u * j)) & 15u;
    let high = scale_at(tile, block, 8u, 2u + (j >> 2u), 12u, r) >> (8u * (j & 3u));
    let signs = scale_at(tile, block, 8u, 4u + j, 12u, r);
    return Unit(half_quad(tile, unit, r), high, signs, d * f32(2u * s + 1u));
}

fn levels(index: u32) -> u32 {
    return 0x01010101u + 2u * spread_nibbles(vector_at(index));
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    let both = u.index[i >> 1u] >> (16u * (i & 1u));
    let high = u.high >> (2u * i);
    let signs = u.signs >> (8u * i);
    let lo = levels((both & 255u) | ((high & 1u) << 8u));
    let hi = levels(((both >> 8u) & 255u) | ((high & 2u) << 7u));
    return vec2<u32>(with_signs(lo, signs), with_signs(hi, signs >> 4u));
}
