// Nibbles under one scale: one word quadruple a unit; the d of two units share a scale word.
#import shared/planes
#import shared/scales
#import shared/one_scale
struct Unit { q: vec4<u32>, d: f32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let d = half_of(scale_at(tile, unit / 2u, 2u, 0u, 1u, r), unit & 1u);
    return Unit(quants_at(tile, unit, 0u, 1u, r), d);
}
