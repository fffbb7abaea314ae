// IQ4_NL: d level. One word quadruple a unit; the d of two units share a scale word.
#import shared/iq4_levels
#import shared/scales
const HAS_OFFSET: bool = false;
const RAGGED: bool = false;
struct Unit { q: vec4<u32>, d: f32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let d = half_of(scale_at(tile, unit / 2u, 2u, 0u, 1u, r), unit & 1u);
    return Unit(quants_at(tile, unit, 0u, 1u, r), d);
}

fn eight(u: Unit, i: u32) -> Eight {
    return eight_levels(u.q[i]);
}

fn affine(u: Unit, half: u32) -> vec2<f32> {
    return vec2<f32>(u.d, 0.0);
}
