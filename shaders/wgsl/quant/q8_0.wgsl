// Q8_0: d q, q signed. Two word quadruples a unit, four weights a word: three bytes q + 128, the last q itself. The d of two
// units share a scale word.
#import shared/planes
#import shared/scales
#import shared/bytes
#import shared/one_scale
struct Unit { first: vec4<u32>, second: vec4<u32>, d: f32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let d = half_of(scale_at(tile, unit / 2u, 2u, 0u, 1u, r), unit & 1u);
    return Unit(quants_at(tile, unit, 0u, 2u, r), quants_at(tile, unit, 1u, 2u, r), d);
}

const BIAS = vec4<f32>(128.0, 128.0, 128.0, 0.0) * POWERS;

fn signed_bytes(word: u32) -> vec4<f32> {
    return bytes_of(word) - BIAS;
}

fn eight(u: Unit, i: u32) -> Eight {
    if (i < 2u) {
        return Eight(signed_bytes(u.first[2u * i]), signed_bytes(u.first[2u * i + 1u]));
    }
    return Eight(signed_bytes(u.second[2u * i - 4u]), signed_bytes(u.second[2u * i - 3u]));
}
