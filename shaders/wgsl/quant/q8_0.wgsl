// Q8_0: d q, q signed. Two word quadruples a unit, four weights a word: three bytes q + 128, the last q itself. The d of two
// units share a scale word.
#import shared/planes
#import shared/scales
#import shared/bytes
#import shared/one_scale
const ZERO: f32 = 128.0;
struct Unit { first: vec4<u32>, second: vec4<u32>, d: f32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let d = half_of(scale_at(tile, unit / 2u, 2u, 0u, 1u, r), unit & 1u);
    return Unit(quants_at(tile, unit, 0u, 2u, r), quants_at(tile, unit, 1u, 2u, r), d);
}

const BIAS = vec4<f32>(128.0, 128.0, 128.0, 0.0) * POWERS;

fn signed_bytes(word: u32) -> vec4<f32> {
    return bytes_of(word) - BIAS;
}

fn words(u: Unit, i: u32) -> vec2<u32> {
    if (i < 2u) {
        return vec2<u32>(u.first[2u * i], u.first[2u * i + 1u]);
    }
    return vec2<u32>(u.second[2u * i - 4u], u.second[2u * i - 3u]);
}

fn eight(u: Unit, i: u32) -> Eight {
    let q = words(u, i);
    return Eight(signed_bytes(q.x), signed_bytes(q.y));
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    return words(u, i) ^ vec2<u32>(0x80000000u);
}
