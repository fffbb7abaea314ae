// IQ2_S: d (s + 1/2) / 4 level, s for 16 weights. Two words a unit: four indices, their signs. Eight units share five scale
// words: d, the nibbles s, then two upper bits of each index.
const VECTORS: u32 = 1024u;
#import shared/grid_iq2
#import shared/two_scales
struct Unit { index: u32, high: u32, signs: u32, d: vec2<f32> }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let q = half_quad(tile, unit, r);
    let word = (unit & 7u) >> 2u;
    let d = scale_at(tile, unit / 8u, 8u, 0u, 5u, r);
    let s = scale_at(tile, unit / 8u, 8u, 1u + word, 5u, r);
    let high = scale_at(tile, unit / 8u, 8u, 3u + word, 5u, r) >> (8u * (unit & 3u));
    return Unit(q.x, high, q.y, nibble_scales(d, s, unit));
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    let index = ((u.index >> (8u * i)) & 255u) | (((u.high >> (2u * i)) & 3u) << 8u);
    return bytes_signed(index, u.signs >> (8u * i));
}
