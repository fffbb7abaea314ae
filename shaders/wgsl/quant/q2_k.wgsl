// Q2_K: d scale q - dmin minimum, for 16 weights each. Eight units share five scale words: (d, dmin), then 16 bytes with a
// scale in the low half and a minimum in the high half.
#import shared/pairs
#import shared/scales
const HAS_OFFSET: bool = true;
const RAGGED: bool = false;
const ZERO: f32 = 0.0;
struct Unit { q: vec2<u32>, d: vec2<f32>, bytes: u32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let block = unit / 8u;
    let d = unpack2x16float(scale_at(tile, block, 8u, 0u, 5u, r));
    let bytes = scale_at(tile, block, 8u, 1u + ((unit & 7u) >> 1u), 5u, r) >> (16u * (unit & 1u));
    return Unit(half_quad(tile, unit, r), d, bytes);
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    return eight_pairs(u.q, i);
}

fn affine(u: Unit, half: u32) -> vec2<f32> {
    let byte = u.bytes >> (8u * half);
    return vec2<f32>(u.d.x * f32(byte & 15u), -u.d.y * f32((byte >> 4u) & 15u));
}
