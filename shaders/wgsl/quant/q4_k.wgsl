// Q4_K: d scale q - dmin minimum. One word quadruple a unit; eight units share four scale words.
#import shared/planes
#import shared/scales
#import shared/nibbles
#import shared/eight
#import shared/k_scales
#import shared/scale_and_offset
const ZERO: f32 = 0.0;
struct Unit { q: vec4<u32>, dm: vec2<f32> }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let block = unit / 8u;
    let j = unit & 7u;
    let dm = scale_at(tile, block, 8u, 0u, 4u, r);
    let low = scale_at(tile, block, 8u, 1u + (j >> 2u), 4u, r);
    let high = scale_at(tile, block, 8u, 3u, 4u, r);
    return Unit(quants_at(tile, unit, 0u, 1u, r), k_affine(dm, low, high, j));
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    return nibble_bytes(u.q[i]);
}
