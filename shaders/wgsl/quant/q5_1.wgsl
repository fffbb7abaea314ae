// Q5_1: d q + m. One word quadruple and two scale words a unit: (d, m), high bits.
#import shared/planes
#import shared/scales
#import shared/fifth_bit
#import shared/scale_and_offset
const ZERO: f32 = 0.0;
struct Unit { q: vec4<u32>, high: u32, dm: vec2<f32> }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let dm = unpack2x16float(scale_at(tile, unit, 1u, 0u, 2u, r));
    return Unit(quants_at(tile, unit, 0u, 1u, r), scale_at(tile, unit, 1u, 1u, 2u, r), dm);
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    return bytes_of_five_bits(u.q[i], u.high, i);
}
