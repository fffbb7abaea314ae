// Q5_0: d (q - 16). One word quadruple a unit; two units share three scale words: d pair, high bits, high bits.
#import shared/planes
#import shared/scales
#import shared/fifth_bit
#import shared/one_scale
const ZERO: f32 = 16.0;
struct Unit { q: vec4<u32>, high: u32, d: f32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let second = unit & 1u;
    let d = half_of(scale_at(tile, unit / 2u, 2u, 0u, 3u, r), second);
    return Unit(quants_at(tile, unit, 0u, 1u, r), scale_at(tile, unit / 2u, 2u, 1u + second, 3u, r), d);
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    return bytes_of_five_bits(u.q[i], u.high, i);
}
