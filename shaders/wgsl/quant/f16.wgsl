// F16: four word quadruples a unit, each eight weights.
#import shared/planes
#import shared/ones
const HAS_OFFSET: bool = false;
const RAGGED: bool = true;
struct Unit { tile: u32, unit: u32, r: u32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    return Unit(tile, unit, r);
}

fn eight(u: Unit, i: u32) -> Eight {
    let q = quants_at(u.tile, u.unit, i, 4u, u.r);
    let lo = vec4<f32>(unpack2x16float(q.x), unpack2x16float(q.y));
    let hi = vec4<f32>(unpack2x16float(q.z), unpack2x16float(q.w));
    return Eight(lo, hi);
}

fn affine(u: Unit, half: u32) -> vec2<f32> {
    return vec2<f32>(1.0, 0.0);
}
