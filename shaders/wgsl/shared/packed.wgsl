// Inputs in a narrow format, a unit at a time, a scale for each half of it.
#ifdef LEVEL_INT8 FORMAT_INT8
#import shared/int8
#else
#import shared/f16
#endif
// x = scale * number. `scales`: those of the halves, then the sums of the halves' inputs.
struct Packed { first: Sixteen, second: Sixteen, scales: vec4<f32> }

fn magnitude(v: vec4<f32>) -> vec4<u32> {
    return bitcast<vec4<u32>>(v) & vec4<u32>(0x7FFFFFFFu);
}

// The scale of sixteen inputs and what they are multiplied by. Magnitudes are compared as bits, where NaN is the largest: the
// scale then is NaN, as it should be.
fn scale_for(v: mat4x4<f32>) -> vec2<f32> {
    let a = max(magnitude(v[0]), magnitude(v[1]));
    let b = max(magnitude(v[2]), magnitude(v[3]));
    let c = max(a, b);
    let top = bitcast<f32>(max(max(c.x, c.y), max(c.z, c.w)));
    return vec2<f32>(top / LARGEST, select(LARGEST / top, 0.0, top < 1.0e-30));
}

fn packed_unit(first: mat4x4<f32>, second: mat4x4<f32>) -> Packed {
    let a = scale_for(first);
    let b = scale_for(second);
    let p = packed(first * a.y);
    let q = packed(second * b.y);
    return Packed(p, q, vec4<f32>(a.x, b.x, a.x * sum_of(p), b.x * sum_of(q)));
}
