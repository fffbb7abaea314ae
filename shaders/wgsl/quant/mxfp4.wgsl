// MXFP4: a power of two times a number of 4 bits. One word quadruple a unit; the exponents of four units share a scale word.
#import shared/fp4_levels
#import shared/scales
#import shared/one_scale
struct Unit { q: vec4<u32>, d: f32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let e = (scale_at(tile, unit / 4u, 4u, 0u, 1u, r) >> (8u * (unit & 3u))) & 255u;
    // half of 2^(e - 127), as the levels are doubled; the first two are subnormal
    let bits = select((e - 1u) << 23u, 0x00200000u << e, e < 2u);
    return Unit(quants_at(tile, unit, 0u, 1u, r), bitcast<f32>(bits));
}
