// IQ2_XS: d (s + 1/2) / 4 level, s for 16 weights. Two words a unit: four times 9 bits of index and 7 of signs. Eight units
// share three scale words: d, then the nibbles s.
const VECTORS: u32 = 512u;
#import shared/grid_iq2
#import shared/two_scales
struct Unit { index: vec2<u32>, signs: u32, d: vec2<f32> }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let q = half_quad(tile, unit, r);
    let sevens = ((q >> vec2<u32>(9u)) & vec2<u32>(127u)) | ((q >> vec2<u32>(17u)) & vec2<u32>(0x7F00u));
    let d = scale_at(tile, unit / 8u, 8u, 0u, 3u, r);
    let s = scale_at(tile, unit / 8u, 8u, 1u + ((unit & 7u) >> 2u), 3u, r);
    return Unit(q, even_signs(sevens.x | (sevens.y << 16u)), nibble_scales(d, s, unit));
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    return bytes_signed((u.index[i >> 1u] >> (16u * (i & 1u))) & 511u, u.signs >> (8u * i));
}
