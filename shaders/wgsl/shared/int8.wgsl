// Inputs in 8 bits, signed.
// The largest number that inputs are scaled to.
const LARGEST: f32 = 127.0;
struct Sixteen { q: vec4<u32> }

fn packed(v: mat4x4<f32>) -> Sixteen {
    return Sixteen(vec4<u32>(
        pack4xI8(vec4<i32>(round(v[0]))), pack4xI8(vec4<i32>(round(v[1]))),
        pack4xI8(vec4<i32>(round(v[2]))), pack4xI8(vec4<i32>(round(v[3]))),
    ));
}

// The sum of products of bytes.
fn products(a: vec4<u32>, b: vec4<u32>) -> f32 {
    let sum = dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
    return f32(sum);
}

fn sum_of(x: Sixteen) -> f32 {
    return products(x.q, vec4<u32>(0x01010101u));
}
