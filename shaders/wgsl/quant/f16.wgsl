// F16: four word quadruples a unit, each eight weights.
#import shared/float_unit

fn eight(u: Unit, i: u32) -> Eight {
    let q = quants_at(u.tile, u.unit, i, 4u, u.r);
    let lo = vec4<f32>(unpack2x16float(q.x), unpack2x16float(q.y));
    let hi = vec4<f32>(unpack2x16float(q.z), unpack2x16float(q.w));
    return Eight(lo, hi);
}
