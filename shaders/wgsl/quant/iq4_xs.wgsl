// IQ4_XS: d (scale - 32) level. One word quadruple a unit; eight units share two scale words: d with the upper two bits of
// the scales, then their nibbles.
#import shared/iq4_levels
#import shared/scales
#import shared/one_scale
struct Unit { q: vec4<u32>, d: f32 }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let j = unit & 7u;
    let first = scale_at(tile, unit / 8u, 8u, 0u, 2u, r);
    let low = (scale_at(tile, unit / 8u, 8u, 1u, 2u, r) >> (4u * j)) & 15u;
    let scale = low | (((first >> (16u + 2u * j)) & 3u) << 4u);
    return Unit(quants_at(tile, unit, 0u, 1u, r), half_of(first, 0u) * (f32(scale) - 32.0));
}
