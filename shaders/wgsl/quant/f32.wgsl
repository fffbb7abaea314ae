// F32: eight word quadruples a unit.
#import shared/planes
#import shared/ones
const HAS_OFFSET: bool = false;
const RAGGED: bool = true;
struct Unit { tile: u32, unit: u32, r: u32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    return Unit(tile, unit, r);
}

fn eight(u: Unit, i: u32) -> Eight {
    let lo = quants_at(u.tile, u.unit, 2u * i, 8u, u.r);
    let hi = quants_at(u.tile, u.unit, 2u * i + 1u, 8u, u.r);
    return Eight(bitcast<vec4<f32>>(lo), bitcast<vec4<f32>>(hi));
}

fn affine(u: Unit, half: u32) -> vec2<f32> {
    return vec2<f32>(1.0, 0.0);
}
