// IQ3_XXS: d (s + 1/2) / 2 level, levels 4 to 52 in steps of 8, and 62. Two words a unit, eight indices; eight units share
// nine scale words: d, then four times 7 bits of signs and 4 of s for each.
const VECTORS: u32 = 256u;
#import shared/grid
#import shared/one_scale
const ZERO: f32 = 64.0;
struct Unit { index: vec2<u32>, signs: u32, d: f32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let own = scale_at(tile, unit / 8u, 8u, 1u + (unit & 7u), 9u, r);
    let d = half_of(scale_at(tile, unit / 8u, 8u, 0u, 9u, r), 0u);
    return Unit(half_quad(tile, unit, r), even_signs_of(own), d * (0.5 * f32(own >> 28u) + 0.25));
}

fn levels(index: u32) -> u32 {
    let c = spread_nibbles(vector_at(index));
    let last = c & (c >> 1u) & (c >> 2u) & 0x01010101u;
    return 0x04040404u + 8u * c + 2u * last;
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    let both = u.index[i >> 1u] >> (16u * (i & 1u));
    let signs = u.signs >> (8u * i);
    return vec2<u32>(with_signs(levels(both & 255u), signs), with_signs(levels((both >> 8u) & 255u), signs >> 4u));
}
