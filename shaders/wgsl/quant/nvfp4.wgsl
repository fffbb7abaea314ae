// NVFP4: an unsigned number of 8 bits (E4M3) for 16 weights times numbers of 4 bits. One word quadruple a unit; two units share
// a scale word.
#import shared/fp4_levels
#import shared/scales
#import shared/two_scales
struct Unit { q: vec4<u32>, d: vec2<f32> }

// Half of the number, as the levels are doubled. The code for NaN stands for 0.
fn half_e4m3(byte: u32) -> f32 {
    let e = (byte >> 3u) & 15u;
    let normal = bitcast<f32>(((e + 119u) << 23u) | ((byte & 7u) << 20u));
    let value = select(normal, f32(byte & 7u) / 1024.0, e == 0u);
    return select(value, 0.0, byte == 127u);
}

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let bytes = scale_at(tile, unit / 2u, 2u, 0u, 1u, r) >> (16u * (unit & 1u));
    let d = vec2<f32>(half_e4m3(bytes & 255u), half_e4m3((bytes >> 8u) & 255u));
    return Unit(quants_at(tile, unit, 0u, 1u, r), d);
}
