// Q5_K: d scale q - dmin minimum. One word quadruple a unit; eight units share twelve scale words: four as in Q4_K, then the
// high bits of each unit.
#import shared/planes
#import shared/scales
#import shared/fifth_bit
#import shared/k_scales
#import shared/scale_and_offset
const ZERO: f32 = 0.0;
struct Unit { q: vec4<u32>, high: u32, dm: vec2<f32> }

fn load_unit(tile: u32, unit: u32, r: u32) -> Unit {
    let block = unit / 8u;
    let j = unit & 7u;
    let dm = scale_at(tile, block, 8u, 0u, 12u, r);
    let low = scale_at(tile, block, 8u, 1u + (j >> 2u), 12u, r);
    let two = scale_at(tile, block, 8u, 3u, 12u, r);
    let high = scale_at(tile, block, 8u, 4u + j, 12u, r);
    return Unit(quants_at(tile, unit, 0u, 1u, r), high, k_affine(dm, low, two, j));
}

fn eight_bytes(u: Unit, i: u32) -> vec2<u32> {
    return bytes_of_five_bits(u.q[i], u.high, i);
}
