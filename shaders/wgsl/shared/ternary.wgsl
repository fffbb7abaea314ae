// d (q - 1), q of two bits. Needs `scale_of(tile, unit, r)`.
#import shared/pairs
#import shared/scales
#import shared/one_scale
const ZERO: f32 = 1.0;
struct Unit { q: vec2<u32>, d: f32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    return Unit(half_quad(tile, unit, r), scale_of(tile, unit, r));
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    return eight_pairs(u.q, i);
}
