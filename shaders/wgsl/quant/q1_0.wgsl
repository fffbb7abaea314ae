// Q1_0: d or -d. A word a unit, whose bit 8 b + k belongs to weight 4 k + b; eight units share a scale word, two d.
#import shared/parts
#import shared/scales
#import shared/eight
#import shared/one_scale
// twice a bit, less one
const ZERO: f32 = 1.0;
struct Unit { q: u32, d: f32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let d = half_of(scale_at(tile, unit / 8u, 8u, 0u, 1u, r), (unit >> 2u) & 1u);
    return Unit(quarter_quad(tile, unit, r), d);
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    let bits = (vec2<u32>(u.q) >> vec2<u32>(2u * i, 2u * i + 1u)) & vec2<u32>(0x01010101u);
    return bits << vec2<u32>(1u);
}
