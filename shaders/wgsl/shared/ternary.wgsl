// d (q - 1), q of two bits. Needs `scale_of(tile, unit, r)`.
#import shared/pairs
#import shared/scales
const HAS_OFFSET: bool = false;
const RAGGED: bool = false;
struct Unit { q: vec2<u32>, d: f32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    return Unit(half_quad(tile, unit, r), scale_of(tile, unit, r));
}

fn eight(u: Unit, i: u32) -> Eight {
    let q = eight_pairs(u.q, i);
    return Eight(bytes_of(q.x) - POWERS, bytes_of(q.y) - POWERS);
}

fn affine(u: Unit, half: u32) -> vec2<f32> {
    return vec2<f32>(u.d, 0.0);
}
