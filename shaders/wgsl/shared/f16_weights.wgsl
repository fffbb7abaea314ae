// Half a unit of weights in f16, before their scale.
struct Weights { a: vec4<f16>, b: vec4<f16>, c: vec4<f16>, d: vec4<f16> }
// Their bytes' ZERO is taken off already.
const REST: f32 = 0.0;

// The bytes of a word less ZERO: as f16, 0x6400 + b is 1024 + b.
fn halves(word: u32) -> vec4<f16> {
    let both = (vec2<u32>(word, word >> 8u) & vec2<u32>(0x00FF00FFu)) | vec2<u32>(0x64006400u);
    let even = vec2<f16>(unpack2x16float(both.x));
    let odd = vec2<f16>(unpack2x16float(both.y));
    return vec4<f16>(even.x, odd.x, even.y, odd.y) - f16(1024.0 + ZERO);
}

fn weights(u: Unit, half: u32) -> Weights {
    let q = eight_bytes(u, 2u * half);
    let r = eight_bytes(u, 2u * half + 1u);
    return Weights(halves(q.x), halves(q.y), halves(r.x), halves(r.y));
}

fn product(w: Weights, x: Sixteen) -> f32 {
    return f32(dot(w.a, x.a) + dot(w.b, x.b)) + f32(dot(w.c, x.c) + dot(w.d, x.d));
}
