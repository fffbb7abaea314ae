// d (q - 1), q of two bits. Needs `scale_of(tile, unit, r)`.
#import shared/pairs
#import shared/scales
#import shared/one_scale
struct Unit { q: vec2<u32>, d: f32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    return Unit(half_quad(tile, unit, r), scale_of(tile, unit, r));
}

fn eight(u: Unit, i: u32) -> Eight {
    let q = eight_pairs(u.q, i);
    return Eight(bytes_of(q.x) - POWERS, bytes_of(q.y) - POWERS);
}
