// The products of a unit of 32 weights with inputs as floats.
// 32 inputs, scaled, and the sums of their halves.
struct Inputs { v: array<vec4<f32>, 8>, sums: vec2<f32> }

fn inputs(v: array<vec4<f32>, 8>) -> Inputs {
    let first = dot(v[0] + v[1] + v[2] + v[3], vec4<f32>(1.0));
    let second = dot(v[4] + v[5] + v[6] + v[7], vec4<f32>(1.0));
    let s = INPUT_SCALE;
    let scaled = array(v[0] * s, v[1] * s, v[2] * s, v[3] * s, v[4] * s, v[5] * s, v[6] * s, v[7] * s);
    return Inputs(scaled, vec2<f32>(first, second));
}

fn dot_unit(u: Unit, x: Inputs) -> f32 {
    let a = eight(u, 0u);
    let b = eight(u, 1u);
    let c = eight(u, 2u);
    let d = eight(u, 3u);
    let first = dot(a.lo, x.v[0]) + dot(a.hi, x.v[1]) + dot(b.lo, x.v[2]) + dot(b.hi, x.v[3]);
    let second = dot(c.lo, x.v[4]) + dot(c.hi, x.v[5]) + dot(d.lo, x.v[6]) + dot(d.hi, x.v[7]);
    let f = affine(u, 0u);
    let s = affine(u, 1u);
    if (HAS_OFFSET) {
        return f.x * first + s.x * second + f.y * x.sums.x + s.y * x.sums.y;
    }
    return f.x * first + s.x * second;
}
