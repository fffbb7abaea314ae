// BF16: four word quadruples a unit, each eight weights, the upper halves of f32.
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
    let even = bitcast<vec4<f32>>(q << vec4<u32>(16u));
    let odd = bitcast<vec4<f32>>(q & vec4<u32>(0xFFFF0000u));
    return Eight(vec4<f32>(even.x, odd.x, even.y, odd.y), vec4<f32>(even.z, odd.z, even.w, odd.w));
}

fn affine(u: Unit, half: u32) -> vec2<f32> {
    return vec2<f32>(1.0, 0.0);
}
