// A unit of inputs in f16.
#import shared/plain_f16
struct Packed { q: array<vec2<u32>, 8> }

fn halves_of(v: vec4<f32>) -> vec2<u32> {
    let s = clamp(v * PLAIN_SCALE, vec4<f32>(-65504.0), vec4<f32>(65504.0));
    return vec2<u32>(pack2x16float(s.xy), pack2x16float(s.zw));
}

fn packed_unit(first: mat4x4<f32>, second: mat4x4<f32>) -> Packed {
    return Packed(array(
        halves_of(first[0]), halves_of(first[1]), halves_of(first[2]), halves_of(first[3]),
        halves_of(second[0]), halves_of(second[1]), halves_of(second[2]), halves_of(second[3]),
    ));
}
