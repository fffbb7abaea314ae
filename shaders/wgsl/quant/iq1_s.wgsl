// IQ1_S: d (2 s + 1) (level + shift). A word of indices a unit; eight units share five scale words: d, then 16 bits a unit:
// four times three upper bits of an index, s, the sign of the shift.
#import shared/grid_iq1
#import shared/one_scale
struct Unit { index: u32, high: u32, d: f32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let block = unit / 8u;
    let d = half_of(scale_at(tile, block, 8u, 0u, 5u, r), 0u);
    let high = scale_at(tile, block, 8u, 1u + ((unit & 7u) >> 1u), 5u, r) >> (16u * (unit & 1u));
    return Unit(quarter_quad(tile, unit, r), high, 0.125 * d * f32(2u * ((high >> 12u) & 7u) + 1u));
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    let index = ((u.index >> (8u * i)) & 255u) | (((u.high >> (3u * i)) & 7u) << 8u);
    return bytes_shifted(index, u.high & 0x8000u);
}
