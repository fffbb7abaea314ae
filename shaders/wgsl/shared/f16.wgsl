// Inputs in f16, so small that their products with weights below 2^7 cannot overflow.
// The largest number that inputs are scaled to.
const LARGEST: f32 = 1.0;
struct Sixteen { a: vec4<f16>, b: vec4<f16>, c: vec4<f16>, d: vec4<f16> }

fn packed(v: mat4x4<f32>) -> Sixteen {
    return Sixteen(vec4<f16>(v[0]), vec4<f16>(v[1]), vec4<f16>(v[2]), vec4<f16>(v[3]));
}

fn sum_of(x: Sixteen) -> f32 {
    return dot(vec4<f32>(x.a) + vec4<f32>(x.b) + vec4<f32>(x.c) + vec4<f32>(x.d), vec4<f32>(1.0));
}
