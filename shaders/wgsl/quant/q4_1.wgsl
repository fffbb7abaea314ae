// Q4_1: d q + m. One word quadruple and one scale word (d, m) a unit.
#import shared/planes
#import shared/scales
#import shared/nibbles
#import shared/eight
#import shared/scale_and_offset
const ZERO: f32 = 0.0;
struct Unit { q: vec4<u32>, dm: vec2<f32> }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    return Unit(quants_at(tile, unit, 0u, 1u, r), unpack2x16float(scale_at(tile, unit, 1u, 0u, 1u, r)));
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    return nibble_bytes(u.q[i]);
}
