// F32: eight word quadruples a unit.
#import shared/float_unit

fn eight(u: Unit, i: u32) -> Eight {
    let lo = quants_at(u.tile, u.unit, 2u * i, 8u, u.r);
    let hi = quants_at(u.tile, u.unit, 2u * i + 1u, 8u, u.r);
    return Eight(bitcast<vec4<f32>>(lo), bitcast<vec4<f32>>(hi));
}
