// BF16: four word quadruples a unit, each eight weights, the upper halves of f32.
#import shared/float_unit

fn eight(u: Unit, i: u32) -> Eight {
    let q = quants_at(u.tile, u.unit, i, 4u, u.r);
    let even = bitcast<vec4<f32>>(q << vec4<u32>(16u));
    let odd = bitcast<vec4<f32>>(q & vec4<u32>(0xFFFF0000u));
    return Eight(vec4<f32>(even.x, odd.x, even.y, odd.y), vec4<f32>(even.z, odd.z, even.w, odd.w));
}
